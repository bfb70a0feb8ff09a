// The spline through all nodes of a path: when it takes the place of the cells, and how far off it is then.
#include "kernels/path.hpp"
#include "kernels/spline.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pyig {

namespace {

// It is tried where it misses at most this part of what straight lines miss, from node to node.
constexpr double much_less = 0.6;
// And where this share of the cells is smooth: scalars alone may look smooth by chance.
constexpr double enough_smooth = 0.25;
// Its error, of the geometric mean of what it changes and what it misses.
constexpr double spline_share = 0.65;
constexpr double spline_share_log_odds = 0.9;
// What it misses counts as this part of what it changes at least.
constexpr double least_missed = 0.1;
// Its error is this part of what Simpson's values changed by at least, root of the sum of squares over the cells.
constexpr double least_part = 0.1;
constexpr double least_part_log_odds = 0.015;
// How much more or less of what it changes is taken, to close its gap.
constexpr double most_stretch = 0.5;
// Of its error to the cells' in what the next round counts on.
constexpr double least_ratio = 0.2;

} // namespace

Path::Curve Path::curve(const PathSettings& settings) const {
    Curve found;
    // Five nodes of log-odds are too few to tell how closely a spline follows.
    if (nodes_.size() > few || !whole_rows_ || (settings.log_odds && nodes_.size() == first_round))
        return found;
    std::vector<NodeId> order(nodes_.size());
    std::iota(order.begin(), order.end(), NodeId{0});
    std::sort(order.begin(), order.end(), [this](NodeId x, NodeId y) { return alpha(x) < alpha(y); });
    std::vector<Point> points;
    points.reserve(order.size());
    for (const NodeId node : order)
        points.push_back(nodes_[node].at);
    const Spline spline(settings.log_odds, points);

    double straight = 0;
    for (const double gap : spline.straight_gaps())
        straight += square(gap);
    double missed = 0;
    for (const double gap : spline.gaps()) {
        missed += square(gap);
        found.gap += gap;
    }
    found.missed = std::max(std::sqrt(missed) - floor(settings), 0.0);
    if (!(found.missed <= much_less * std::sqrt(straight)))
        return found;
    for (std::size_t i = 0; i + 1 < points.size(); ++i)
        found.span = std::max(found.span, std::abs(points[i + 1].value - points[i].value));
    const std::vector<double> weights = spline.weights();
    for (std::size_t i = 0; i < order.size(); ++i) {
        found.weights.push_back({order[i], weights[i]});
        found.changes.push_back(weights[i] - spline.straight_weights()[i]);
    }
    return found;
}

// What the spline changes: its value less that of the trapezoids.
void Path::request_curve(Combinations& requests) const {
    for (std::size_t i = 0; i < next_.weights.size(); ++i)
        requests.term(nodes_[next_.weights[i].node].slot, next_.changes[i]);
    requests.end(index_, false);
}

bool Path::mostly_rough() const {
    const auto smooth = std::count_if(leaves_.begin(), leaves_.end(), [](const Cell& cell) { return cell.smooth; });
    return static_cast<double>(smooth) < enough_smooth * static_cast<double>(leaves_.size());
}

// Whether the rows of cells that need no more work are worth their room, with so many nodes in the next round.
bool Path::may_take_spline(std::size_t nodes) const {
    const bool hopeless = nodes_.size() > first_round && curve_.weights.empty() && mostly_rough();
    return nodes <= few && whole_rows_ && !hopeless;
}

void Path::try_spline(const PathSettings& settings, double change) {
    if (mostly_rough())
        return;
    double changes = 0;
    for (const Cell& cell : leaves_)
        changes += square(cell.change);
    const double excess = std::max(std::abs(curve_.gap) - floor(settings), 0.0);
    const double missed =
        std::sqrt((square(curve_.missed) + square(excess)) / square(visible()) + square(least_missed * change));
    const double least = (settings.log_odds ? least_part_log_odds : least_part) * std::sqrt(changes);
    const double share = settings.log_odds ? spline_share_log_odds : spline_share;
    const double expected = std::max(share * std::sqrt(change * missed), least);
    const double error =
        std::sqrt(square(settings.caution * resolution(settings, curve_.span) * expected) + square(excess));
    if (!(error < error_))
        return;
    stretch_spline(change);
    by_spline_ = true;
    ratio_ = std::max(error / error_, least_ratio);
    error_ = error;
}

// Its error looks much like what it changes of the trapezoids' value; the gap tells the sign, and how much of it there
// is.
void Path::stretch_spline(double change) {
    double seen = 0;
    for (std::size_t i = 0; i < curve_.weights.size(); ++i)
        seen += curve_.changes[i] * nodes_[curve_.weights[i].node].at.slope;
    const double wanted = -curve_.gap * seen / (square(seen) + square(visible() * change));
    const double factor = seen == 0 ? 0 : std::min(std::max(wanted, -most_stretch), most_stretch);
    for (std::size_t i = 0; i < curve_.weights.size(); ++i)
        curve_.weights[i].coefficient += factor * curve_.changes[i];
}

} // namespace pyig
