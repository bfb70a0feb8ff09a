// The makers behind the rule table: one function and one file per rule. Each throws std::invalid_argument for an n that
// the rule does not allow.
#pragma once

#include "kernels/rule.hpp"

namespace pyig::rules {

Rule gauss_legendre(std::size_t n);
Rule riemann_left(std::size_t n);
Rule riemann_right(std::size_t n);
Rule riemann_middle(std::size_t n);
Rule riemann_trapezoid(std::size_t n);
Rule simpson(std::size_t n);

// Throws unless n >= least, naming the rule.
void require_at_least(std::size_t least, std::size_t n, const char* rule);

} // namespace pyig::rules
