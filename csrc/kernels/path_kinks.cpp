// Where kinks lie between the nodes of a path, as far as F tells.
#include "kernels/path.hpp"

#include <algorithm>
#include <cmath>

namespace pyig {

namespace {

// One kink between two nodes leaves a gap of at most half of what it changes the slope by. Of many independent ones
// this part of the squared gaps lies beyond that half, and the gaps say nothing of places.
constexpr double of_crowds = 0.6;
constexpr double damping = 2.5; // of the mean square change of the slope

} // namespace

// A kink moves the weights of its stretch to the side on which the gradient stays longer.
void Path::place_kinks(std::vector<Cell>& cells) const {
    const auto jump = [this](const Cell& cell, std::size_t half) {
        return nodes_[cell.nodes[half + 1]].at.slope - nodes_[cell.nodes[half]].at.slope;
    };
    const auto most = [](const Cell& cell, std::size_t half) {
        const Ends& ends = half == 0 ? cell.left : cell.right;
        return (ends.first + ends.last) / 2;
    };
    double all = 0;
    double far = 0;
    double jumps = 0;
    for (const Cell& cell : cells)
        for (std::size_t half = 0; half < 2; ++half) {
            const double gap = cell.missed_by_halves[half];
            all += square(gap);
            if (std::abs(gap) > std::abs(jump(cell, half)) * most(cell, half))
                far += square(gap);
            jumps += square(jump(cell, half));
        }
    const double trust = 1 - far / all / of_crowds;
    if (!(trust > 0))
        return;
    const double damped = damping * jumps / (2 * static_cast<double>(cells.size()));
    for (Cell& cell : cells) {
        if (cell.smooth)
            continue;
        for (std::size_t half = 0; half < 2; ++half) {
            const double moved = cell.missed_by_halves[half] * jump(cell, half) / (square(jump(cell, half)) + damped);
            const double weight = trust * std::min(std::max(moved, -most(cell, half)), most(cell, half));
            cell.two[half] += weight;
            cell.two[half + 1] -= weight;
        }
    }
}

} // namespace pyig
