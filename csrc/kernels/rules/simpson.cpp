// Composite Simpson: parabolas over pairs of cells, so the number of nodes is odd.
#include "kernels/rules/rules.hpp"

#include <stdexcept>
#include <string>

namespace pyig::rules {

Rule simpson(std::size_t n) {
    require_at_least(3, n, "simpson");
    if (n % 2 == 0)
        throw std::invalid_argument("simpson: expected an odd n, because its parabolas span two cells; got " +
                                    std::to_string(n) + "; use " + std::to_string(n - 1) + " or " +
                                    std::to_string(n + 1));
    const auto cells = static_cast<double>(n - 1);
    Rule rule{std::vector<double>(n), std::vector<double>(n), 3};
    for (std::size_t i = 0; i < n; ++i) {
        rule.nodes[i] = static_cast<double>(i) / cells;
        rule.weights[i] = (i % 2 == 1 ? 4.0 : 2.0) / (3.0 * cells);
    }
    rule.weights.front() = rule.weights.back() = 1.0 / (3.0 * cells);
    return rule;
}

} // namespace pyig::rules
