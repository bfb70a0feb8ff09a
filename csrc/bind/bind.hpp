// One registrar per kind of kernel.
#pragma once

#include <pybind11/pybind11.h>

namespace pyig::bind {

void bind_rule(pybind11::module_& m);
void bind_rows(pybind11::module_& m);
void bind_combine(pybind11::module_& m);
void bind_planner(const pybind11::module_& m);
void bind_isa(pybind11::module_& m);

} // namespace pyig::bind
