// The rules by name.
#pragma once

#include "kernels/rule.hpp"

#include <string>
#include <vector>

namespace pyig {

std::vector<std::string> rule_names();

// Throws std::invalid_argument for an unknown name (listing the known ones) or an n that the rule does not allow.
Rule make_rule(const std::string& name, std::size_t n);

} // namespace pyig
