#include "kernels/cell.hpp"

#include <algorithm>
#include <cmath>

namespace pyig {

namespace {

struct GaussNode {
    double x; // on [-1, 1]
    double weight;
};

// Gauss-Legendre with five nodes.
constexpr GaussNode gauss[] = {
    {-0.906179845938664, 0.23692688505618908}, {-0.5384693101056831, 0.47862867049936647}, {0.0, 0.5688888888888889},
    {0.5384693101056831, 0.47862867049936647}, {0.906179845938664, 0.23692688505618908},
};

// Over a span of 2 in s sigmoid' is nearly a polynomial; a span of 128 is a cliff however finely it is cut.
constexpr double panel_span = 2;
constexpr int most_panels = 64;

// Two forms, since exp of a large positive number overflows.
double sigmoid(double s) {
    if (s >= 0)
        return 1 / (1 + std::exp(-s));
    const double e = std::exp(s);
    return e / (1 + e);
}

// With end slopes between 0 and 3 times the mean slope, the cubic through both ends is monotone.
bool keeps_direction(double slope, double mean) {
    return 0 <= slope / mean && slope / mean <= 3;
}

Ends log_odds_weights(const Point& first, const Point& last) {
    const double h = last.alpha - first.alpha;
    const double span = last.value - first.value;
    const double e0 = first.slope * h;
    const double e1 = last.slope * h;
    const bool cubic = span != 0 && keeps_direction(e0, span) && keeps_direction(e1, span);
    const double wanted = std::ceil(std::abs(span) / panel_span);
    const int panels = wanted < most_panels ? std::max(1, static_cast<int>(wanted)) : most_panels;
    Ends ends{0, 0};
    for (int panel = 0; panel < panels; ++panel)
        for (const GaussNode& node : gauss) {
            const double t = (panel + (node.x + 1) / 2) / panels;
            const double bend = cubic ? e0 + t * (3 * span - 2 * e0 - e1 + t * (e0 + e1 - 2 * span)) : span;
            const double p = sigmoid(-std::abs(first.value + t * bend)); // not above 1/2, so 1 - p keeps its digits
            const double weight = node.weight / 2 / panels * h * p * (1 - p);
            ends.first += weight * (1 - t);
            ends.last += weight * t;
        }
    return ends;
}

} // namespace

Ends end_weights(bool log_odds, const Point& first, const Point& last) {
    if (log_odds)
        return log_odds_weights(first, last);
    const double half = (last.alpha - first.alpha) / 2;
    return {half, half};
}

double rise(bool log_odds, double first, double last) {
    if (!log_odds)
        return last - first;
    if (first > 0 && last > 0)
        return sigmoid(-first) - sigmoid(-last);
    return sigmoid(last) - sigmoid(first);
}

} // namespace pyig
