// The inner loops that are built once per instruction set, and the plain structs they read.
//
// No standard library header but <cstddef> and <cstdint> may be included here or in loops.cpp: an inline function
// compiled with AVX-512 could be the copy that the linker keeps for every caller.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyig {

// Row r begins at data + r * stride (in elements); the elements of a row are contiguous. A stride of 0 repeats one row.
template <class T>
struct Rows {
    T* data;
    std::ptrdiff_t stride;

    template <class Index>
    T* operator[](Index row) const {
        return data + static_cast<std::ptrdiff_t>(row) * stride;
    }
};

// The displacement of gradient row r is stop[stop_rows[r]] - start[start_rows[r]].
template <class T>
struct Lines {
    Rows<const T> start;
    Rows<const T> stop;
    const std::int64_t* start_rows;
    const std::int64_t* stop_rows;
};

template <class T>
struct Interpolation {
    Lines<T> lines;
    const double* alphas;
    Rows<T> out;
};

// acc[slots[r], l, :] += weights[l][r] * grads[r][:], acc laid out as (S, levels, columns).
template <class T>
struct Reduction {
    Rows<const T> grads;
    std::size_t rows;
    std::size_t columns;
    Rows<const double> weights;
    std::size_t levels;
    const std::int64_t* slots;
    double* acc;
};

// The sum over k of coefficients[k] * store[slots[k]].
template <class T>
struct Combination {
    Rows<const T> store;
    const std::int64_t* slots;
    const double* coefficients;
    std::size_t terms;
};

struct Span {
    std::size_t begin;
    std::size_t end;
};

template <class T>
struct LoopsOf {
    // One row, some columns: out = start + alpha * (stop - start).
    void (*interpolate)(const Interpolation<T>& job, std::size_t row, Span columns);
    // All rows, some columns.
    void (*reduce)(const Reduction<T>& job, Span columns);
    // The same, and slopes[r] = sum over these columns of grads[r] * (stop - start).
    void (*accumulate)(const Reduction<T>& job, const Lines<T>& lines, Span columns, double* slopes);
    // Sum of |row[j]| over some columns.
    double (*l1)(const T* row, Span columns);
    // Add a combination to a total, some columns.
    void (*fold)(const Combination<T>& sum, double* total, Span columns);
    // Sum of |(total + sum) * (stop - start)| over some columns, for which scratch has room; total may be null.
    double (*combine_norm)(const Combination<T>& sum, const double* total, const T* start, const T* stop, Span columns,
                           double* scratch);
};

struct Loops {
    LoopsOf<float> f32;
    LoopsOf<double> f64;
};

template <class T>
const LoopsOf<T>& loops_of(const Loops& loops);
template <>
inline const LoopsOf<float>& loops_of<float>(const Loops& loops) {
    return loops.f32;
}
template <>
inline const LoopsOf<double>& loops_of<double>(const Loops& loops) {
    return loops.f64;
}

// One per build of loops.cpp; which of them exist is decided by CMake.
extern const Loops loops_baseline;
extern const Loops loops_avx2;
extern const Loops loops_avx512;

} // namespace pyig
