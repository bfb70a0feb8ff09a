// n - 1 equal cells between n nodes. The inner nodes weigh one cell, the ends half a cell: the weights sum to 1, which
// dividing by n instead of n - 1 would miss by 1/n.
#include "kernels/rules/rules.hpp"

namespace pyig::rules {

Rule riemann_trapezoid(std::size_t n) {
    require_at_least(2, n, "riemann_trapezoid");
    const auto cells = static_cast<double>(n - 1);
    Rule rule{std::vector<double>(n), std::vector<double>(n, 1.0 / cells), 1};
    for (std::size_t i = 0; i < n; ++i)
        rule.nodes[i] = static_cast<double>(i) / cells;
    rule.weights.front() = rule.weights.back() = 0.5 / cells;
    return rule;
}

} // namespace pyig::rules
