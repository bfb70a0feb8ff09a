#include "kernels/rule_cache.hpp"

#include <utility>

namespace pyig {

namespace {

std::size_t size_of(const Rule& rule) {
    return (rule.nodes.size() + rule.weights.size()) * sizeof(double) + 256; // and about this much of bookkeeping
}

} // namespace

RuleCache::Entry RuleCache::find(std::string_view name, std::size_t n) {
    const std::scoped_lock lock(mutex_);
    const auto found = index_.find(std::pair(name, n));
    if (found == index_.end())
        return nullptr;
    items_.splice(items_.begin(), items_, found->second);
    return found->second->rule;
}

RuleCache::Entry RuleCache::add(std::string_view name, std::size_t n, Rule rule) {
    const std::size_t size = size_of(rule);
    Entry entry = std::make_shared<const Rule>(std::move(rule));
    const std::scoped_lock lock(mutex_);
    if (const auto found = index_.find(std::pair(name, n)); found != index_.end())
        return found->second->rule;
    if (size > most_bytes_)
        return entry;
    while (bytes_ + size > most_bytes_) {
        const Item& oldest = items_.back();
        bytes_ -= size_of(*oldest.rule);
        index_.erase(oldest.key);
        items_.pop_back();
    }
    items_.push_front({Key(name, n), entry});
    index_.emplace(items_.front().key, items_.begin());
    bytes_ += size;
    return entry;
}

std::size_t RuleCache::bytes() const {
    const std::scoped_lock lock(mutex_);
    return bytes_;
}

void RuleCache::clear() {
    const std::scoped_lock lock(mutex_);
    index_.clear();
    items_.clear();
    bytes_ = 0;
}

} // namespace pyig
