#include "bind/bind.hpp"

#include "kernels/isa/dispatch.hpp"

PYBIND11_MODULE(_core, m) {
    m.attr("__version__") = PYIG_VERSION;
    pyig::choose_isa_from_environment();
    pyig::bind::bind_rule(m);
    pyig::bind::bind_rows(m);
    pyig::bind::bind_combine(m);
    pyig::bind::bind_planner(m);
    pyig::bind::bind_isa(m);
}
