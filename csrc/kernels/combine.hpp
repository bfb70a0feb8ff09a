// Linear combinations of the rows of a store: their norms along lines, sums into totals, and putting rows there.
#pragma once

#include "kernels/isa/loops.hpp"

namespace pyig {

// `count` combinations; number c has the terms [indptr[c], indptr[c + 1]) and belongs to the row total_rows[c] of the
// totals.
template <class T>
struct CombinationList {
    Rows<const T> store;
    std::size_t columns;
    std::size_t count;
    const std::int64_t* indptr;
    const std::int64_t* slots;
    const double* coefficients;
    const std::int64_t* total_rows; // -1 for none, where that makes sense

    Combination<T> operator[](std::size_t c) const {
        return {store, slots + indptr[c], coefficients + indptr[c],
                static_cast<std::size_t>(indptr[c + 1] - indptr[c])};
    }
    std::size_t elements() const { return static_cast<std::size_t>(indptr[count]) * columns; }
};

// norms[c] = sum over the columns of |(total + combination) * (stop - start)|.
template <class T>
void combine_norms(const CombinationList<T>& list, Rows<const double> totals, const Lines<T>& lines, double* norms);

// totals[total_rows[c]] += combination.
template <class T>
void fold(const CombinationList<T>& list, Rows<double> totals);

// store[slots[r]] = grads[r].
template <class T>
void put_rows(Rows<T> store, const std::int64_t* slots, Rows<const T> grads, std::size_t rows, std::size_t columns);

} // namespace pyig
