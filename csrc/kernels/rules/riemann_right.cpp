// n equal cells, each represented by its right end.
#include "kernels/rules/rules.hpp"

namespace pyig::rules {

Rule riemann_right(std::size_t n) {
    require_at_least(1, n, "riemann_right");
    const auto cells = static_cast<double>(n);
    Rule rule{std::vector<double>(n), std::vector<double>(n, 1.0 / cells), 0};
    for (std::size_t i = 0; i < n; ++i)
        rule.nodes[i] = static_cast<double>(i + 1) / cells;
    return rule;
}

} // namespace pyig::rules
