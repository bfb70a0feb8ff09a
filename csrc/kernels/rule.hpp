// A quadrature rule is data: the driver that uses it knows no rule by name.
#pragma once

#include <cstddef>
#include <vector>

namespace pyig {

struct Rule {
    std::vector<double> nodes;   // ascending, in [0, 1]
    std::vector<double> weights; // sum to 1
    long long degree = 0;        // integrates polynomials up to this degree exactly, and not beyond
};

} // namespace pyig
