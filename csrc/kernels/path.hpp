// One path: a binary tree of dyadic cells on [0, 1], of which the leaves are kept.
//
// A leaf [a, b] has the nodes a, b and their midpoint m. Its value is the weighted sum of the gradients over both
// halves ("two"), or that of a quadratic through the three ("simpson") where the changes from cell to halves shrink as
// those of a smooth integrand do. In the end a spline through all nodes takes the place of the cells where it is
// closer, and the trapezoids know from the values where between two nodes the gradient changes. The path sees scalars
// only; norms of gradients are asked for.
#pragma once

#include "kernels/cell.hpp"
#include "kernels/combinations.hpp"
#include "kernels/slots.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace pyig {

inline double square(double x) {
    return x * x;
}

struct PathSettings {
    double rtol = 0.01;
    std::int64_t max_evals = 512;
    bool log_odds = false;
    double caution = 1; // factor on the estimates
    double min_width = 0;
    double noise = 0; // rounding of F relative to the largest |F| on the path: defects below it say nothing
};

class Path {
  public:
    using NodeId = std::uint32_t;
    using Row = std::array<double, 4>;            // alpha, value, slope, weight
    static constexpr std::size_t first_round = 5; // nodes

    explicit Path(std::int64_t index) : index_(index) {}

    std::int64_t index() const { return index_; }
    std::int64_t used() const { return used_; }
    double alpha(NodeId node) const { return nodes_[node].at.alpha; }

    // Gradient rows that the path holds or was granted.
    std::size_t rows() const { return rows_; }

    // The nodes of the round at hand, not yet told.
    std::size_t waiting() const { return waiting_; }

    // These get their rows.
    void grant() { rows_ += waiting_; }

    // The nodes of the first round.
    std::vector<NodeId> begin();

    // Returns whether the round is complete.
    bool tell(NodeId node, double value, double slope, std::int64_t slot);

    // The round is complete: make the new cells and ask for their norms. False when a scalar is not finite.
    bool grow(const PathSettings& settings, Combinations& requests);

    // Error over size: how much there is to do.
    double distance() const { return error_ / size_; }

    // How many norms `grow` asked for.
    std::size_t requests() const { return 4 * fresh_.size() + (first_ ? 2 : 1) + (next_.weights.empty() ? 0 : 1); }

    // Take these norms.
    void judge(const PathSettings& settings, const double* norms);
    double error() const { return error_; }
    double size() const { return size_; }

    // Choose the leaves to split, fold and free those that no longer matter, and return the nodes of the next round;
    // none when the budget or the least width is reached.
    std::vector<NodeId> refine(const PathSettings& settings, Combinations& folds, Slots& slots);

    // Fold what was judged last and free the rows: a round that was cut short falls back on the cells it was to refine.
    void finish(Combinations& folds, Slots& slots);

    // The nodes told, by rising alpha.
    std::vector<Row> record() const;

  private:
    using Triple = std::array<double, 3>;  // coefficients of a, m and b
    static constexpr std::size_t few = 65; // nodes; up to here rows are kept for the spline

    struct Node {
        Point at;
        double weight = 0; // in what was folded
        std::int64_t slot = -1;
        int users = 0; // leaves that need the row
        bool held = false;
    };
    struct Cell {
        std::array<NodeId, 3> nodes;
        Ends left; // weights over each half
        Ends right;
        Triple two;
        Triple difference; // two, less the weights over the whole cell
        Triple simpson;
        std::array<double, 2> missed_by_halves; // the completeness gaps of their trapezoids
        double norm = 0;                        // L1, of the difference
        double missed = 0;                      // the completeness gap of Simpson's value, without rounding
        double change = 0;                      // L1, of Simpson's values of the pair
        double unevenness = 1;                  // of the pair's norms
        bool smooth = false;
        double error = std::numeric_limits<double>::infinity();
        double defect = 0; // the value's completeness gap, exact

        double coefficient(std::size_t i) const { return smooth ? simpson[i] : two[i]; }
    };
    // A cell and its halves.
    struct Pair {
        Cell left;
        Cell right;
        Cell parent;
    };
    // What the norms and scalars of a pair say about the errors of its cells.
    struct Look {
        bool smooth;
        double growth;  // of both differences over the parent's
        double change;  // L1, of Simpson's values
        double share;   // that over the norm of the differences
        double missed;  // squared gap of Simpson's values over the differences', of both cells
        double visible; // share of a norm that a sum over the features sees
    };
    struct Split {
        Cell cell;
        NodeId left; // midpoints of its halves
        NodeId right;
    };
    struct Term {
        NodeId node;
        double coefficient;
    };
    class Total;
    // The spline through all nodes.
    struct Curve {
        std::vector<Term> weights;   // none where it is not tried
        std::vector<double> changes; // of the trapezoids' weights, in the same order
        double missed = 0;           // of F, from node to node, root of the sum of squares
        double gap = 0;              // and over the whole path
        double span = 0;             // largest change of the values from node to node
    };

    NodeId add_node(double alpha);
    Cell make_cell(const PathSettings& settings, NodeId a, NodeId m, NodeId b, Ends whole);
    Split root(const PathSettings& settings);
    Total total() const; // of what a judgement will be about
    void request(const Pair& pair, Combinations& requests) const;
    Curve curve(const PathSettings& settings) const;
    void request_curve(Combinations& requests) const;
    bool mostly_rough() const;
    bool may_take_spline(std::size_t nodes) const;
    void try_spline(const PathSettings& settings, double change);
    void stretch_spline(double change);
    std::vector<Cell> judged() const;
    void place_kinks(std::vector<Cell>& cells) const;
    void note(const PathSettings& settings, Cell& cell, double norm);
    double along(const Triple& coefficients, const Cell& cell) const;
    double gap(const PathSettings& settings, const Triple& coefficients, const Cell& cell) const;
    double turns(const PathSettings& settings, const Pair& pair) const;
    Look look(const PathSettings& settings, const Pair& pair, double both, double change) const;
    void judge(const PathSettings& settings, Cell& cell, const Look& look) const;
    double floor(const PathSettings& settings) const;
    double largest_span(const Cell& cell) const;
    static double resolution(const PathSettings& settings, double span);
    double visible() const;
    std::vector<std::size_t> worst(const PathSettings& settings, std::size_t room) const;
    double spread() const;
    static double unevenness(const Pair& pair);
    double evenness() const;
    void remove(const std::vector<std::size_t>& chosen);
    void close_negligible(double limit, Combinations& folds, Slots& slots);
    void fold(const std::vector<Term>& terms, Combinations& folds);
    void release(Node& node, Slots& slots);

    std::int64_t index_;
    std::vector<Node> nodes_;
    std::vector<Cell> leaves_;
    std::vector<Split> splits_; // leaves whose halves are being evaluated
    std::vector<Pair> fresh_;   // made, not judged
    std::size_t waiting_ = 0;
    std::size_t rows_ = 0;
    bool first_ = true; // round
    bool finite_ = true;
    std::int64_t used_ = 0;
    double closed_squares_ = 0; // of the errors of cells that are folded
    double closed_errors_ = 0;
    double closed_defect_ = 0;
    double largest_ = 0;     // what a relative error of the values is multiplied with
    double highest_ = 0;     // value
    double sum_squares_ = 0; // of the differences, summed over the features
    double norm_squares_ = 0;
    double squares_ = 0;
    double errors_ = 0;
    Curve next_;             // asked about, not judged
    Curve curve_;            // judged
    bool whole_rows_ = true; // none was freed
    bool by_spline_ = false; // the last estimate, and so the value if nothing comes after it
    double ratio_ = 1;       // of that estimate to the cells'
    double error_ = std::numeric_limits<double>::quiet_NaN();
    double size_ = std::numeric_limits<double>::quiet_NaN();
};

} // namespace pyig
