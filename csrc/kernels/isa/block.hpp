// The innermost loop of reduce and accumulate: a few gradient rows, over the columns of one tile, into a few levels.
#pragma once

#include "kernels/isa/lanes.hpp"

namespace pyig {
namespace {

// Rows and levels that one pass holds in registers.
constexpr std::size_t most_rows = 4;
constexpr std::size_t most_levels = 3;

// Gradient rows that go to the same accumulators along the same line; every pointer is at the first column of the tile.
template <class T>
struct Block {
    const T* grads[most_rows];
    const T* next[most_rows]; // what will be read after this block
    double weights[most_levels][most_rows];
    double* acc[most_levels];
    const T* start;
    const T* stop;
    double slopes[most_rows]; // added to
};

// One conversion of a gradient serves all levels and the slope; one load of an accumulator serves all rows. Rows are
// added in their order, so where a batch is cut into blocks or calls does not change a bit of the result. Without the
// prefetch the processor meets a new page every few kilobytes, and reads at half the speed.
// Returns where it stopped: fewer than width<V> columns are left.
template <class V, class T, std::size_t R, std::size_t L, bool with_slopes>
std::size_t sweep(Block<T>& block, std::size_t from, std::size_t to) {
    // Copies: the compiler cannot know that storing to an accumulator leaves the block alone.
    const Block<T> in = block;
    V weights[L][R];
    for (std::size_t l = 0; l < L; ++l)
        for (std::size_t r = 0; r < R; ++r)
            weights[l][r] = V{} + in.weights[l][r];
    V slopes[R] = {}; // NOLINT(misc-const-correctness): written where there are slopes
    std::size_t j = from;
    for (; j + width<V> <= to; j += width<V>) {
        V acc[L];
        for (std::size_t l = 0; l < L; ++l)
            load(in.acc[l] + j, acc[l]);
        V start{};
        V line{};
        if constexpr (with_slopes) {
            load(in.start + j, start);
            load(in.stop + j, line);
            line -= start;
        }
        for (std::size_t r = 0; r < R; ++r) {
            V grad;
            load(in.grads[r] + j, grad);
            prefetch(in.next[r] + j);
            for (std::size_t l = 0; l < L; ++l)
                acc[l] += weights[l][r] * grad;
            if constexpr (with_slopes)
                slopes[r] += grad * line;
        }
        for (std::size_t l = 0; l < L; ++l)
            store(in.acc[l] + j, acc[l]);
    }
    if constexpr (with_slopes)
        for (std::size_t r = 0; r < R; ++r)
            block.slopes[r] += sum(slopes[r]);
    return j;
}

template <class T, std::size_t R, std::size_t L, bool with_slopes>
void sweep_all(Block<T>& block, std::size_t columns) {
    const std::size_t left = sweep<Wide, T, R, L, with_slopes>(block, 0, columns);
    sweep<double, T, R, L, with_slopes>(block, left, columns);
}

template <class T, std::size_t R, bool with_slopes>
void sweep_levels(Block<T>& block, std::size_t levels, std::size_t columns) {
    switch (levels) {
    case 1:
        return sweep_all<T, R, 1, with_slopes>(block, columns);
    case 2:
        return sweep_all<T, R, 2, with_slopes>(block, columns);
    default:
        return sweep_all<T, R, 3, with_slopes>(block, columns);
    }
}

// rows is 1, 2 or 4.
template <class T, bool with_slopes>
void sweep_rows(Block<T>& block, std::size_t rows, std::size_t levels, std::size_t columns) {
    switch (rows) {
    case 1:
        return sweep_levels<T, 1, with_slopes>(block, levels, columns);
    case 2:
        return sweep_levels<T, 2, with_slopes>(block, levels, columns);
    default:
        return sweep_levels<T, 4, with_slopes>(block, levels, columns);
    }
}

} // namespace
} // namespace pyig
