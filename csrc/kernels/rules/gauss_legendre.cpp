// Gauss-Legendre: the zeros of the Legendre polynomial P_n, in the angle theta with x = cos(theta) on [-1, 1].
//
// The node on [0, 1] is sin^2(theta / 2), which keeps every digit of the nodes that crowd at 0. At a zero the weight is
// 1 / P'^2 with P' = dP_n(cos theta)/dtheta: there P'' = -cot(theta) P', so an error of theta hardly reaches the
// weight, as it would in the usual formula in x.
#include "kernels/rules/rules.hpp"

#include "kernels/rules/legendre_series.hpp"

#include <array>
#include <cmath>

namespace pyig::rules {

namespace {

constexpr double pi = 3.14159265358979323846;

// The k-th zero of J0, k = 1, 2, ...: McMahon's expansion; and 1 / (j J1(j)^2), where 2 / (pi j J1 Y0) = 1 at a zero
// and the expansion of J0^2 + Y0^2 gives Y0.
BesselZero bessel_zero(std::size_t k) {
    if (k <= tabulated_zeros)
        return bessel_zeros[k - 1];
    const double b = (static_cast<double>(k) - 0.25) * pi;
    const double r = 1 / (b * b);
    const double shift = 1.0 / 8 + r * (-31.0 / 384 + r * (3779.0 / 15360 - r * (6277237.0 / 3440640)));
    const double zero = b + shift / b;
    const double s = 1 / (zero * zero);
    const double modulus =
        1 +
        s * (-1.0 / 8 + s * (27.0 / 128 + s * (-1125.0 / 1024 + s * (385875.0 / 32768 - s * (56260575.0 / 262144)))));
    return {zero, pi / 2 * modulus};
}

struct Zero {
    double theta;
    double weight;
};

// The expansion of legendre_series.hpp for one n: constant work per node.
class Expansion {
  public:
    explicit Expansion(std::size_t n) : v_(1 / (static_cast<double>(n) + 0.5)) {
        double power = 1;
        for (const auto& order : series) {
            power *= v_ * v_;
            for (std::size_t m = 0; m < series_terms; ++m) {
                position_[m] += power * order[m];
                speed_[m] += power * order[m] * static_cast<double>(2 * m + 1);
            }
        }
    }

    Zero zero(std::size_t k) const {
        const BesselZero bessel = bessel_zero(k);
        const double x = bessel.zero * v_;
        const double t = x * x;
        double position = 0;
        double speed = 0;
        for (std::size_t m = series_terms; m-- > 0;) {
            position = position * t + position_[m];
            speed = speed * t + speed_[m];
        }
        const double theta = x + x * position;
        return {theta, std::sin(theta) * (1 + speed) * v_ * bessel.strength};
    }

  private:
    double v_;
    std::array<double, series_terms> position_{};
    std::array<double, series_terms> speed_{};
};

// For few nodes: Newton's method. Differences d = P_{i+1} - P_i keep the digits that x P_i - P_{i-1} loses near x = 1.
Zero polished(std::size_t n, double theta) {
    const auto order = static_cast<double>(n);
    double slope = 1;
    for (int sweep = 0; sweep < 4; ++sweep) { // errors 5e-3, 1e-5, 1e-10, none, whatever the n
        const double u = 2 * std::sin(theta / 2) * std::sin(theta / 2); // 1 - x
        double p = 1;
        double d = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const auto step = static_cast<double>(i);
            d = (step * d - (2 * step + 1) * u * p) / (step + 1);
            p += d;
        }
        slope = order * (d - u * p) / std::sin(theta);
        theta -= p / slope;
    }
    return {theta, 1 / (slope * slope)};
}

} // namespace

Rule gauss_legendre(std::size_t n) {
    require_at_least(1, n, "gausslegendre");
    Rule rule{std::vector<double>(n), std::vector<double>(n), 2 * static_cast<long long>(n) - 1};
    const Expansion expansion(n);
    for (std::size_t k = 0; k < (n + 1) / 2; ++k) {
        Zero zero = expansion.zero(k + 1);
        if (n < least_expanded)
            zero = polished(n, zero.theta);
        const double half = std::sin(zero.theta / 2);
        rule.nodes[k] = half * half;
        rule.nodes[n - 1 - k] = 1 - half * half;
        rule.weights[k] = rule.weights[n - 1 - k] = zero.weight;
    }
    if (n % 2 == 1)
        rule.nodes[n / 2] = 0.5;
    return rule;
}

} // namespace pyig::rules
