// Points on straight lines.
#pragma once

#include "kernels/isa/loops.hpp"

namespace pyig {

// out[r] = start[start_rows[r]] + alphas[r] * (stop[stop_rows[r]] - start[start_rows[r]]), computed in double.
template <class T>
void interpolate(const Interpolation<T>& job, std::size_t rows, std::size_t columns);

} // namespace pyig
