// Row indices come from outside, so they are looked at before they are used.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pyig {

// Position of the first index that is not in [0, limit); count when there is none.
inline std::size_t first_outside(const std::int64_t* indices, std::size_t count, std::size_t limit) {
    for (std::size_t i = 0; i < count; ++i)
        if (static_cast<std::uint64_t>(indices[i]) >= limit) // a negative index becomes a huge one
            return i;
    return count;
}

} // namespace pyig
