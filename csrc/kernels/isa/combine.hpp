// Linear combinations of rows that lie anywhere in a store, over the columns of one tile.
#pragma once

#include "kernels/isa/block.hpp"

namespace pyig {
namespace {

// How many of the rows that are left one sweep takes.
inline std::size_t rows_at_once(std::size_t left) {
    if (left >= most_rows)
        return most_rows;
    return left >= 2 ? 2 : 1;
}

// The rows of one combination are far apart, so `sweep` is given their addresses; all go to one accumulator.
template <class T>
void fold(const Combination<T>& sum, double* total, Span columns) { // NOLINT(readability-non-const-parameter)
    const std::size_t n = columns.end - columns.begin;
    std::size_t rows = 0;
    for (std::size_t k = 0; k < sum.terms; k += rows) {
        rows = rows_at_once(sum.terms - k);
        Block<T> block{};
        for (std::size_t i = 0; i < rows; ++i) {
            const std::size_t next = k + rows + i < sum.terms ? k + rows + i : 0;
            block.grads[i] = sum.store[sum.slots[k + i]] + columns.begin;
            block.next[i] = sum.store[sum.slots[next]] + columns.begin;
            block.weights[0][i] = sum.coefficients[k + i];
        }
        block.acc[0] = total + columns.begin;
        sweep_rows<T, false>(block, rows, 1, n);
    }
}

template <class V, class T>
std::size_t norm_along(const double* sum, const T* start, const T* stop, Span columns, double& norm) {
    V total{};
    std::size_t j = columns.begin;
    for (; j + width<V> <= columns.end; j += width<V>) {
        V x;
        V from;
        V to;
        load(sum + j, x);
        load(start + j, from);
        load(stop + j, to);
        total += absolute(V(x * (to - from)));
    }
    norm += pyig::sum(total);
    return j;
}

template <class T>
double combine_norm(const Combination<T>& sum, const double* total, const T* start, const T* stop, Span columns,
                    double* scratch) {
    const std::size_t n = columns.end - columns.begin;
    for (std::size_t j = 0; j < n; ++j)
        scratch[j] = total ? total[columns.begin + j] : 0;
    Combination<T> here = sum;
    here.store.data += columns.begin;
    fold(here, scratch, Span{0, n});
    double norm = 0;
    const std::size_t left = norm_along<Wide>(scratch, start + columns.begin, stop + columns.begin, Span{0, n}, norm);
    norm_along<double>(scratch, start + columns.begin, stop + columns.begin, Span{left, n}, norm);
    return norm;
}

} // namespace
} // namespace pyig
