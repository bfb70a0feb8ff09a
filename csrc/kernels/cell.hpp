// One cell of the path: how the gradients at its two ends are weighted.
#pragma once

#include <array>

namespace pyig {

// What is known of a point of the path. The value is F, or the log-odds s of a probability F = sigmoid(s); the slope is
// the value's derivative by alpha.
struct Point {
    double alpha;
    double value;
    double slope;
};

// Weights of the gradients at both ends of a cell.
struct Ends {
    double first;
    double last;
};

// The trapezoid for F. For log-odds, dF = sigmoid'(s) ds: the gradient of s is taken as linear over the cell, s itself
// as a cubic with the known slopes (as a line where that cubic would turn back), and sigmoid'(s) is integrated.
Ends end_weights(bool log_odds, const Point& first, const Point& last);

// What these weights of the slopes miss of the rise of F.
double missed(bool log_odds, const Ends& ends, const Point& first, const Point& last);

// Weights of what a cubic piece of a spline over a cell is made of: the gradients at both ends, and their second
// derivatives by alpha there. For log-odds as above.
struct SplinePart {
    Ends ends;
    Ends bends;
};
SplinePart spline_part(bool log_odds, const Point& first, const Point& last);

// Weights of the gradients at both ends and the middle of a cell, with the gradient (of s) a quadratic through them:
// Simpson's for F; for log-odds, s is taken over each half as above.
std::array<double, 3> simpson_weights(bool log_odds, const Point& first, const Point& middle, const Point& last);

// sigmoid'(s): what an error of s does to the probability.
double sigmoid_slope(double s);

// F at the second point less F at the first, for values of F or of its log-odds; probabilities near 1 do not cancel.
double rise(bool log_odds, double first, double last);

} // namespace pyig
