// n equal cells, each represented by its middle.
#include "kernels/rules/rules.hpp"

namespace pyig::rules {

Rule riemann_middle(std::size_t n) {
    require_at_least(1, n, "riemann_middle");
    const auto cells = static_cast<double>(n);
    Rule rule{std::vector<double>(n), std::vector<double>(n, 1.0 / cells), 1};
    for (std::size_t i = 0; i < n; ++i)
        rule.nodes[i] = (static_cast<double>(i) + 0.5) / cells; // one rounding: 2i + 1 halves are exact
    return rule;
}

} // namespace pyig::rules
