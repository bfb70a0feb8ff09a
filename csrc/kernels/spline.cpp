#include "kernels/spline.hpp"

#include <utility>

namespace pyig {

Spline::Spline(bool log_odds, std::vector<Point> points)
    : points_(std::move(points)), straight_weights_(points_.size()) {
    for (std::size_t i = 0; i < last(); ++i) {
        const auto [ends, bends] = spline_part(log_odds, points_[i], points_[i + 1]);
        straight_weights_[i] += ends.first;
        straight_weights_[i + 1] += ends.last;
        straight_gaps_.push_back(missed(log_odds, ends, points_[i], points_[i + 1]));
        bends_.push_back(bends);
    }
    for (std::size_t i = 1; i < last(); ++i)
        rows_.push_back({width(i - 1), 2 * (width(i - 1) + width(i)), width(i)});
    // At the ends the second derivative goes on along a line: twice the next one less the one after it.
    rows_.front().diagonal += 2 * width(0);
    rows_.front().upper -= width(0);
    rows_.back().diagonal += 2 * width(last() - 1);
    rows_.back().lower -= width(last() - 1);
}

// Elimination without pivots, for each diagonal outweighs its row and its column.
void Spline::solve(std::vector<Row> rows, std::vector<double>& known) {
    for (std::size_t i = 1; i < rows.size(); ++i) {
        const double factor = rows[i].lower / rows[i - 1].diagonal;
        rows[i].diagonal -= factor * rows[i - 1].upper;
        known[i] -= factor * known[i - 1];
    }
    known.back() /= rows.back().diagonal;
    for (std::size_t i = rows.size() - 1; i-- > 0;)
        known[i] = (known[i] - rows[i].upper * known[i + 1]) / rows[i].diagonal;
}

std::vector<double> Spline::weights() const {
    std::vector<double> weights = straight_weights_;
    std::vector<double> bends(points_.size());
    for (std::size_t i = 0; i < last(); ++i) {
        bends[i] += bends_[i].first;
        bends[i + 1] += bends_[i].last;
    }
    bends[1] += 2 * bends[0];
    bends[2] -= bends[0];
    bends[last() - 1] += 2 * bends[last()];
    bends[last() - 2] -= bends[last()];
    std::vector<double> inner(bends.begin() + 1, bends.end() - 1);
    std::vector<Row> transposed = rows_;
    for (std::size_t i = 0; i + 1 < rows_.size(); ++i) {
        transposed[i].upper = rows_[i + 1].lower;
        transposed[i + 1].lower = rows_[i].upper;
    }
    solve(std::move(transposed), inner);
    for (std::size_t i = 1; i < last(); ++i) {
        const double before = 6 * inner[i - 1] / width(i - 1);
        const double after = 6 * inner[i - 1] / width(i);
        weights[i - 1] += before;
        weights[i] -= before + after;
        weights[i + 1] += after;
    }
    return weights;
}

std::vector<double> Spline::gaps() const {
    std::vector<double> inner;
    for (std::size_t i = 1; i < last(); ++i)
        inner.push_back(6 * ((points_[i + 1].slope - points_[i].slope) / width(i) -
                             (points_[i].slope - points_[i - 1].slope) / width(i - 1)));
    solve(rows_, inner);
    std::vector<double> bends(points_.size());
    for (std::size_t i = 1; i < last(); ++i)
        bends[i] = inner[i - 1];
    bends[0] = 2 * bends[1] - bends[2];
    bends[last()] = 2 * bends[last() - 1] - bends[last() - 2];
    std::vector<double> gaps = straight_gaps_;
    for (std::size_t i = 0; i < last(); ++i)
        gaps[i] += bends_[i].first * bends[i] + bends_[i].last * bends[i + 1];
    return gaps;
}

} // namespace pyig
