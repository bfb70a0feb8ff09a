// The inner loops. CMake builds this file once per instruction set, with PYIG_LOOPS naming the table it defines.
#include "kernels/isa/lanes.hpp"

namespace pyig {
namespace {

// Levels and rows that one pass holds in registers.
constexpr std::size_t most_levels = 3;
constexpr std::size_t most_rows = 4;

// A few gradient rows that go to the same accumulators along the same line, at one column offset.
template <class T>
struct Block {
    const T* grads[most_rows];
    double weights[most_levels][most_rows];
    double* acc[most_levels];
    const T* start;
    const T* stop;
    double slopes[most_rows];
};

// Each gradient is converted once, then used for all levels and the slope. Returns where it stopped: fewer than
// width<V> columns are left.
template <class V, class T, std::size_t R, std::size_t L, bool with_slopes>
std::size_t sweep(Block<T>& block, std::size_t from, std::size_t to) {
    V slopes[R] = {};
    std::size_t j = from;
    for (; j + width<V> <= to; j += width<V>) {
        V acc[L];
        for (std::size_t l = 0; l < L; ++l)
            load(block.acc[l] + j, acc[l]);
        V line{};
        if constexpr (with_slopes) {
            V start;
            load(block.start + j, start);
            load(block.stop + j, line);
            line -= start;
        }
        for (std::size_t r = 0; r < R; ++r) {
            V grad;
            load(block.grads[r] + j, grad);
            for (std::size_t l = 0; l < L; ++l)
                acc[l] += block.weights[l][r] * grad;
            if constexpr (with_slopes)
                slopes[r] += grad * line;
        }
        for (std::size_t l = 0; l < L; ++l)
            store(block.acc[l] + j, acc[l]);
    }
    if constexpr (with_slopes)
        for (std::size_t r = 0; r < R; ++r)
            block.slopes[r] += sum(slopes[r]);
    return j;
}

template <class T, std::size_t R, std::size_t L, bool with_slopes>
void run(Block<T>& block, std::size_t n) {
    const std::size_t left = sweep<Wide, T, R, L, with_slopes>(block, 0, n);
    sweep<double, T, R, L, with_slopes>(block, left, n);
}

template <class T, std::size_t R, bool with_slopes>
void run(Block<T>& block, std::size_t levels, std::size_t n) {
    switch (levels) {
    case 1:
        return run<T, R, 1, with_slopes>(block, n);
    case 2:
        return run<T, R, 2, with_slopes>(block, n);
    default:
        return run<T, R, 3, with_slopes>(block, n);
    }
}

template <class T, bool with_slopes>
void run(Block<T>& block, std::size_t rows, std::size_t levels, std::size_t n) {
    if (rows == most_rows)
        return run<T, most_rows, with_slopes>(block, levels, n);
    run<T, 1, with_slopes>(block, levels, n);
}

template <class T>
bool same_line(const Lines<T>& lines, std::size_t a, std::size_t b) {
    return lines.start_rows[a] == lines.start_rows[b] && lines.stop_rows[a] == lines.stop_rows[b];
}

// Rows from `row` on that can share one block: all of a full block, or one.
template <class T>
std::size_t rows_together(const Reduction<T>& job, const Lines<T>* lines, std::size_t row) {
    if (row + most_rows > job.rows)
        return 1;
    for (std::size_t i = 1; i < most_rows; ++i)
        if (job.slots[row + i] != job.slots[row] || (lines && !same_line(*lines, row + i, row)))
            return 1;
    return most_rows;
}

template <class T>
void walk(const Reduction<T>& job, const Lines<T>* lines, Span columns, double* slopes) {
    const auto at = [](std::size_t i) { return static_cast<std::ptrdiff_t>(i); };
    const std::size_t n = columns.end - columns.begin;
    std::size_t together = 0;
    for (std::size_t row = 0; row < job.rows; row += together) {
        together = rows_together(job, lines, row);
        Block<T> block{};
        for (std::size_t i = 0; i < together; ++i)
            block.grads[i] = job.grads[at(row + i)] + columns.begin;
        if (lines) {
            block.start = lines->start[lines->start_rows[row]] + columns.begin;
            block.stop = lines->stop[lines->stop_rows[row]] + columns.begin;
        }
        double* acc = job.acc + static_cast<std::size_t>(job.slots[row]) * job.levels * job.columns + columns.begin;
        std::size_t taken = 0;
        for (std::size_t level = 0; level < job.levels; level += taken) {
            taken = job.levels - level < most_levels ? job.levels - level : most_levels;
            for (std::size_t l = 0; l < taken; ++l) {
                block.acc[l] = acc + (level + l) * job.columns;
                for (std::size_t i = 0; i < together; ++i)
                    block.weights[l][i] = job.weights[at(level + l)][row + i];
            }
            if (lines && level == 0)
                run<T, true>(block, together, taken, n);
            else
                run<T, false>(block, together, taken, n);
        }
        if (lines)
            for (std::size_t i = 0; i < together; ++i)
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
    const auto r = static_cast<std::ptrdiff_t>(row);
    const T* start = job.lines.start[job.lines.start_rows[r]];
    const T* stop = job.lines.stop[job.lines.stop_rows[r]];
    const double alpha = job.alphas[r];
    const T* base = alpha < 0.5 ? start : stop;
    const double coefficient = alpha < 0.5 ? alpha : alpha - 1.0;
    const std::size_t left = blend<Wide>(start, stop, base, coefficient, job.out[r], columns);
    blend<double>(start, stop, base, coefficient, job.out[r], Span{left, columns.end});
}

template <class V, class T>
double l1_of(const T* row, Span columns, std::size_t& stopped) {
    V total{};
    std::size_t j = columns.begin;
    for (; j + width<V> <= columns.end; j += width<V>) {
        V x;
        load(row + j, x);
        total += absolute(x);
    }
    stopped = j;
    return sum(total);
}

template <class T>
double l1(const T* row, Span columns) {
    std::size_t left = 0;
    const double most = l1_of<Wide>(row, columns, left);
    return most + l1_of<double>(row, Span{left, columns.end}, left);
}

template <class T>
constexpr LoopsOf<T> table() {
    return {interpolate<T>, reduce<T>, accumulate<T>, l1<T>};
}

} // namespace

extern const Loops PYIG_LOOPS = {table<float>(), table<double>()};

} // namespace pyig
