// What a path makes of the norms: which cells are smooth, and how large their errors are.
#include "kernels/path.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pyig {

namespace {

// Two trapezoids change by D from one, L1 norms: x is what Simpson's values change by over D, y is D over the parent's,
// z is what Simpson's values miss of F, over D and over the share of a norm that a sum over the features sees. A smooth
// integrand has a small x (0 for errors in h^2), a y of 1/4 (a jump has 1/2) and a small z.
constexpr double smooth_enough = 0.026; // x y^2 sqrt(z)
constexpr double smooth_part = 4.2;     // of y sqrt(x z) D: the error that is expected, or more
// Of log-odds, y says little: the weights differ from cell to cell. u is what a quartic through the five slopes misses
// of the log-odds, over what the trapezoids miss.
constexpr double smooth_enough_log_odds = 0.1; // x sqrt(y) u^2
constexpr double smooth_part_log_odds = 0.85;  // of sqrt(x z) D
constexpr double least_turn = 0.3;             // that u counts with
constexpr double most_change = 1.5;            // that x may be with
constexpr double least_part = 0.1;             // of what Simpson's values change by, whatever the scalars say
constexpr double most_growth = 4;
constexpr double own_share = 0.75; // of z squared: that of the cell, the rest is that of both halves
constexpr double pair_share = 0.25;
constexpr double least_missed = 0.03;  // a gap may be small by chance, or because the error lies across the path
constexpr double least_evidence = 0.1; // that z counts with where smoothness is judged
constexpr double least_visible = 0.05;
// Of D, elsewhere.
constexpr double rough_part = 0.92;
constexpr double rough_part_log_odds = 0.97;
// Errors add as random signs do, which holds for many cells and not for the worst two: of one error the sum is 1.39
// times the root of the squares, of many alike 0.74.
constexpr double of_many = 0.74;
constexpr double of_one = 0.65;
// Where every cell has many kinks, its halves are alike, and chance has little to say: below this mean unevenness of
// the rough cells, with so many of it counted beside them, the factor shrinks in proportion, but not by more than this.
constexpr double uneven = 0.2;
constexpr double uneven_cells = 8;
constexpr double least_evenness = 0.88;
// Log-odds that change by more than this between nodes hide where the probability rises.
constexpr double resolved_span = 3.5;
constexpr double span_unit = 8;

// Of a polynomial through five points one apart: 720 times its integrals from each to the next.
constexpr double quartic[4][5] = {
    {251, 646, -264, 106, -19}, {-19, 346, 456, -74, 11}, {11, -74, 456, 346, -19}, {-19, 106, -264, 646, 251}};

} // namespace

void Path::judge(const PathSettings& settings, const double* norms) {
    if (std::exchange(first_, false))
        note(settings, fresh_.front().parent, *norms++);
    for (std::size_t i = 0; i < fresh_.size(); ++i) {
        note(settings, fresh_[i].left, norms[4 * i]);
        note(settings, fresh_[i].right, norms[4 * i + 1]);
    }
    for (Pair& pair : fresh_) {
        const Look seen = look(settings, pair, norms[2], norms[3]);
        const double uneven_by = unevenness(pair);
        for (Cell* cell : {&pair.left, &pair.right}) {
            judge(settings, *cell, seen);
            cell->change = seen.change;
            cell->unevenness = uneven_by;
            leaves_.push_back(*cell);
        }
        norms += 4;
    }
    fresh_.clear();
    curve_ = std::exchange(next_, {});
    const double change = curve_.weights.empty() ? 0 : *norms++;
    size_ = *norms;
    double squares = 0;
    double errors = 0;
    double gap = 0;
    for (const Cell& cell : leaves_) {
        squares += square(cell.error);
        errors += cell.error;
        gap += cell.defect;
    }
    squares_ = closed_squares_ + squares;
    errors_ = closed_errors_ + errors;
    const double excess = std::max(std::abs(closed_defect_ + gap) - floor(settings), 0.0);
    error_ = std::sqrt(square(spread()) * squares_ + square(excess));
    by_spline_ = false;
    ratio_ = 1;
    if (!curve_.weights.empty() && std::isfinite(error_))
        try_spline(settings, change);
}

// What the scalars say of a cell as soon as its norm is there.
void Path::note(const PathSettings& settings, Cell& cell, double norm) {
    cell.norm = norm;
    cell.missed = std::max(std::abs(gap(settings, cell.simpson, cell)) - floor(settings), 0.0);
    sum_squares_ += square(along(cell.difference, cell));
    norm_squares_ += square(norm);
}

// The sum over the features of a combination of a cell's rows.
double Path::along(const Triple& coefficients, const Cell& cell) const {
    double sum = 0;
    for (std::size_t i = 0; i < 3; ++i)
        sum += coefficients[i] * nodes_[cell.nodes[i]].at.slope;
    return sum;
}

double Path::gap(const PathSettings& settings, const Triple& coefficients, const Cell& cell) const {
    return along(coefficients, cell) -
           rise(settings.log_odds, nodes_[cell.nodes[0]].at.value, nodes_[cell.nodes[2]].at.value);
}

// What a quartic through the five slopes misses of the values, over what trapezoids miss, root mean square. Kinks and
// jumps leave it near 1.
double Path::turns(const PathSettings& settings, const Pair& pair) const {
    const Point* at[] = {&nodes_[pair.left.nodes[0]].at, &nodes_[pair.left.nodes[1]].at, &nodes_[pair.left.nodes[2]].at,
                         &nodes_[pair.right.nodes[1]].at, &nodes_[pair.right.nodes[2]].at};
    const double h = (at[4]->alpha - at[0]->alpha) / 4;
    double line = 0;
    double curve = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const double value = at[i + 1]->value - at[i]->value;
        double sum = 0;
        for (std::size_t j = 0; j < 5; ++j)
            sum += quartic[i][j] * at[j]->slope;
        line += square(value - (at[i]->slope + at[i + 1]->slope) / 2 * h);
        curve += square(value - sum / 720 * h);
    }
    return std::max(std::sqrt(curve) - 2 * settings.noise * highest_, 0.0) / std::sqrt(line);
}

// The share of a norm that a sum over the features sees.
double Path::visible() const {
    return std::max(least_visible, std::sqrt(sum_squares_ / norm_squares_));
}

Path::Look Path::look(const PathSettings& settings, const Pair& pair, double both, double change) const {
    const double seen = visible();
    const double x = change / both;
    const double y = std::min(both / pair.parent.norm, most_growth);
    const double missed = (square(pair.left.missed) + square(pair.right.missed)) /
                          (square(pair.left.norm) + square(pair.right.norm)) / square(seen);
    const bool smooth =
        settings.log_odds ? x < most_change && x * std::sqrt(y) * square(std::max(least_turn, turns(settings, pair))) <
                                                   smooth_enough_log_odds
                          : x * square(y) * std::sqrt(std::sqrt(missed + square(least_evidence))) < smooth_enough;
    return {smooth, y, change, x, missed, seen};
}

// Below this a defect is rounding.
double Path::floor(const PathSettings& settings) const {
    return settings.noise * largest_;
}

// How the errors of the cells add: a factor on the root of the sum of their squares.
double Path::spread() const {
    return errors_ > 0 ? (of_many + of_one * (std::sqrt(squares_) / errors_)) * evenness() : 1;
}

// Of the norms of both halves of a cell: 0 where they are the same, 1 where all is in one of them.
double Path::unevenness(const Pair& pair) {
    const double left = square(pair.left.norm);
    const double right = square(pair.right.norm);
    return left + right > 0 ? square((left - right) / (left + right)) : 1;
}

double Path::evenness() const {
    double sum = uneven_cells * uneven;
    double count = uneven_cells;
    for (const Cell& cell : leaves_)
        if (!cell.smooth) {
            sum += cell.unevenness;
            count += 1;
        }
    return std::clamp(sum / count / uneven, least_evenness, 1.0);
}

double Path::largest_span(const Cell& cell) const {
    const auto value = [&](std::size_t i) { return nodes_[cell.nodes[i]].at.value; };
    return std::max(std::abs(value(1) - value(0)), std::abs(value(2) - value(1)));
}

// Factor on estimates where the log-odds change by so much from node to node.
double Path::resolution(const PathSettings& settings, double span) {
    return settings.log_odds ? 1 + std::max(span - resolved_span, 0.0) / span_unit : 1;
}

void Path::judge(const PathSettings& settings, Cell& cell, const Look& look) const {
    cell.smooth = look.smooth;
    cell.defect = gap(settings, cell.smooth ? cell.simpson : cell.two, cell);
    // z times the norm, which may be 0 where that of the pair is not.
    const double missed = std::sqrt(own_share * square(cell.missed / look.visible) +
                                    (pair_share * look.missed + square(least_missed)) * square(cell.norm));
    const double part = settings.log_odds ? smooth_part_log_odds : smooth_part * look.growth;
    const double rough = settings.log_odds ? rough_part_log_odds : rough_part;
    const double expected = cell.smooth
                                ? std::max(least_part * look.change, part * std::sqrt(look.share * missed * cell.norm))
                                : rough * cell.norm;
    const double excess = std::abs(cell.defect) - floor(settings);
    cell.error = std::max(settings.caution * resolution(settings, largest_span(cell)) * expected, excess);
}

} // namespace pyig
