// Which points of which path are evaluated next. Paths are admitted in order, and a path that is done makes room for
// others. First rounds come first, then the path that is furthest from its tolerance: it takes the most rounds, and the
// last calls are fuller when none of those is left to the end. The planner sees scalars; rows of gradients are numbers
// of slots to it.
//
// The rows in use are bounded. The oldest open path may always have as many as it can ever need, so it ends and the
// next one becomes the oldest: nothing waits for ever. The other paths share the rest; a round that does not fit waits,
// first come, first served.
#pragma once

#include "kernels/combinations.hpp"
#include "kernels/path.hpp"
#include "kernels/slots.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <vector>

namespace pyig {

struct PlannerSettings {
    PathSettings path;
    std::int64_t paths = 0;
    std::int64_t max_rows = 0; // in use at a time; below max_evals, one path at a time may still have that many
};

class Planner {
  public:
    struct Batch {
        std::vector<std::int64_t> paths;
        std::vector<double> alphas;
    };

    // Throws std::invalid_argument for settings that make no sense.
    explicit Planner(const PlannerSettings& settings);

    // At most `rows` pairs to evaluate, the same ones again until they are told; empty when no more are wanted, or when
    // norms are to be told or folds to be taken first.
    Batch ask(std::size_t rows);

    // Pairs asked and not yet told.
    std::size_t asked() const { return asked_; }

    // Values and slopes of the first `count` of these, count <= asked(). Returns the slots of their gradient rows.
    std::vector<std::int64_t> tell(const double* values, const double* slopes, std::size_t count);

    // Combinations whose L1 norms are wanted.
    const Combinations& requests() const { return requests_; }
    void tell_norms(const double* norms); // one for each

    // What is to be added to the totals of the paths before the next norms or rows; then the slots are free.
    Combinations folds();

    // Paths finished since the last call.
    std::vector<std::int64_t> finished();

    // Throws std::out_of_range for a path that does not exist, std::invalid_argument for one that is not finished.
    const std::vector<Path::Row>& record(std::int64_t path) const;

    // Finish every open path with what it has.
    void stop();

    std::size_t rows() const { return slots_.used(); }
    std::size_t peak_rows() const { return slots_.peak(); }
    std::size_t most_rows() const;
    const std::vector<double>& error() const { return error_; }
    const std::vector<double>& size() const { return size_; }
    const std::vector<std::int64_t>& n_evals() const { return n_evals_; }
    const std::vector<std::uint8_t>& converged() const { return converged_; }

  private:
    struct Pending {
        Path* path;
        Path::NodeId node;
    };

    // A node of a later round.
    struct Later {
        double distance; // of its path from the tolerance
        std::uint64_t number;
        Pending pending;

        bool operator<(const Later& other) const {
            return distance != other.distance ? distance < other.distance : number > other.number;
        }
    };

    struct Round {
        Path* path;
        std::vector<Path::NodeId> nodes;
    };

    std::size_t pending() const { return next_.size() + first_.size() + later_.size(); }
    bool fits(std::size_t path, std::size_t rows) const;
    void admit();
    void grant();
    void grant(const Round& round);
    void decide(Path& path);
    void finish(Path& path, bool converged);

    PlannerSettings settings_;
    std::size_t admitted_ = 0;
    std::size_t oldest_ = 0; // of the open paths
    std::size_t asked_ = 0;
    std::vector<std::unique_ptr<Path>> open_; // by index, null unless open
    std::deque<Round> waiting_;               // for rows
    std::deque<Pending> next_;                // in the order in which they are evaluated
    std::deque<Pending> first_;               // of first rounds
    std::priority_queue<Later> later_;
    std::uint64_t granted_ = 0;
    Slots slots_;
    Combinations requests_;
    std::vector<Path*> judged_next_; // the paths that wait for norms, in the order of their requests
    Combinations folds_;
    std::vector<std::int64_t> finished_;
    std::vector<std::vector<Path::Row>> records_;
    std::vector<double> error_;
    std::vector<double> size_;
    std::vector<std::int64_t> n_evals_;
    std::vector<std::uint8_t> converged_;
};

} // namespace pyig
