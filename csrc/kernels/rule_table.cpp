#include "kernels/rule_table.hpp"

#include "kernels/rules/rules.hpp"

#include <stdexcept>

namespace pyig {

namespace {

struct Row {
    const char* name;
    Rule (*make)(std::size_t n);
};

// To add a rule: write csrc/kernels/rules/<rule>.cpp, declare it in rules.hpp, and add its row here.
constexpr Row table[] = {
    {"gausslegendre", rules::gauss_legendre},        {"riemann_left", rules::riemann_left},
    {"riemann_right", rules::riemann_right},         {"riemann_middle", rules::riemann_middle},
    {"riemann_trapezoid", rules::riemann_trapezoid}, {"simpson", rules::simpson},
};

// A rule of this size takes 160 MB; a larger n is a slip of the keyboard rather than a wish.
constexpr std::size_t largest = 10'000'000;

std::string known() {
    std::string list;
    for (const Row& row : table)
        list += (list.empty() ? "" : ", ") + std::string(row.name);
    return list;
}

} // namespace

std::vector<std::string> rule_names() {
    std::vector<std::string> names;
    for (const Row& row : table)
        names.emplace_back(row.name);
    return names;
}

Rule make_rule(const std::string& name, std::size_t n) {
    for (const Row& row : table) {
        if (name != row.name)
            continue;
        if (n > largest)
            throw std::invalid_argument(name + ": expected n <= " + std::to_string(largest) + "; got " +
                                        std::to_string(n));
        return row.make(n);
    }
    throw std::invalid_argument("unknown rule '" + name + "'; known: " + known());
}

namespace rules {

void require_at_least(std::size_t least, std::size_t n, const char* rule) {
    if (n < least)
        throw std::invalid_argument(std::string(rule) + ": expected n >= " + std::to_string(least) + "; got " +
                                    std::to_string(n));
}

} // namespace rules

} // namespace pyig
