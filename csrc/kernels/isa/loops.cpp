// The inner loops. CMake builds this file once per instruction set, with PYIG_LOOPS naming the table it defines.
#include "kernels/isa/block.hpp"
#include "kernels/isa/combine.hpp"
#include "kernels/isa/lanes.hpp"

namespace pyig {
namespace {

template <class T>
bool same_line(const Lines<T>& lines, std::size_t a, std::size_t b) {
    return lines.start_rows[a] == lines.start_rows[b] && lines.stop_rows[a] == lines.stop_rows[b];
}

// How many rows from `row` on share a slot and a line: 1, 2 or 4.
template <class T>
std::size_t rows_together(const Reduction<T>& job, const Lines<T>* lines, std::size_t row) {
    std::size_t alike = 1;
    while (alike < most_rows && row + alike < job.rows && job.slots[row + alike] == job.slots[row] &&
           (!lines || same_line(*lines, row + alike, row)))
        ++alike;
    return alike == 3 ? 2 : alike;
}

// Where the i-th row of the block after `row` begins; after the last block, the same rows one tile further on.
template <class T>
const T* after(const Reduction<T>& job, std::size_t row, std::size_t i, Span columns) {
    if (row + i < job.rows)
        return job.grads[row + i] + columns.begin;
    const bool last_tile = columns.end == job.columns;
    return job.grads[i < job.rows ? i : 0] + (last_tile ? columns.begin : columns.end);
}

template <class T>
Block<T> block_at(const Reduction<T>& job, const Lines<T>* lines, std::size_t row, std::size_t rows, Span columns) {
    Block<T> block{};
    for (std::size_t i = 0; i < rows; ++i) {
        block.grads[i] = job.grads[row + i] + columns.begin;
        block.next[i] = after(job, row + rows, i, columns);
    }
    if (lines) {
        block.start = lines->start[lines->start_rows[row]] + columns.begin;
        block.stop = lines->stop[lines->stop_rows[row]] + columns.begin;
    }
    return block;
}

// Point the block at `levels` levels from `level` on.
template <class T>
void aim(Block<T>& block, const Reduction<T>& job, std::size_t row, std::size_t rows, Span columns, std::size_t level,
         std::size_t levels) {
    double* acc = job.acc + static_cast<std::size_t>(job.slots[row]) * job.levels * job.columns + columns.begin;
    for (std::size_t l = 0; l < levels; ++l) {
        block.acc[l] = acc + (level + l) * job.columns;
        for (std::size_t i = 0; i < rows; ++i)
            block.weights[l][i] = job.weights[level + l][row + i];
    }
}

template <class T>
void walk(const Reduction<T>& job, const Lines<T>* lines, Span columns, double* slopes) {
    const std::size_t n = columns.end - columns.begin;
    std::size_t rows = 0;
    for (std::size_t row = 0; row < job.rows; row += rows) {
        rows = rows_together(job, lines, row);
        Block<T> block = block_at(job, lines, row, rows, columns);
        std::size_t levels = 0;
        for (std::size_t level = 0; level < job.levels; level += levels) {
            levels = job.levels - level < most_levels ? job.levels - level : most_levels;
            aim(block, job, row, rows, columns, level, levels);
            if (lines && level == 0)
                sweep_rows<T, true>(block, rows, levels, n);
            else
                sweep_rows<T, false>(block, rows, levels, n);
        }
        if (lines)
            for (std::size_t i = 0; i < rows; ++i)
                slopes[row + i] = block.slopes[i];
    }
}

template <class T>
void reduce(const Reduction<T>& job, Span columns) {
    walk<T>(job, nullptr, columns, nullptr);
}

template <class T>
void accumulate(const Reduction<T>& job, const Lines<T>& lines, Span columns, double* slopes) {
    walk<T>(job, &lines, columns, slopes);
}

template <class V, class T>
std::size_t blend(const T* start, const T* stop, const T* base, double coefficient, T* out, Span columns) {
    std::size_t j = columns.begin;
    for (; j + width<V> <= columns.end; j += width<V>) {
        V from;
        V to;
        V near;
        load(start + j, from);
        load(stop + j, to);
        load(base + j, near);
        store(out + j, V(near + coefficient * (to - from)));
    }
    return j;
}

// Counted from the nearer end: the same line, but exact at both ends, where start + 1 * (stop - start) would round.
template <class T>
void interpolate(const Interpolation<T>& job, std::size_t row, Span columns) {
    const T* start = job.lines.start[job.lines.start_rows[row]];
    const T* stop = job.lines.stop[job.lines.stop_rows[row]];
    const double alpha = job.alphas[row];
    const T* base = alpha < 0.5 ? start : stop;
    const double coefficient = alpha < 0.5 ? alpha : alpha - 1.0;
    const std::size_t left = blend<Wide>(start, stop, base, coefficient, job.out[row], columns);
    blend<double>(start, stop, base, coefficient, job.out[row], Span{left, columns.end});
}

// Four sums side by side: one alone would wait for each addition to end before the next.
template <class T>
double l1(const T* row, Span columns) {
    Wide totals[4] = {};
    std::size_t j = columns.begin;
    for (; j + 4 * width<Wide> <= columns.end; j += 4 * width<Wide>)
        for (std::size_t i = 0; i < 4; ++i) {
            Wide x;
            load(row + j + i * width<Wide>, x);
            totals[i] += absolute(x);
        }
    double total = sum(totals[0]) + sum(totals[1]) + sum(totals[2]) + sum(totals[3]);
    for (; j < columns.end; ++j)
        total += absolute(static_cast<double>(row[j]));
    return total;
}

template <class T>
constexpr LoopsOf<T> table() {
    return {interpolate<T>, reduce<T>, accumulate<T>, l1<T>, fold<T>, combine_norm<T>};
}

} // namespace

extern const Loops PYIG_LOOPS = {table<float>(), table<double>()};

} // namespace pyig
