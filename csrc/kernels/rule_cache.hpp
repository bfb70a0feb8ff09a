// The rules used last, up to a number of bytes.
#pragma once

#include "kernels/rule.hpp"

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

namespace pyig {

// Find and add are short and never wait for anything else, so a caller may hold a lock of its own around them. A rule
// is made between the two, outside of any lock: two threads that miss together both make it, and one copy is kept.
class RuleCache {
  public:
    using Entry = std::shared_ptr<const Rule>;

    explicit RuleCache(std::size_t most_bytes) : most_bytes_(most_bytes) {}

    // The rule, now the most recent one; null when absent.
    Entry find(std::string_view name, std::size_t n);

    // Keep the rule, and drop the oldest until all fit. A rule larger than the whole cache is returned but not kept.
    Entry add(std::string_view name, std::size_t n, Rule rule);

    std::size_t bytes() const;
    void clear();

  private:
    using Key = std::pair<std::string, std::size_t>;
    struct Item {
        Key key;
        Entry rule;
    };
    using Items = std::list<Item>;

    struct Less {
        using is_transparent = void;
        template <class A, class B>
        bool operator()(const A& a, const B& b) const {
            return std::tuple<std::string_view, std::size_t>(a.first, a.second) <
                   std::tuple<std::string_view, std::size_t>(b.first, b.second);
        }
    };

    std::size_t most_bytes_;
    std::size_t bytes_ = 0;
    Items items_; // most recent first
    std::map<Key, Items::iterator, Less> index_;
    mutable std::mutex mutex_;
};

} // namespace pyig
