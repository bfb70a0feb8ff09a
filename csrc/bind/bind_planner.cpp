#include "bind/bind.hpp"

#include "bind/check.hpp"
#include "kernels/planner.hpp"

#include <pybind11/stl.h>

#include <algorithm>

namespace pyig::bind {

namespace {

template <class T>
py::array_t<T> array_of(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::array_t<bool> flags_of(const std::vector<std::uint8_t>& values) {
    py::array_t<bool> array(static_cast<py::ssize_t>(values.size()));
    std::copy(values.begin(), values.end(), array.mutable_data());
    return array;
}

py::tuple tuple_of(const Combinations& sums) {
    return py::make_tuple(array_of(sums.paths), flags_of(sums.with_total), array_of(sums.indptr), array_of(sums.slots),
                          array_of(sums.coefficients));
}

Planner make_planner(std::int64_t paths, double rtol, std::int64_t max_evals, bool log_odds, double caution,
                     std::int64_t max_rows, double min_width, double noise) {
    return Planner({{rtol, max_evals, log_odds, caution, min_width, noise}, paths, max_rows});
}

py::tuple ask(Planner& planner, std::int64_t rows) {
    if (rows < 1)
        throw py::value_error("rows: expected 1 or more; got " + std::to_string(rows));
    const Planner::Batch batch = planner.ask(static_cast<std::size_t>(rows));
    return py::make_tuple(array_of(batch.paths), array_of(batch.alphas));
}

py::array_t<std::int64_t> tell(Planner& planner, py::handle values, py::handle slopes) {
    const Array value("values", values, 1, f64);
    const Array slope("slopes", slopes, 1, f64);
    if (value.shape(0) > planner.asked())
        refuse("values", "at most the " + std::to_string(planner.asked()) + " pairs that were asked", values);
    slope.require_shape({value.shape(0)}, "that of values");
    return array_of(planner.tell(value.data<double>(), slope.data<double>(), value.shape(0)));
}

void tell_norms(Planner& planner, py::handle norms) {
    const Array given("norms", norms, 1, f64);
    given.require_shape({planner.requests().size()}, "one for each combination");
    planner.tell_norms(given.data<double>());
}

py::array_t<double> record(const Planner& planner, std::int64_t path) {
    const std::vector<Path::Row>& rows = planner.record(path);
    py::array_t<double> array({static_cast<py::ssize_t>(rows.size()), py::ssize_t{4}});
    double* to = array.mutable_data();
    for (const Path::Row& row : rows)
        to = std::copy(row.begin(), row.end(), to);
    return array;
}

} // namespace

// The GIL stays held: calls are short, and it keeps two threads out of one planner.
void bind_planner(const py::module_& m) {
    py::class_<Planner>(m, "Planner", "Which points of which path to evaluate next, for a given accuracy of each path.")
        .def(py::init(&make_planner), py::arg("paths"), py::kw_only(), py::arg("rtol"), py::arg("max_evals"),
             py::arg("log_odds") = false, py::arg("caution") = 1.0, py::arg("max_rows") = std::int64_t{1} << 20U,
             py::arg("min_width") = 0x1p-20, py::arg("noise") = 0.0,
             "Plan the paths 0 to paths - 1 until the error of each is at most rtol of its L1 norm.")
        .def("ask", ask, py::arg("rows"), "Next paths (n,) and alphas (n,), n <= rows; the same again until told.")
        .def("tell", tell, py::arg("values"), py::arg("slopes"),
             "Take values (n,) and slopes (n,) of the first n pairs asked; return slots (n,) for their gradient rows.")
        .def(
            "combinations", [](const Planner& planner) { return tuple_of(planner.requests()); },
            "Return (paths, with_total, indptr, slots, coefficients) of the rows' combinations whose norms are wanted.")
        .def("tell_norms", tell_norms, py::arg("norms"), "Take the L1 norms (C,) of these combinations.")
        .def(
            "folds", [](Planner& planner) { return tuple_of(planner.folds()); },
            "Return what to add to the totals of the paths, like combinations; the rows it frees may then be reused.")
        .def(
            "finished", [](Planner& planner) { return array_of(planner.finished()); },
            "Return the paths (n,) finished since the last call.")
        .def("record", record, py::arg("path"), "Return (n, 4): alpha, value, slope, weight of each node, by alpha.")
        .def("stop", &Planner::stop, "Finish every open path with what it has.")
        .def_property_readonly("rows", &Planner::rows, "Gradient rows in use, or not yet free for reuse.")
        .def_property_readonly("peak_rows", &Planner::peak_rows, "Most gradient rows ever in use.")
        .def_property_readonly("most_rows", &Planner::most_rows, "Most gradient rows that may be in use.")
        .def_property_readonly(
            "error", [](const Planner& planner) { return array_of(planner.error()); },
            "Estimated L1 error (paths,), NaN where not known.")
        .def_property_readonly(
            "size", [](const Planner& planner) { return array_of(planner.size()); },
            "L1 norm (paths,), NaN where not known.")
        .def_property_readonly(
            "n_evals", [](const Planner& planner) { return array_of(planner.n_evals()); },
            "Nodes told (paths,), for finished paths.")
        .def_property_readonly(
            "converged", [](const Planner& planner) { return flags_of(planner.converged()); },
            "Whether the error was reached (paths,).");
}

} // namespace pyig::bind
