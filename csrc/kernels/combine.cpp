#include "kernels/combine.hpp"

#include "kernels/isa/dispatch.hpp"
#include "kernels/parallel.hpp"
#include "kernels/tiles.hpp"

#include <algorithm>
#include <vector>

namespace pyig {

// The combinations of a path share its rows, so one tile of columns is taken for all of them before the next: the rows
// are read from memory once.
template <class T>
void combine_norms(const CombinationList<T>& list, Rows<const double> totals, const Lines<T>& lines, double* norms) {
    const auto one = loops_of<T>(loops()).combine_norm;
    const std::size_t count = tile_count(list.columns);
    std::vector<double> parts(count * list.count);
    in_parallel(parts.size(), list.elements(), [&](Span items) {
        double scratch[tile_columns];
        for (std::size_t i = items.begin; i < items.end; ++i) {
            const std::size_t c = i % list.count;
            const double* total = list.total_rows[c] < 0 ? nullptr : totals[list.total_rows[c]];
            parts[i] = one(list[c], total, lines.start[lines.start_rows[c]], lines.stop[lines.stop_rows[c]],
                           tile(i / list.count, list.columns), scratch);
        }
    });
    for (std::size_t c = 0; c < list.count; ++c) {
        double norm = 0;
        for (std::size_t i = c; i < parts.size(); i += list.count)
            norm += parts[i];
        norms[c] = norm;
    }
}

// Threads share columns and not combinations, of which two may go to one total.
template <class T>
void fold(const CombinationList<T>& list, Rows<double> totals) {
    const auto one = loops_of<T>(loops()).fold;
    in_parallel(tile_count(list.columns), list.elements(), [&](Span tiles) {
        for (std::size_t i = tiles.begin; i < tiles.end; ++i)
            for (std::size_t c = 0; c < list.count; ++c)
                one(list[c], totals[list.total_rows[c]], tile(i, list.columns));
    });
}

template <class T>
void put_rows(Rows<T> store, const std::int64_t* slots, Rows<const T> grads, std::size_t rows, std::size_t columns) {
    in_parallel(tile_count(columns), rows * columns, [&](Span tiles) {
        const std::size_t begin = tile(tiles.begin, columns).begin;
        const std::size_t end = tile(tiles.end - 1, columns).end;
        for (std::size_t r = 0; r < rows; ++r)
            std::copy(grads[r] + begin, grads[r] + end, store[slots[r]] + begin);
    });
}

template void combine_norms(const CombinationList<float>&, Rows<const double>, const Lines<float>&, double*);
template void combine_norms(const CombinationList<double>&, Rows<const double>, const Lines<double>&, double*);
template void fold(const CombinationList<float>&, Rows<double>);
template void fold(const CombinationList<double>&, Rows<double>);
template void put_rows(Rows<float>, const std::int64_t*, Rows<const float>, std::size_t, std::size_t);
template void put_rows(Rows<double>, const std::int64_t*, Rows<const double>, std::size_t, std::size_t);

} // namespace pyig
