// Numbers of the rows that hold gradients: handed out, given back, used again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pyig {

class Slots {
  public:
    std::int64_t take() {
        peak_ = std::max(peak_, ++used_);
        if (free_.empty())
            return capacity_++;
        const std::int64_t slot = free_.back();
        free_.pop_back();
        return slot;
    }

    // The row is still to be read by the sums handed out next, so it is not free before `recycle`.
    void release(std::int64_t slot) { released_.push_back(slot); }

    void recycle() {
        used_ -= released_.size();
        free_.insert(free_.end(), released_.begin(), released_.end());
        released_.clear();
    }

    std::size_t used() const { return used_; }
    std::size_t peak() const { return peak_; }

  private:
    std::size_t used_ = 0;
    std::size_t peak_ = 0;
    std::int64_t capacity_ = 0;
    std::vector<std::int64_t> free_; // the last one is used next
    std::vector<std::int64_t> released_;
};

} // namespace pyig
