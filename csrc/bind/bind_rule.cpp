#include "bind/bind.hpp"

#include "bind/check.hpp"
#include "kernels/rule_cache.hpp"
#include "kernels/rule_table.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace pyig::bind {

namespace {

constexpr std::size_t cache_bytes = std::size_t{64} << 20U;

RuleCache& cache() {
    static RuleCache rules(cache_bytes);
    return rules;
}

std::size_t count_of(const py::object& n) {
    if (!PyIndex_Check(n.ptr()) || PyBool_Check(n.ptr()))
        throw py::type_error("n: expected a whole number of nodes; got " + describe(n));
    const Py_ssize_t count = PyNumber_AsSsize_t(n.ptr(), PyExc_ValueError);
    if (count == -1 && PyErr_Occurred())
        throw py::error_already_set();
    if (count < 0)
        throw py::value_error("n: expected a number of nodes, 1 or more; got " + std::to_string(count));
    return static_cast<std::size_t>(count);
}

// The cache's lock is only taken while the GIL is held, so no thread can be inside it when another one forks.
RuleCache::Entry rule_of(std::string_view name, std::size_t n) {
    if (RuleCache::Entry found = cache().find(name, n))
        return found;
    Rule made;
    {
        const py::gil_scoped_release release;
        made = make_rule(std::string(name), n);
    }
    return cache().add(name, n, std::move(made));
}

// A read-only view of memory that `owner` keeps alive.
py::array view(const std::vector<double>& values, const py::capsule& owner) {
    py::array array(py::dtype::of<double>(), static_cast<py::ssize_t>(values.size()), values.data(), owner);
    py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    return array;
}

py::tuple rule(std::string_view name, const py::object& n) {
    const RuleCache::Entry entry = rule_of(name, count_of(n));
    auto held = std::make_unique<RuleCache::Entry>(entry);
    const py::capsule owner(held.get(), [](void* last) { delete static_cast<RuleCache::Entry*>(last); });
    held.release(); // NOLINT(bugprone-unused-return-value): the capsule owns it now
    return py::make_tuple(view(entry->nodes, owner), view(entry->weights, owner), entry->degree);
}

} // namespace

void bind_rule(py::module_& m) {
    m.def("rule_names", rule_names, "Names of the quadrature rules.");
    m.def("rule", rule, py::arg("name"), py::arg("n"),
          "Nodes (n,) and weights (n,) of a rule on [0, 1], read-only, and its degree of exactness.");
    m.def("_rule_cache_bytes", [] { return cache().bytes(); }, "Bytes that the cached rules take.");
    m.def("_clear_rule_cache", [] { cache().clear(); }, "Forget the cached rules, for tests and benchmarks.");
}

} // namespace pyig::bind
