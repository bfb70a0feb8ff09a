#include "bind/bind.hpp"

#include "bind/check.hpp"
#include "kernels/interpolate.hpp"
#include "kernels/reduce.hpp"

namespace pyig::bind {

namespace {

// start, stop and the rows to take from each.
struct LineArgs {
    Array start;
    Array stop;
    Array start_rows;
    Array stop_rows;

    LineArgs(py::handle start_, py::handle stop_, py::handle start_rows_, py::handle stop_rows_)
        : start("start", start_, 2, floats), stop("stop", stop_, 2, floats),
          start_rows("start_rows", start_rows_, 1, i64), stop_rows("stop_rows", stop_rows_, 1, i64) {}

    // R rows of D columns, like `model`.
    void check_against(const Array& model) const {
        start.require_kind_of(model);
        stop.require_kind_of(model);
        start.require_shape({start.shape(0), model.shape(1)}, "(any, D)");
        stop.require_shape({stop.shape(0), model.shape(1)}, "(any, D)");
        start_rows.require_shape({model.shape(0)}, "(R,)");
        stop_rows.require_shape({model.shape(0)}, "(R,)");
        start_rows.require_indices(start.shape(0), "the rows of start");
        stop_rows.require_indices(stop.shape(0), "the rows of stop");
    }

    void keep_apart(const Array& output) const {
        output.require_apart_from(start);
        output.require_apart_from(stop);
        output.require_apart_from(start_rows);
        output.require_apart_from(stop_rows);
    }

    template <class T>
    Lines<T> lines() const {
        return {start.rows<T>(), stop.rows<T>(), start_rows.data<std::int64_t>(), stop_rows.data<std::int64_t>()};
    }
};

// What reduce and accumulate have in common.
struct ReductionArgs {
    Array grads;
    Array weights;
    Array slots;
    Array acc;

    ReductionArgs(py::handle grads_, py::handle weights_, py::handle slots_, py::handle acc_)
        : grads("grads", grads_, 2, floats), weights("weights", weights_, 2, f64), slots("slots", slots_, 1, i64),
          acc("acc", acc_, 3, f64) {
        if (weights.shape(0) == 0)
            refuse("weights", "shape (L, R) with at least one weight row", weights_);
        acc.require_shape({acc.shape(0), weights.shape(0), grads.shape(1)}, "(S, L, D)");
        weights.require_shape({weights.shape(0), grads.shape(0)}, "(L, R)");
        slots.require_shape({grads.shape(0)}, "(R,)");
        slots.require_indices(acc.shape(0), "acc");
        acc.require_output(true);
        keep_apart(acc);
    }

    void keep_apart(const Array& output) const {
        output.require_apart_from(grads);
        output.require_apart_from(weights);
        output.require_apart_from(slots);
    }

    template <class T>
    Reduction<T> job() const {
        return {grads.rows<T>(),        grads.shape(0),   grads.shape(1),
                weights.rows<double>(), weights.shape(0), slots.data<std::int64_t>(),
                acc.output<double>()};
    }
};

void bound_interpolate(py::handle start, py::handle stop, py::handle start_rows, py::handle stop_rows,
                       py::handle alphas, py::handle out) {
    const LineArgs lines(start, stop, start_rows, stop_rows);
    const Array to("out", out, 2, floats);
    const Array at("alphas", alphas, 1, f64);
    lines.check_against(to);
    at.require_shape({to.shape(0)}, "(R,)");
    to.require_output(false);
    lines.keep_apart(to);
    to.require_apart_from(at);
    with_type(to.kind(), [&](auto zero) {
        using T = decltype(zero);
        const Interpolation<T> job{lines.lines<T>(), at.data<double>(), to.output_rows<T>()};
        const py::gil_scoped_release release;
        interpolate(job, to.shape(0), to.shape(1));
    });
}

void bound_reduce(py::handle grads, py::handle weights, py::handle slots, py::handle acc) {
    const ReductionArgs args(grads, weights, slots, acc);
    with_type(args.grads.kind(), [&](auto zero) {
        const auto job = args.job<decltype(zero)>();
        const py::gil_scoped_release release;
        reduce(job);
    });
}

void bound_accumulate(py::handle grads, py::handle weights, py::handle slots, py::handle acc, py::handle start,
                      py::handle stop, py::handle start_rows, py::handle stop_rows, py::handle slopes) {
    const ReductionArgs args(grads, weights, slots, acc);
    const LineArgs lines(start, stop, start_rows, stop_rows);
    const Array out("slopes", slopes, 1, f64);
    lines.check_against(args.grads);
    out.require_shape({args.grads.shape(0)}, "(R,)");
    out.require_output(false);
    lines.keep_apart(args.acc);
    lines.keep_apart(out);
    args.keep_apart(out);
    out.require_apart_from(args.acc);
    with_type(args.grads.kind(), [&](auto zero) {
        using T = decltype(zero);
        const auto job = args.job<T>();
        const auto along = lines.lines<T>();
        auto* to = out.output<double>();
        const py::gil_scoped_release release;
        accumulate(job, along, to);
    });
}

py::array_t<double> bound_l1(py::handle rows) {
    const Array matrix("rows", rows, 2, floats);
    py::array_t<double> norms(static_cast<py::ssize_t>(matrix.shape(0)));
    double* to = norms.mutable_data();
    with_type(matrix.kind(), [&](auto zero) {
        const auto from = matrix.rows<decltype(zero)>();
        const py::gil_scoped_release release;
        l1(from, matrix.shape(0), matrix.shape(1), to);
    });
    return norms;
}

} // namespace

void bind_rows(py::module_& m) {
    m.def("interpolate", bound_interpolate, py::arg("start"), py::arg("stop"), py::arg("start_rows"),
          py::arg("stop_rows"), py::arg("alphas"), py::arg("out"),
          "Write out[r] = start[start_rows[r]] + alphas[r] * (stop[stop_rows[r]] - start[start_rows[r]]).");
    m.def("reduce", bound_reduce, py::arg("grads"), py::arg("weights"), py::arg("slots"), py::arg("acc"),
          "Add weights[l, r] * grads[r] to acc[slots[r], l].");
    m.def("accumulate", bound_accumulate, py::arg("grads"), py::arg("weights"), py::arg("slots"), py::arg("acc"),
          py::arg("start"), py::arg("stop"), py::arg("start_rows"), py::arg("stop_rows"), py::arg("slopes"),
          "Do what reduce does, and write slopes[r] = sum(grads[r] * (stop - start)), in one pass.");
    m.def("l1", bound_l1, py::arg("rows"), "Return the sum of absolute values of each row.");
}

} // namespace pyig::bind
