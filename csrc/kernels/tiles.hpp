// Columns are cut into tiles of one fixed size, whatever the number of threads: threads take whole tiles, and sums over
// a row are added tile by tile in order, so a result does not depend on how many threads made it.
#pragma once

#include "kernels/isa/loops.hpp"

namespace pyig {

// Accumulators, line ends and the gradients in flight of one tile stay in the first-level cache.
constexpr std::size_t tile_columns = 1024;

constexpr std::size_t tile_count(std::size_t columns) {
    return columns / tile_columns + (columns % tile_columns ? 1 : 0);
}

constexpr Span tile(std::size_t index, std::size_t columns) {
    const std::size_t begin = index * tile_columns;
    return {begin, columns - begin < tile_columns ? columns : begin + tile_columns};
}

} // namespace pyig
