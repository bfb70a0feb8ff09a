"""Adaptive integration: every sample gets the nodes that its own tolerance needs.

Dyadic trapezoid with local Simpson extrapolation, in the end a spline through all nodes where it is closer, an error
estimate over the features (L1) and the exact scalar defect of every cell; probabilities are integrated in log-odds. The
planner is compiled and sees scalars only; see `docs/numerics.md` for the scheme and what it was measured to do.

The baseline is the one point where ties are the rule: over a constant image every window of a max pooling is one, and
what a framework then calls the gradient belongs to no side. So the first node lies a little inside the path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pyig.contracts import Combinations, Floats, Ints
from pyig.integrate.evaluation import Evaluator, Paths
from pyig.integrate.loop import Integrals
from pyig.integrate.rounding import rounding
from pyig.quadrature import AdaptivePlan, sigmoid, sigmoid_slope
from pyig.rows import cells_for

_LEAST_STEPS = 5
_SHARED = 0.08  # correlation of the errors of two baselines' paths, as measured
_INSIDE, _INSIDE_OF_RTOL = 2.0**-16, 2.0**-7  # alpha of the first node, which cannot be told from 0 in the result
# A gradient that goes on growing as 1 / alpha gives, over the room before that node, an eleventh of its attributions
# were it constant there, and hides several times that; one that rises within a hundred times that room gives less.
_STEEP, _HIDDEN = 0.01, 5.0
# The planner knows the size of a result before its last corrections, which may make it this much smaller.
_SIZE_KEPT = 0.99
_ROW_BYTES = 1 << 29  # gradient rows of open cells, beside those that a single path may need


@dataclass(frozen=True)
class Adaptive:
    """Refine until the estimated L1 error of a path is below `rtol` times the L1 norm of its attributions.

    Attributes
    ----------
    rtol : float
        Tolerance per sample.
    max_evals : int
        Most gradients per path.
    log_odds : bool
        The head gives the log-odds of a probability F; the cells integrate F.
    caution : float
        Factor on the planner's error estimate: 1 is its own choice.
    """

    rtol: float
    max_evals: int
    log_odds: bool = False
    caution: float = 1.0

    @property
    def name(self) -> str:
        """Return the method's name."""
        return "adaptive"

    @property
    def steps(self) -> int:
        """Return the number of gradients that a path takes at least."""
        return _LEAST_STEPS

    def in_log_odds(self, log_odds: bool) -> Adaptive:
        """Return the scheme for a head that gives log-odds, or not."""
        return replace(self, log_odds=log_odds)

    def begin(self, evaluator: Evaluator, paths: Paths) -> AdaptiveRun:
        """Start on a block."""
        return AdaptiveRun(self, evaluator, paths)


class AdaptiveRun:
    """One block under the adaptive scheme."""

    def __init__(self, scheme: Adaptive, evaluator: Evaluator, paths: Paths) -> None:
        self._scheme, self._evaluator, self._paths = scheme, evaluator, paths
        most_rows = scheme.max_evals + _ROW_BYTES // (8 * max(1, paths.ends.floats))
        noise = max(rounding(leaf) for leaf in paths.ends.stop)
        # Far enough for rounding not to restore the ties.
        self._first = max(min(_INSIDE, scheme.rtol * _INSIDE_OF_RTOL), noise / 4)
        self._plan = AdaptivePlan(
            len(paths),
            scheme.rtol * _SIZE_KEPT,
            scheme.max_evals,
            scheme.log_odds,
            scheme.caution,
            most_rows,
            noise,
            self._first,
        )
        self._cells = cells_for(evaluator.backend, paths.ends, most_rows)
        self._shares = np.bincount(paths.ends.result_rows, minlength=paths.ends.results)
        self._closed = np.zeros(len(paths), dtype=bool)
        self._folded = np.zeros(len(paths), dtype=bool)
        self._stops = np.full(len(paths), np.nan)
        self._hidden = np.zeros(len(paths))

    def step(self) -> bool:
        """Evaluate the next batch, and let the planner judge every path whose round is complete."""
        closed = int(self._closed.sum())
        found = self._evaluator.next(self._paths, self._cells, self._plan.ask)
        if found is None:
            return False
        pairs, ((values, grads),) = found
        slopes = self._cells.slopes(grads, pairs[0])
        number, slope = self._evaluator.scalars(self._paths, pairs, values, slopes)
        there = pairs[1] == 1
        self._stops[pairs[0][there]] = number[there]
        start = self._plan.starts
        slots = self._plan.tell(number, slope)
        self._cells.keep(grads, slots)
        if start.any():
            self._hidden[pairs[0][start]] = self._before_the_first(pairs[0][start], slots[start], number[start])
        wanted = self._plan.combinations()
        if len(wanted.paths):
            self._plan.tell_norms(self._cells.measure(wanted))
        self._settle()
        self._evaluator.monitor.called(len(pairs[0]), len(pairs[0]), int(self._closed.sum()) - closed)
        return True

    def close(self) -> Integrals:
        """Collect the results; a path that was stopped keeps the cells that it had."""
        cut = self._plan.stop()
        self._settle()
        plan, count = self._plan, self._count
        self._evaluator.monitor.kept(plan.peak_rows, plan.most_rows)
        sums, sizes, _ = self._cells.norms()
        begun = self._closed & self._folded
        # Errors of different baselines' paths have nearly independent signs; of a hundred, what they share shows.
        rows, results = self._paths.ends.result_rows, self._paths.ends.results
        squares, total = (np.bincount(rows, weights=plan.error**power, minlength=results) for power in (2, 1))
        errors = np.sqrt((1 - _SHARED) * squares + _SHARED * total**2) / np.maximum(1, self._shares)
        hidden = np.bincount(rows, weights=self._hidden, minlength=results) / np.maximum(1, self._shares)
        hidden = np.where(hidden > _STEEP * sizes, _HIDDEN * hidden, 0.0)
        errors = errors + hidden
        self._evaluator.monitor.unseen(int((hidden > 0).sum()))
        with np.errstate(invalid="ignore"):
            met = errors <= self._scheme.rtol * sizes * (1 + 1e-9)
        return Integrals(
            attributions=[layers[0] for layers in self._cells.results()],
            sums=sums,
            sizes=sizes,
            errors=errors,
            converged=(count(plan.converged) == self._shares) & met,
            complete=count(begun & ~cut) == self._shares,
            seen=count(plan.n_evals),
            begun=count(begun),
            records=self._records,
            stops=self._mean_stops(),
        )

    def _before_the_first(self, paths: Ints, slots: Ints, values: Floats) -> Floats:
        """Return the L1 norm of what lies between the baseline and the first node, were the gradient constant there."""
        each = np.arange(len(paths) + 1)
        # The rows are gradients of the log-odds, where those are integrated; what counts is how the probability moves.
        factors = self._first * (sigmoid_slope(values) if self._scheme.log_odds else np.ones(len(paths)))
        return self._cells.measure(Combinations(paths, np.zeros(len(paths), dtype=bool), each, slots, factors))

    def _mean_stops(self) -> Floats:
        """Return F at the inputs, the mean over the baselines."""
        values = sigmoid(self._stops) if self._scheme.log_odds else self._stops
        rows = self._paths.ends.result_rows
        return np.bincount(rows, weights=values, minlength=len(self._shares)) / self._shares

    def _settle(self) -> None:
        folds = self._plan.folds()
        if len(folds.paths):
            self._cells.fold(folds)
            self._folded[folds.paths] = True
        done = self._plan.finished()
        self._closed[done] = True
        done = done[self._folded[done]]  # a path that never had a complete cell has nothing to close
        if len(done):
            self._cells.finish(done, 1.0 / self._shares[self._paths.ends.result_rows[done]])

    def _count(self, per_path: np.typing.NDArray[np.generic]) -> Ints:
        rows = self._paths.ends.result_rows
        return np.bincount(rows, weights=per_path, minlength=self._paths.ends.results).astype(np.int64)

    def _records(self) -> list[Floats]:
        """Return the record of the lone baseline's path, or the means where all baselines' paths have a node."""
        out: list[Floats] = []
        for row in range(self._paths.ends.results):
            parts = [self._plan.record(int(p)) for p in np.flatnonzero(self._paths.ends.result_rows == row)]
            shared = parts[0][:, 0]
            for part in parts[1:]:
                shared = np.intersect1d(shared, part[:, 0])
            out.append(np.mean([part[np.isin(part[:, 0], shared)] for part in parts], axis=0))
        return out
