#include "bind/bind.hpp"

#include "kernels/isa/dispatch.hpp"
#include "kernels/parallel.hpp"

#include <pybind11/stl.h>

namespace pyig::bind {

namespace py = pybind11;

void bind_isa(py::module_& m) {
    m.def("isa", isa_name, "Name of the build of the loops in use.");
    m.def("isas", isa_names, "Names of the builds that run on this machine, plainest first.");
    m.def(
        "_set_isa", [](const std::string& name) { choose_isa(name, "_set_isa"); }, py::arg("name"),
        "Choose the build of the loops, for tests and benchmarks.");
    m.def("_set_thread_limit", set_thread_limit, py::arg("limit"),
          "Most threads per call, 0 for one per processor, for tests and benchmarks.");
}

} // namespace pyig::bind
