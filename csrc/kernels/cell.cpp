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

// Call use(t, weight) for t in [0, 1] so that the weights add up to the integral of sigmoid'(s) over the cell.
template <class Use>
void integrate(const Point& first, const Point& last, Use use) {
    const double h = last.alpha - first.alpha;
    const double span = last.value - first.value;
    const double e0 = first.slope * h;
    const double e1 = last.slope * h;
    const bool cubic = span != 0 && keeps_direction(e0, span) && keeps_direction(e1, span);
    const double wanted = std::ceil(std::abs(span) / panel_span);
    const int panels = wanted < most_panels ? std::max(1, static_cast<int>(wanted)) : most_panels;
    for (int panel = 0; panel < panels; ++panel)
        for (const GaussNode& node : gauss) {
            const double t = (panel + (node.x + 1) / 2) / panels;
            const double bend = cubic ? e0 + t * (3 * span - 2 * e0 - e1 + t * (e0 + e1 - 2 * span)) : span;
            use(t, node.weight / 2 / panels * h * sigmoid_slope(first.value + t * bend));
        }
}

} // namespace

double sigmoid_slope(double s) {
    const double p = sigmoid(-std::abs(s)); // not above 1/2, so 1 - p keeps its digits
    return p * (1 - p);
}

Ends end_weights(bool log_odds, const Point& first, const Point& last) {
    if (!log_odds) {
        const double half = (last.alpha - first.alpha) / 2;
        return {half, half};
    }
    Ends ends{0, 0};
    integrate(first, last, [&](double t, double weight) {
        ends.first += weight * (1 - t);
        ends.last += weight * t;
    });
    return ends;
}

double missed(bool log_odds, const Ends& ends, const Point& first, const Point& last) {
    return ends.first * first.slope + ends.last * last.slope - rise(log_odds, first.value, last.value);
}

SplinePart spline_part(bool log_odds, const Point& first, const Point& last) {
    const double h = last.alpha - first.alpha;
    const double unit = h * h / 6;
    if (!log_odds) {
        const double bend = -h * unit / 4;
        return {{h / 2, h / 2}, {bend, bend}};
    }
    SplinePart part{};
    integrate(first, last, [&](double t, double weight) {
        const double u = 1 - t;
        part.ends.first += weight * u;
        part.ends.last += weight * t;
        part.bends.first += weight * (u * u * u - u) * unit;
        part.bends.last += weight * (t * t * t - t) * unit;
    });
    return part;
}

std::array<double, 3> simpson_weights(bool log_odds, const Point& first, const Point& middle, const Point& last) {
    const double h = last.alpha - first.alpha;
    if (!log_odds)
        return {h / 6, h * 2 / 3, h / 6};
    std::array<double, 3> weights{};
    const auto half = [&](double offset) {
        return [&weights, offset](double t, double weight) {
            const double u = (offset + t) / 2;
            weights[0] += weight * (1 - u) * (1 - 2 * u);
            weights[1] += weight * 4 * u * (1 - u);
            weights[2] += weight * u * (2 * u - 1);
        };
    };
    integrate(first, middle, half(0));
    integrate(middle, last, half(1));
    return weights;
}

double rise(bool log_odds, double first, double last) {
    if (!log_odds)
        return last - first;
    if (first > 0 && last > 0)
        return sigmoid(-first) - sigmoid(-last);
    return sigmoid(last) - sigmoid(first);
}

} // namespace pyig
