#include "kernels/planner.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace pyig {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::int64_t first_round = Path::first_round;
// Paths begin before they are needed to fill a batch: how long a path takes shows early, and the last ones leave fewer
// calls that are not full.
constexpr std::size_t batches_ahead = 4;
constexpr double least_width = 0x1p-50; // below, midpoints near 1 are no longer distinct

template <class T>
void require(bool holds, const char* name, const char* expected, T got) {
    if (holds)
        return;
    std::ostringstream text;
    text << name << ": expected " << expected << "; got " << got;
    throw std::invalid_argument(text.str());
}

PlannerSettings checked(const PlannerSettings& settings) {
    const PathSettings& path = settings.path;
    require(settings.paths >= 0, "paths", "0 or more", settings.paths);
    require(path.rtol >= 0 && std::isfinite(path.rtol), "rtol", "a finite number, 0 or more", path.rtol);
    require(path.max_evals >= first_round, "max_evals", "5 or more, the nodes of the first round", path.max_evals);
    require(path.caution > 0 && std::isfinite(path.caution), "caution", "a finite number above 0", path.caution);
    require(settings.max_rows >= first_round, "max_rows", "5 or more, the nodes of the first round", settings.max_rows);
    require(path.min_width >= least_width && path.min_width <= 1, "min_width", "a number from 2**-50 to 1",
            path.min_width);
    require(path.noise >= 0 && std::isfinite(path.noise), "noise", "a finite number, 0 or more", path.noise);
    return settings;
}

} // namespace

Planner::Planner(const PlannerSettings& settings)
    : settings_(checked(settings)), open_(static_cast<std::size_t>(settings.paths)), records_(open_.size()),
      error_(open_.size(), nan), size_(open_.size(), nan), n_evals_(open_.size()), converged_(open_.size()) {}

std::size_t Planner::most_rows() const {
    return static_cast<std::size_t>(std::max(settings_.max_rows, settings_.path.max_evals));
}

bool Planner::fits(std::size_t path, std::size_t rows) const {
    const std::size_t all = slots_.used() + pending();
    if (path == oldest_)
        return all + rows <= most_rows();
    const std::size_t others = all - open_[oldest_]->rows();
    return others + rows + static_cast<std::size_t>(settings_.path.max_evals) <= most_rows();
}

void Planner::admit() {
    auto path = std::make_unique<Path>(static_cast<std::int64_t>(admitted_));
    waiting_.push_back({path.get(), path->begin()});
    open_[admitted_++] = std::move(path);
}

void Planner::grant(const Round& round) {
    const bool begun = round.path->used() > 0;
    round.path->grant();
    for (const Path::NodeId node : round.nodes) {
        if (begun)
            later_.push({round.path->distance(), granted_++, {round.path, node}});
        else
            first_.push_back({round.path, node});
    }
}

void Planner::grant() {
    const auto index = [](const Round& round) { return static_cast<std::size_t>(round.path->index()); };
    while (!waiting_.empty() && fits(index(waiting_.front()), waiting_.front().nodes.size())) {
        grant(waiting_.front());
        waiting_.pop_front();
    }
    const auto oldest =
        std::find_if(waiting_.begin(), waiting_.end(), [&](const Round& round) { return index(round) == oldest_; });
    if (oldest != waiting_.end() && fits(oldest_, oldest->nodes.size())) {
        grant(*oldest);
        waiting_.erase(oldest);
    }
}

Planner::Batch Planner::ask(std::size_t rows) {
    grant();
    // Half of what the paths share is for the next rounds of those that have begun.
    const std::size_t kept = (most_rows() - static_cast<std::size_t>(settings_.path.max_evals)) / 2;
    while (waiting_.empty() && pending() < batches_ahead * rows && admitted_ < open_.size() &&
           fits(admitted_, first_round + kept)) {
        admit();
        grant();
    }
    while (next_.size() < rows && !first_.empty()) {
        next_.push_back(first_.front());
        first_.pop_front();
    }
    while (next_.size() < rows && !later_.empty()) {
        next_.push_back(later_.top().pending);
        later_.pop();
    }
    asked_ = std::min(rows, next_.size());
    Batch batch;
    batch.paths.reserve(asked_);
    batch.alphas.reserve(asked_);
    for (std::size_t i = 0; i < asked_; ++i) {
        batch.paths.push_back(next_[i].path->index());
        batch.alphas.push_back(next_[i].path->alpha(next_[i].node));
    }
    return batch;
}

std::vector<std::int64_t> Planner::tell(const double* values, const double* slopes, std::size_t count) {
    std::vector<std::int64_t> slots;
    slots.reserve(count);
    std::vector<Path*> ready;
    for (std::size_t i = 0; i < count; ++i) {
        const auto [path, node] = next_.front();
        next_.pop_front();
        slots.push_back(slots_.take());
        if (path->tell(node, values[i], slopes[i], slots.back()))
            ready.push_back(path);
    }
    asked_ -= count;
    for (Path* path : ready) {
        if (path->grow(settings_.path, requests_))
            judged_next_.push_back(path);
        else
            finish(*path, false);
    }
    return slots;
}

void Planner::tell_norms(const double* norms) {
    requests_ = {};
    for (Path* path : std::exchange(judged_next_, {})) {
        const std::size_t count = path->requests();
        path->judge(settings_.path, norms);
        norms += count;
        decide(*path);
    }
}

void Planner::decide(Path& path) {
    const auto index = static_cast<std::size_t>(path.index());
    error_[index] = path.error();
    size_[index] = path.size();
    const bool finite = std::isfinite(path.error()) && std::isfinite(path.size());
    const bool converged = finite && path.error() <= settings_.path.rtol * path.size();
    std::vector<Path::NodeId> next;
    if (finite && !converged)
        next = path.refine(settings_.path, folds_, slots_);
    if (next.empty())
        finish(path, converged);
    else
        waiting_.push_back({&path, next});
}

void Planner::finish(Path& path, bool converged) {
    const auto index = static_cast<std::size_t>(path.index());
    path.finish(folds_, slots_);
    n_evals_[index] = path.used();
    converged_[index] = converged;
    records_[index] = path.record();
    finished_.push_back(path.index());
    open_[index].reset();
    while (oldest_ < admitted_ && !open_[oldest_])
        ++oldest_;
}

Combinations Planner::folds() {
    slots_.recycle();
    return std::exchange(folds_, {});
}

std::vector<std::int64_t> Planner::finished() {
    return std::exchange(finished_, {});
}

const std::vector<Path::Row>& Planner::record(std::int64_t path) const {
    if (path < 0 || static_cast<std::size_t>(path) >= records_.size())
        throw std::out_of_range("path: expected 0 <= path < " + std::to_string(records_.size()) + "; got " +
                                std::to_string(path));
    const auto index = static_cast<std::size_t>(path);
    if (index >= admitted_ || open_[index])
        throw std::invalid_argument("path: expected a finished one; got " + std::to_string(path) +
                                    ", which is not finished");
    return records_[index];
}

void Planner::stop() {
    waiting_.clear();
    next_.clear();
    first_.clear();
    later_ = {};
    asked_ = 0;
    requests_ = {};
    judged_next_.clear();
    for (std::size_t index = 0; index < admitted_; ++index)
        if (open_[index])
            finish(*open_[index], false);
}

} // namespace pyig
