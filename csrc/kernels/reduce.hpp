// Weighted sums of gradient rows into float64 accumulators, slopes along the lines, and L1 norms.
#pragma once

#include "kernels/isa/loops.hpp"

namespace pyig {

template <class T>
void reduce(const Reduction<T>& job);

// The same in one pass with slopes[r] = sum of grads[r] * (stop - start).
template <class T>
void accumulate(const Reduction<T>& job, const Lines<T>& lines, double* slopes);

// norms[r] = sum of |matrix[r]|.
template <class T>
void l1(Rows<const T> matrix, std::size_t rows, std::size_t columns, double* norms);

} // namespace pyig
