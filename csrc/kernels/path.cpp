#include "kernels/path.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pyig {

namespace {

// Refining on to this share of the tolerance saves a round.
constexpr double aim = 0.9;
// A cell below this part of its share of the tolerance is folded, and its rows are free.
constexpr double negligible = 0.05;

constexpr double start[Path::first_round] = {0, 0.25, 0.5, 0.75, 1};

} // namespace

// A combination of the rows of many cells; the node met first comes first.
class Path::Total {
  public:
    explicit Total(std::size_t nodes) : place_(nodes, none) {}

    void add(const Cell& cell) {
        for (std::size_t i = 0; i < 3; ++i) {
            std::size_t& place = place_[cell.nodes[i]];
            if (place == none) {
                place = terms_.size();
                terms_.push_back({cell.nodes[i], 0});
            }
            terms_[place].coefficient += cell.coefficient(i);
        }
    }

    const std::vector<Term>& terms() const { return terms_; }

  private:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    std::vector<std::size_t> place_;
    std::vector<Term> terms_;
};

Path::NodeId Path::add_node(double alpha) {
    Node node{};
    node.at.alpha = alpha;
    nodes_.push_back(node);
    ++waiting_;
    return static_cast<NodeId>(nodes_.size() - 1);
}

std::vector<Path::NodeId> Path::begin() {
    std::vector<NodeId> nodes;
    for (const double alpha : start)
        nodes.push_back(add_node(alpha));
    return nodes;
}

bool Path::tell(NodeId node, double value, double slope, std::int64_t slot) {
    Node& told = nodes_[node];
    told.at.value = value;
    told.at.slope = slope;
    told.slot = slot;
    told.held = true;
    finite_ = finite_ && std::isfinite(value) && std::isfinite(slope);
    ++used_;
    return --waiting_ == 0;
}

Path::Cell Path::make_cell(const PathSettings& settings, NodeId a, NodeId m, NodeId b, Ends whole) {
    Cell cell{};
    cell.nodes = {a, m, b};
    cell.left = end_weights(settings.log_odds, nodes_[a].at, nodes_[m].at);
    cell.right = end_weights(settings.log_odds, nodes_[m].at, nodes_[b].at);
    cell.two = {cell.left.first, cell.left.last + cell.right.first, cell.right.last};
    cell.difference = {cell.two[0] - whole.first, cell.two[1], cell.two[2] - whole.last};
    cell.simpson = simpson_weights(settings.log_odds, nodes_[a].at, nodes_[m].at, nodes_[b].at);
    cell.missed_by_halves = {missed(settings.log_odds, cell.left, nodes_[a].at, nodes_[m].at),
                             missed(settings.log_odds, cell.right, nodes_[m].at, nodes_[b].at)};
    for (const NodeId node : cell.nodes)
        ++nodes_[node].users;
    return cell;
}

Path::Split Path::root(const PathSettings& settings) {
    return {make_cell(settings, 0, 2, 4, end_weights(settings.log_odds, nodes_[0].at, nodes_[4].at)), 1, 3};
}

bool Path::grow(const PathSettings& settings, Combinations& requests) {
    if (!finite_)
        return false;
    for (const Node& node : nodes_) {
        highest_ = std::max(highest_, std::abs(node.at.value));
        largest_ = std::max(largest_, settings.log_odds ? sigmoid_slope(node.at.value) * (1 + std::abs(node.at.value))
                                                        : std::abs(node.at.value));
    }
    if (first_) {
        splits_.push_back(root(settings));
        const Cell& whole = splits_.back().cell;
        for (std::size_t i = 0; i < 3; ++i)
            requests.term(nodes_[whole.nodes[i]].slot, whole.difference[i]);
        requests.end(index_, false);
    }
    for (const Split& split : splits_) {
        const auto [a, m, b] = split.cell.nodes;
        fresh_.push_back({make_cell(settings, a, split.left, m, split.cell.left),
                          make_cell(settings, m, split.right, b, split.cell.right), split.cell});
        for (const NodeId node : split.cell.nodes) // the halves use them too: no row becomes free
            --nodes_[node].users;
    }
    splits_.clear();
    for (const Pair& pair : fresh_)
        request(pair, requests);
    next_ = curve(settings);
    if (!next_.weights.empty())
        request_curve(requests);
    const Total all = total();
    for (const auto& [node, coefficient] : all.terms())
        requests.term(nodes_[node].slot, coefficient);
    requests.end(index_, true);
    return true;
}

// The differences of both halves, their sum, and how Simpson's value changed since the parent.
void Path::request(const Pair& pair, Combinations& requests) const {
    const auto slot = [&](const Cell& cell, std::size_t i) { return nodes_[cell.nodes[i]].slot; };
    for (const Cell* cell : {&pair.left, &pair.right}) {
        for (std::size_t i = 0; i < 3; ++i)
            requests.term(slot(*cell, i), cell->difference[i]);
        requests.end(index_, false);
    }
    const std::int64_t slots[] = {slot(pair.left, 0), slot(pair.left, 1), slot(pair.left, 2), slot(pair.right, 1),
                                  slot(pair.right, 2)};
    const auto sum = [&](const Triple& left, const Triple& right, const Triple& parent) {
        const double terms[] = {left[0] - parent[0], left[1], left[2] + right[0] - parent[1], right[1],
                                right[2] - parent[2]};
        for (std::size_t i = 0; i < 5; ++i)
            requests.term(slots[i], terms[i]);
        requests.end(index_, false);
    };
    sum(pair.left.difference, pair.right.difference, {});
    sum(pair.left.simpson, pair.right.simpson, pair.parent.simpson);
}

// Leaves in the order of their errors, until the rest is small enough; not more than `room`.
std::vector<std::size_t> Path::worst(const PathSettings& settings, std::size_t room) const {
    const auto at = [this](std::size_t leaf, std::size_t i) { return alpha(leaves_[leaf].nodes[i]); };
    std::vector<std::size_t> order;
    for (std::size_t leaf = 0; leaf < leaves_.size(); ++leaf)
        if (at(leaf, 2) - at(leaf, 0) > 2 * settings.min_width)
            order.push_back(leaf);
    std::sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
        return std::pair(-leaves_[x].error, at(x, 0)) < std::pair(-leaves_[y].error, at(y, 0));
    });
    const double goal = square(aim * settings.rtol * size_ / (spread() * ratio_));
    double rest = squares_;
    std::size_t count = 0;
    for (; count < order.size() && (count == 0 || !(rest <= goal)); ++count)
        rest -= square(leaves_[order[count]].error);
    order.resize(std::min(count, room));
    return order;
}

std::vector<Path::NodeId> Path::refine(const PathSettings& settings, Combinations& folds, Slots& slots) {
    const std::int64_t room = std::max<std::int64_t>(0, settings.max_evals - used_) / 2;
    const std::vector<std::size_t> chosen = worst(settings, static_cast<std::size_t>(room));
    std::vector<NodeId> nodes;
    if (chosen.empty())
        return nodes;
    const std::size_t leaves = leaves_.size();
    const bool keep = may_take_spline(nodes_.size() + 2 * chosen.size());
    for (const std::size_t leaf : chosen) {
        const Cell& cell = leaves_[leaf];
        const double middle = alpha(cell.nodes[1]);
        nodes.push_back(add_node((alpha(cell.nodes[0]) + middle) / 2));
        nodes.push_back(add_node((middle + alpha(cell.nodes[2])) / 2));
        splits_.push_back({cell, nodes[nodes.size() - 2], nodes.back()});
    }
    remove(chosen);
    if (!keep)
        close_negligible(negligible * settings.rtol * size_ / std::sqrt(static_cast<double>(leaves)), folds, slots);
    return nodes;
}

void Path::remove(const std::vector<std::size_t>& chosen) {
    std::vector<bool> gone(leaves_.size());
    for (const std::size_t leaf : chosen)
        gone[leaf] = true;
    std::size_t kept = 0;
    for (std::size_t leaf = 0; leaf < leaves_.size(); ++leaf)
        if (!gone[leaf])
            leaves_[kept++] = leaves_[leaf];
    leaves_.resize(kept);
}

// Cells whose error is far below their share need not keep their rows.
void Path::close_negligible(double limit, Combinations& folds, Slots& slots) {
    const auto closing =
        std::stable_partition(leaves_.begin(), leaves_.end(), [=](const Cell& cell) { return !(cell.error <= limit); });
    if (closing == leaves_.end())
        return;
    Total total(nodes_.size());
    for (auto cell = closing; cell != leaves_.end(); ++cell) {
        total.add(*cell);
        closed_squares_ += square(cell->error);
        closed_errors_ += cell->error;
        closed_defect_ += cell->defect;
    }
    fold(total.terms(), folds);
    whole_rows_ = false;
    for (auto cell = closing; cell != leaves_.end(); ++cell)
        for (const NodeId node : cell->nodes)
            if (--nodes_[node].users == 0)
                release(nodes_[node], slots);
    leaves_.erase(closing, leaves_.end());
}

Path::Total Path::total() const {
    Total total(nodes_.size());
    for (const Cell& cell : leaves_)
        total.add(cell);
    for (const Pair& pair : fresh_) {
        total.add(pair.left);
        total.add(pair.right);
    }
    return total;
}

void Path::fold(const std::vector<Term>& terms, Combinations& folds) {
    for (const auto& [node, coefficient] : terms) {
        nodes_[node].weight += coefficient;
        folds.term(nodes_[node].slot, coefficient);
    }
    folds.end(index_, false);
}

void Path::release(Node& node, Slots& slots) {
    if (!node.held)
        return;
    slots.release(node.slot);
    node.held = false;
    --rows_;
}

// The cells that the last estimate is about. Without one, those there are.
std::vector<Path::Cell> Path::judged() const {
    std::vector<Cell> cells = leaves_;
    for (const Split& split : splits_)
        cells.push_back(split.cell);
    for (const Pair& pair : fresh_)
        if (first_)
            cells.insert(cells.end(), {pair.left, pair.right});
        else
            cells.push_back(pair.parent);
    return cells;
}

void Path::finish(Combinations& folds, Slots& slots) {
    if (by_spline_) {
        fold(curve_.weights, folds);
    } else {
        std::vector<Cell> cells = judged();
        place_kinks(cells);
        Total total(nodes_.size());
        for (const Cell& cell : cells)
            total.add(cell);
        if (!total.terms().empty())
            fold(total.terms(), folds);
    }
    for (Node& node : nodes_)
        release(node, slots);
}

std::vector<Path::Row> Path::record() const {
    std::vector<Row> rows;
    for (const Node& node : nodes_)
        if (node.slot >= 0)
            rows.push_back({node.at.alpha, node.at.value, node.at.slope, node.weight});
    std::sort(rows.begin(), rows.end());
    return rows;
}

} // namespace pyig
