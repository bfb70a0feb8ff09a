// Gauss-Legendre: plain Newton in theta, x = cos(theta).
#include "kernels/rules/rules.hpp"

#include <cmath>

namespace pyig::rules {

Rule gauss_legendre(std::size_t n) {
    require_at_least(1, n, "gausslegendre");
    const auto order = static_cast<double>(n);
    Rule rule{std::vector<double>(n), std::vector<double>(n), 2 * static_cast<long long>(n) - 1};
    for (std::size_t k = 0; k < (n + 1) / 2; ++k) {
        double theta = 3.14159265358979323846 * (static_cast<double>(k) + 0.75) / (order + 0.5);
        double slope = 1;
        for (int sweep = 0; sweep < 4; ++sweep) {
            const double u2 = 2 * std::sin(theta / 2) * std::sin(theta / 2);
            double p = 1;
            double d = 0;
            for (std::size_t i = 0; i < n; ++i) {
                const auto step = static_cast<double>(i);
                d = (step * d - (2 * step + 1) * u2 * p) / (step + 1);
                p += d;
            }
            slope = order * (d - u2 * p) / std::sin(theta) * -1;
            slope = -slope;
            theta -= p / slope;
        }
        const double low = std::sin(theta / 2) * std::sin(theta / 2);
        rule.nodes[k] = low;
        rule.nodes[n - 1 - k] = 2 * k + 1 == n ? 0.5 : 1 - low;
        rule.weights[k] = rule.weights[n - 1 - k] = 1 / (slope * slope);
    }
    if (n % 2 == 1)
        rule.nodes[n / 2] = 0.5;
    return rule;
}

} // namespace pyig::rules
