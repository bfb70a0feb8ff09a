// Linear combinations of gradient rows, one after the other: indptr[c] to indptr[c + 1] are the terms of number c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pyig {

struct Combinations {
    std::vector<std::int64_t> paths;
    std::vector<std::uint8_t> with_total; // the total of the path is to be added
    std::vector<std::int64_t> indptr{0};
    std::vector<std::int64_t> slots;
    std::vector<double> coefficients;

    std::size_t size() const { return paths.size(); }

    void term(std::int64_t slot, double coefficient) {
        slots.push_back(slot);
        coefficients.push_back(coefficient);
    }

    // The terms since the last `end` are one combination.
    void end(std::int64_t path, bool total) {
        paths.push_back(path);
        with_total.push_back(total);
        indptr.push_back(static_cast<std::int64_t>(slots.size()));
    }
};

} // namespace pyig
