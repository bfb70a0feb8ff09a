#include "bind/bind.hpp"

#include "bind/check.hpp"
#include "kernels/combine.hpp"

#include <string>

namespace pyig::bind {

namespace {

[[noreturn]] void refuse_at(const char* name, const std::string& expected, std::int64_t got, std::size_t at) {
    throw py::value_error(std::string(name) + ": expected " + expected + "; got " + std::to_string(got) +
                          " at position " + std::to_string(at));
}

// The rows of a store, combinations of them, and the totals these belong to.
struct CombinationArgs {
    Array store;
    Array indptr;
    Array slots;
    Array coefs;
    Array total_rows;
    Array totals;

    CombinationArgs(py::handle store_, py::handle indptr_, py::handle slots_, py::handle coefs_, py::handle total_rows_,
                    py::handle totals_)
        : store("store", store_, 2, floats), indptr("indptr", indptr_, 1, i64), slots("slots", slots_, 1, i64),
          coefs("coefs", coefs_, 1, f64), total_rows("total_rows", total_rows_, 1, i64),
          totals("totals", totals_, 2, f64) {
        indptr.require_shape({count() + 1}, "(C + 1,) for total_rows (C,)");
        coefs.require_shape({slots.shape(0)}, "(K,) like slots");
        totals.require_shape({totals.shape(0), columns()}, "(any, D) for store (S, D)");
        slots.require_indices(store.shape(0), "store");
        require_offsets();
    }

    std::size_t count() const { return total_rows.shape(0); }
    std::size_t columns() const { return store.shape(1); }

    void require_offsets() const {
        const auto* offsets = indptr.data<std::int64_t>();
        const auto last = static_cast<std::int64_t>(slots.shape(0));
        for (std::size_t i = 0; i <= count(); ++i)
            if (offsets[i] < (i ? offsets[i - 1] : 0) || offsets[i] > last || (i == 0 && offsets[i] != 0) ||
                (i == count() && offsets[i] != last))
                refuse_at("indptr", "offsets that rise from 0 to the number of slots, " + std::to_string(last),
                          offsets[i], i);
    }

    // -1, for none, or a row of totals.
    void require_rows_or_none() const {
        const auto* rows = total_rows.data<std::int64_t>();
        for (std::size_t c = 0; c < count(); ++c)
            if (rows[c] < -1 || rows[c] >= static_cast<std::int64_t>(totals.shape(0)))
                refuse_at("total_rows", "-1 or indices into totals, index < " + std::to_string(totals.shape(0)),
                          rows[c], c);
    }

    void keep_apart(const Array& output) const {
        for (const Array* input : {&store, &indptr, &slots, &coefs, &total_rows})
            output.require_apart_from(*input);
    }

    template <class T>
    CombinationList<T> list() const {
        return {store.rows<T>(),
                columns(),
                count(),
                indptr.data<std::int64_t>(),
                slots.data<std::int64_t>(),
                coefs.data<double>(),
                total_rows.data<std::int64_t>()};
    }
};

py::array_t<double> bound_combine_norms(py::handle store, py::handle indptr, py::handle slots, py::handle coefs,
                                        py::handle total_rows, py::handle totals, py::handle start, py::handle stop,
                                        py::handle start_rows, py::handle stop_rows) {
    const CombinationArgs args(store, indptr, slots, coefs, total_rows, totals);
    args.require_rows_or_none();
    const Array from("start", start, 2, floats);
    const Array to("stop", stop, 2, floats);
    const Array from_rows("start_rows", start_rows, 1, i64);
    const Array to_rows("stop_rows", stop_rows, 1, i64);
    for (const Array* line : {&from, &to}) {
        line->require_kind_of(args.store);
        line->require_shape({line->shape(0), args.columns()}, "(any, D) for store (S, D)");
    }
    from_rows.require_shape({args.count()}, "(C,) like total_rows");
    to_rows.require_shape({args.count()}, "(C,) like total_rows");
    from_rows.require_indices(from.shape(0), "the rows of start");
    to_rows.require_indices(to.shape(0), "the rows of stop");
    py::array_t<double> norms(static_cast<py::ssize_t>(args.count()));
    double* out = norms.mutable_data();
    with_type(args.store.kind(), [&](auto zero) {
        using T = decltype(zero);
        const CombinationList<T> list = args.list<T>();
        const Rows<const double> sums = args.totals.rows<double>();
        const Lines<T> lines{from.rows<T>(), to.rows<T>(), from_rows.data<std::int64_t>(),
                             to_rows.data<std::int64_t>()};
        const py::gil_scoped_release release;
        combine_norms(list, sums, lines, out);
    });
    return norms;
}

void bound_fold(py::handle store, py::handle indptr, py::handle slots, py::handle coefs, py::handle total_rows,
                py::handle totals) {
    const CombinationArgs args(store, indptr, slots, coefs, total_rows, totals);
    args.total_rows.require_indices(args.totals.shape(0), "totals");
    args.totals.require_output(false);
    args.keep_apart(args.totals);
    with_type(args.store.kind(), [&](auto zero) {
        const auto list = args.list<decltype(zero)>();
        const Rows<double> sums = args.totals.output_rows<double>();
        const py::gil_scoped_release release;
        fold(list, sums);
    });
}

void bound_put_rows(py::handle store, py::handle slots, py::handle grads) {
    const Array to("store", store, 2, floats);
    const Array at("slots", slots, 1, i64);
    const Array from("grads", grads, 2, floats);
    from.require_kind_of(to);
    from.require_shape({from.shape(0), to.shape(1)}, "(R, D) for store (S, D)");
    at.require_shape({from.shape(0)}, "(R,) for grads (R, D)");
    at.require_indices(to.shape(0), "store");
    to.require_output(false);
    to.require_apart_from(at);
    to.require_apart_from(from);
    with_type(to.kind(), [&](auto zero) {
        using T = decltype(zero);
        const Rows<T> kept = to.output_rows<T>();
        const Rows<const T> rows = from.rows<T>();
        const py::gil_scoped_release release;
        put_rows(kept, at.data<std::int64_t>(), rows, from.shape(0), from.shape(1));
    });
}

} // namespace

void bind_combine(py::module_& m) {
    m.def("combine_norms", bound_combine_norms, py::arg("store"), py::arg("indptr"), py::arg("slots"), py::arg("coefs"),
          py::arg("total_rows"), py::arg("totals"), py::arg("start"), py::arg("stop"), py::arg("start_rows"),
          py::arg("stop_rows"),
          "Return the sums of |(totals[total_rows[c]] + sum_k coefs[k] * store[slots[k]]) * (stop - start)|, where k\n"
          "goes from indptr[c] to indptr[c + 1] and the total row -1 stands for none.");
    m.def("fold", bound_fold, py::arg("store"), py::arg("indptr"), py::arg("slots"), py::arg("coefs"),
          py::arg("total_rows"), py::arg("totals"), "Add sum_k coefs[k] * store[slots[k]] to totals[total_rows[c]].");
    m.def("put_rows", bound_put_rows, py::arg("store"), py::arg("slots"), py::arg("grads"),
          "Write store[slots[r]] = grads[r].");
}

} // namespace pyig::bind
