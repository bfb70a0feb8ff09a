// What all nodes of a path say together: the spline through them, and where kinks lie between them.
#include "kernels/path.hpp"
#include "kernels/spline.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pyig {

namespace {

// The spline is tried where it misses at most this part of what straight lines miss, from node to node, and where this
// share of the cells is smooth: scalars alone may look smooth by chance.
constexpr double much_less = 0.6;
constexpr double enough_smooth = 0.25;
constexpr std::int64_t first_round = 5; // nodes
// Its error: this part of the geometric mean of what it changes and what it misses; not less than this part of what
// Simpson's values changed by.
constexpr double spline_share = 0.65;
constexpr double least_missed = 0.1; // of what it changes
constexpr double least_part = 0.2;
constexpr double least_part_log_odds = 0.03;
constexpr double most_stretch = 0.5; // of what it changes, to close its gap
constexpr double most_gain = 0.2;    // on the cells, that the next round counts on
// Between two nodes one kink leaves a gap of at most half of what it changes the slope by. Where many do, the gap says
// little of their places: of its square this part lies beyond that half.
constexpr double of_crowds = 0.6;
constexpr double damping = 2.5; // of the mean square jump

double square(double x) {
    return x * x;
}

} // namespace

Path::Whole Path::survey(const PathSettings& settings) const {
    std::vector<NodeId> order(nodes_.size());
    std::iota(order.begin(), order.end(), NodeId{0});
    std::sort(order.begin(), order.end(), [this](NodeId x, NodeId y) { return alpha(x) < alpha(y); });
    std::vector<Point> points;
    points.reserve(order.size());
    for (const NodeId node : order)
        points.push_back(nodes_[node].at);
    const Spline spline(settings.log_odds, points);

    Whole found;
    const std::vector<double> straight = spline.straight_gaps();
    double all = 0;
    double far = 0;
    for (std::size_t i = 0; i < straight.size(); ++i) {
        const Ends& ends = spline.parts()[i].ends;
        const double jump = points[i + 1].slope - points[i].slope;
        all += square(straight[i]);
        if (std::abs(straight[i]) > std::abs(jump) * (ends.first + ends.last) / 2)
            far += square(straight[i]);
        found.jumps += square(jump);
        found.span = std::max(found.span, std::abs(points[i + 1].value - points[i].value));
    }
    found.jumps /= static_cast<double>(straight.size());
    found.placed = all > 0 ? std::max(1 - far / all / of_crowds, 0.0) : 0;
    if (used_ > few || !whole_rows_ || (settings.log_odds && first_))
        return found; // five nodes of log-odds are too few to tell how closely a spline follows

    double missed = 0;
    for (const double gap : spline.gaps()) {
        missed += square(gap);
        found.gap += gap;
    }
    found.missed = std::max(std::sqrt(missed) - floor(settings), 0.0);
    if (found.missed <= much_less * std::sqrt(all)) {
        const std::vector<double> weights = spline.weights();
        for (std::size_t i = 0; i < order.size(); ++i)
            found.spline.push_back({order[i], weights[i]});
        found.straight = spline.straight_weights();
    }
    return found;
}

// What the spline changes: its value less that of the trapezoids.
void Path::request_spline(Combinations& requests) const {
    for (std::size_t i = 0; i < whole_.spline.size(); ++i)
        requests.term(nodes_[whole_.spline[i].node].slot, whole_.spline[i].coefficient - whole_.straight[i]);
    requests.end(index_, false);
}

bool Path::mostly_rough() const {
    const auto smooth = std::count_if(leaves_.begin(), leaves_.end(), [](const Cell& cell) { return cell.smooth; });
    return static_cast<double>(smooth) < enough_smooth * static_cast<double>(leaves_.size());
}

// Whether the rows of cells that need no more work are worth their room.
bool Path::may_take_spline() const {
    return used_ <= few && whole_rows_ && !(used_ > first_round && whole_.spline.empty() && mostly_rough());
}

void Path::try_spline(const PathSettings& settings, double change) {
    if (mostly_rough())
        return;
    double changes = 0;
    for (const Cell& cell : leaves_)
        changes += square(cell.change);
    const double excess = std::max(std::abs(whole_.gap) - floor(settings), 0.0);
    const double missed =
        std::sqrt((square(whole_.missed) + square(excess)) / square(visible()) + square(least_missed * change));
    const double least = (settings.log_odds ? least_part_log_odds : least_part) * std::sqrt(changes) / 2;
    const double expected = std::max(spline_share * std::sqrt(change * missed), least);
    const double error =
        std::sqrt(square(settings.caution * resolution(settings, whole_.span) * expected) + square(excess));
    if (!(error < error_))
        return;
    stretch_spline(change);
    by_spline_ = true;
    gain_ = std::max(error / error_, most_gain);
    error_ = error;
}

// Its error looks much like what it changes of the trapezoids' value; the gap tells the sign, and how much of it there
// is.
void Path::stretch_spline(double change) {
    double seen = 0;
    for (std::size_t i = 0; i < whole_.spline.size(); ++i)
        seen += (whole_.spline[i].coefficient - whole_.straight[i]) * nodes_[whole_.spline[i].node].at.slope;
    const double wanted = -whole_.gap * seen / (square(seen) + square(visible() * change));
    const double factor = seen == 0 ? 0 : std::min(std::max(wanted, -most_stretch), most_stretch);
    for (std::size_t i = 0; i < whole_.spline.size(); ++i)
        whole_.spline[i].coefficient += factor * (whole_.spline[i].coefficient - whole_.straight[i]);
}

// A kink moves the weights of its stretch to the side on which the gradient stays longer.
void Path::place(Cell& cell) const {
    if (cell.smooth || !(whole_.placed > 0))
        return;
    const Ends* halves[] = {&cell.left, &cell.right};
    for (std::size_t i = 0; i < 2; ++i) {
        const double jump = nodes_[cell.nodes[i + 1]].at.slope - nodes_[cell.nodes[i]].at.slope;
        const double most = (halves[i]->first + halves[i]->last) / 2;
        const double moved = cell.missed_by_halves[i] * jump / (square(jump) + damping * whole_.jumps);
        const double weight = whole_.placed * std::min(std::max(moved, -most), most);
        cell.two[i] += weight;
        cell.two[i + 1] -= weight;
    }
}

} // namespace pyig
