#include "kernels/interpolate.hpp"

#include "kernels/isa/dispatch.hpp"
#include "kernels/parallel.hpp"
#include "kernels/tiles.hpp"

namespace pyig {

template <class T>
void interpolate(const Interpolation<T>& job, std::size_t rows, std::size_t columns) {
    const auto one = loops_of<T>(loops()).interpolate;
    const std::size_t tiles = tile_count(columns);
    in_parallel(rows * tiles, rows * columns, [&](Span items) {
        for (std::size_t i = items.begin; i < items.end; ++i)
            one(job, i / tiles, tile(i % tiles, columns));
    });
}

template void interpolate(const Interpolation<float>&, std::size_t, std::size_t);
template void interpolate(const Interpolation<double>&, std::size_t, std::size_t);

} // namespace pyig
