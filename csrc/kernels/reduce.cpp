#include "kernels/reduce.hpp"

#include "kernels/isa/dispatch.hpp"
#include "kernels/parallel.hpp"
#include "kernels/tiles.hpp"

#include <vector>

namespace pyig {

namespace {

// totals[r] = parts[0][r] + parts[1][r] + ..., always in this order.
void add_tiles(const std::vector<double>& parts, std::size_t rows, double* totals) {
    for (std::size_t r = 0; r < rows; ++r) {
        double total = 0;
        for (std::size_t i = r; i < parts.size(); i += rows)
            total += parts[i];
        totals[r] = total;
    }
}

} // namespace

template <class T>
void reduce(const Reduction<T>& job) {
    const auto some = loops_of<T>(loops()).reduce;
    in_parallel(tile_count(job.columns), job.rows * job.columns, [&](Span tiles) {
        for (std::size_t i = tiles.begin; i < tiles.end; ++i)
            some(job, tile(i, job.columns));
    });
}

template <class T>
void accumulate(const Reduction<T>& job, const Lines<T>& lines, double* slopes) {
    const auto some = loops_of<T>(loops()).accumulate;
    const std::size_t count = tile_count(job.columns);
    std::vector<double> parts(count * job.rows);
    in_parallel(count, job.rows * job.columns, [&](Span tiles) {
        for (std::size_t i = tiles.begin; i < tiles.end; ++i)
            some(job, lines, tile(i, job.columns), parts.data() + i * job.rows);
    });
    add_tiles(parts, job.rows, slopes);
}

template <class T>
void l1(Rows<const T> matrix, std::size_t rows, std::size_t columns, double* norms) {
    const auto one = loops_of<T>(loops()).l1;
    const std::size_t count = tile_count(columns);
    std::vector<double> parts(count * rows);
    in_parallel(parts.size(), rows * columns, [&](Span items) {
        for (std::size_t i = items.begin; i < items.end; ++i)
            parts[i % count * rows + i / count] = one(matrix[i / count], tile(i % count, columns));
    });
    add_tiles(parts, rows, norms);
}

template void reduce(const Reduction<float>&);
template void reduce(const Reduction<double>&);
template void accumulate(const Reduction<float>&, const Lines<float>&, double*);
template void accumulate(const Reduction<double>&, const Lines<double>&, double*);
template void l1(Rows<const float>, std::size_t, std::size_t, double*);
template void l1(Rows<const double>, std::size_t, std::size_t, double*);

} // namespace pyig
