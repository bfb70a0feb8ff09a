// A cubic spline through what is known at the nodes of a path, integrated over the path.
//
// The third derivative is the same in the first two intervals, and in the last two ("not a knot"), so cubics are exact.
#pragma once

#include "kernels/cell.hpp"

#include <cstddef>
#include <vector>

namespace pyig {

class Spline {
  public:
    // At least five points, by rising alpha; the first two intervals are equally wide, and the last two, for they are
    // halves of a cell.
    Spline(bool log_odds, std::vector<Point> points);

    // Of the gradients at the points: the integral of the spline through them.
    std::vector<double> weights() const;

    // What the spline through the slopes misses of the values, from each point to the next.
    std::vector<double> gaps() const;

    // What straight lines between the slopes miss of them.
    const std::vector<double>& straight_gaps() const { return straight_gaps_; }

    // The weights of the trapezoids.
    const std::vector<double>& straight_weights() const { return straight_weights_; }

  private:
    // Equations of the second derivatives at the inner points.
    struct Row {
        double lower;
        double diagonal;
        double upper;
    };

    std::size_t last() const { return points_.size() - 1; }
    double width(std::size_t i) const { return points_[i + 1].alpha - points_[i].alpha; }
    static void solve(std::vector<Row> rows, std::vector<double>& known);

    std::vector<Point> points_;
    std::vector<Ends> bends_; // weights of the second derivatives at both ends of each interval
    std::vector<double> straight_gaps_;
    std::vector<double> straight_weights_;
    std::vector<Row> rows_;
};

} // namespace pyig
