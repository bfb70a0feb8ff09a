// n equal cells, each represented by its left end.
#include "kernels/rules/rules.hpp"

namespace pyig::rules {

Rule riemann_left(std::size_t n) {
    require_at_least(1, n, "riemann_left");
    const auto cells = static_cast<double>(n);
    Rule rule{std::vector<double>(n), std::vector<double>(n, 1.0 / cells), 0};
    for (std::size_t i = 0; i < n; ++i)
        rule.nodes[i] = static_cast<double>(i) / cells;
    return rule;
}

} // namespace pyig::rules
