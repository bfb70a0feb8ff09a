"""Fixed quadrature rules and the plan of the evaluations they ask for: the thin typed face of the compiled core.

A rule is data: nodes and weights on [0, 1]. Beside its weights every rule carries *half weights*: a rule on every
second of the same nodes, so that the difference of the two sums estimates the error at no extra gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pyig import _core
from pyig.contracts import Combinations, Floats, Ints
from pyig.errors import InputError, unknown

DEFAULT_STEPS = 50
_INTERPOLATORY = ("gausslegendre",)
_SIDES = {"riemann_left": -1, "riemann_right": 1}
_LARGEST_SOLVE = 512


@dataclass(frozen=True)
class Rule:
    """A quadrature rule on [0, 1].

    Attributes
    ----------
    name : str
        The field's name: ``"gausslegendre"``.
    nodes, weights : float64 (n,)
        Ascending nodes, and weights that sum to 1.
    half_weights : float64 (n,)
        The weights of a coarser rule on every second node, zero elsewhere; NaN where n is too small to halve.
    degree : int
        The highest degree of polynomial that the weights integrate exactly.

    Examples
    --------
    >>> rule = make_rule("simpson", 3)
    >>> [round(float(w), 4) for w in rule.weights]
    [0.1667, 0.6667, 0.1667]
    """

    name: str
    nodes: Floats
    weights: Floats
    half_weights: Floats
    degree: int


def rule_names() -> list[str]:
    """Return the names of the fixed rules."""
    return list(_core.rule_names())


@lru_cache(maxsize=64)
def make_rule(name: str, n_steps: int) -> Rule:
    """Build a fixed rule.

    Parameters
    ----------
    name : str
        One of `rule_names`.
    n_steps : int
        Number of nodes, which is the number of gradients per sample.

    Raises
    ------
    InputError
        Unknown name, or a number of nodes that the rule does not have.
    """
    if name not in _core.rule_names():
        raise unknown("method", name, [*_core.rule_names(), "adaptive", "auto", "exact", "expected"])
    try:
        nodes, weights, degree = _core.rule(name, n_steps)
    except ValueError as error:
        raise InputError(str(error)) from None
    return Rule(name, nodes, weights, _half_weights(name, nodes, weights), degree)


def _half_weights(name: str, nodes: Floats, weights: Floats) -> Floats:
    """Return weights on every second node.

    Gauss-Legendre nodes cluster at the ends, where interpolation through half of them is still stable and keeps the
    high degree. Equally spaced nodes have no stable interpolation: there each left-out node gives its weight to its
    neighbours, for a one-sided rule to the one on its side, which is the same rule at twice the spacing.
    """
    n = len(nodes)
    half = np.zeros(n)
    if n < 3:
        return np.full(n, np.nan)
    side = _SIDES.get(name, 0)
    kept = np.arange(0 if side < 0 else (n - 1) % 2, n, 2)
    if name in _INTERPOLATORY and n <= _LARGEST_SOLVE:
        x = 2.0 * nodes[kept] - 1.0
        moments = np.zeros(len(kept))
        moments[0] = 1.0
        half[kept] = np.linalg.solve(np.polynomial.legendre.legvander(x, len(kept) - 1).T, moments)
        return half
    half[kept] = weights[kept]
    for left_out in np.setdiff1d(np.arange(n), kept):
        neighbours = [k for k in ((left_out + side,) if side else (left_out - 1, left_out + 1)) if 0 <= k < n]
        for k in neighbours:
            half[k] += weights[left_out] / len(neighbours)
    return half


@dataclass(frozen=True)
class Batch:
    """What one model call evaluates.

    Attributes
    ----------
    paths, nodes : int64 (R,)
        The pending (path, node) pairs.
    alphas : float64 (R,)
        Position of each row on its path.
    weights : float64 (2, R)
        Weights and half weights of the rows.
    finished : int64
        Paths that are complete once this batch is.
    """

    paths: Ints
    nodes: Ints
    alphas: Floats
    weights: Floats
    finished: Ints


class FixedPlan:
    """All nodes of one rule for every path, as one queue of pairs that any batch size cuts anywhere.

    The nodes of a path come in bit-reversed order: whatever part of them a cancelled run has seen is spread over the
    whole path, so that its rescaled sum is an estimate of the integral and not the integral of the first part.
    """

    def __init__(self, rule: Rule, paths: int) -> None:
        self._paths = paths
        self._order = _spread(len(rule.nodes))
        self._alphas = rule.nodes[self._order]
        self._weights = np.stack([rule.weights, rule.half_weights])[:, self._order]
        self._done = 0

    @property
    def total(self) -> int:
        """Number of (path, node) pairs."""
        return self._paths * len(self._alphas)

    @property
    def done(self) -> int:
        """Number of pairs that were told."""
        return self._done

    def cut_short(self) -> tuple[int, float] | None:
        """Return the path that was begun and not finished, and the sum of the weights it has seen."""
        path, steps = divmod(self._done, len(self._alphas))
        return (path, float(self._weights[0, :steps].sum())) if steps else None

    def seen(self) -> Ints:
        """Return how many nodes of each path were told."""
        n = len(self._alphas)
        return np.clip(self._done - n * np.arange(self._paths), 0, n)

    def ask(self, rows: int) -> Batch | None:
        """Return the next pairs, at most `rows`; the same again until they are told; None when all are."""
        if self._done >= self.total:
            return None
        n, last = len(self._alphas), min(self._done + rows, self.total)
        first, skipped = divmod(self._done, n)
        whole, part = -(-last // n) - first, slice(skipped, skipped + last - self._done)
        # The same few nodes over and over: tiles and slices of them cost less than a division per pair.
        return Batch(
            np.repeat(np.arange(first, first + whole), n)[part],
            np.tile(self._order, whole)[part],
            np.tile(self._alphas, whole)[part],
            np.ascontiguousarray(np.tile(self._weights, whole)[:, part]),
            np.arange(first, last // n),
        )

    def tell(self, batch: Batch) -> None:
        """Mark the pairs of a batch as evaluated."""
        self._done += len(batch.paths)


def _spread(n: int) -> Ints:
    """Return 0..n-1 in bit-reversed order."""
    bits = max(1, (n - 1).bit_length())
    numbers = np.arange(1 << bits)
    reverse = np.zeros_like(numbers)
    for bit in range(bits):
        reverse |= ((numbers >> bit) & 1) << (bits - 1 - bit)
    order: Ints = reverse[reverse < n]
    return order


def sigmoid(odds: Floats) -> Floats:
    """Return the probability of log-odds."""
    with np.errstate(over="ignore"):
        found: Floats = 1.0 / (1.0 + np.exp(-odds))
    return found


def sigmoid_slope(odds: Floats) -> Floats:
    """Return its derivative, which keeps its digits where the probability is 1."""
    return sigmoid(odds) * sigmoid(-odds)


class AdaptivePlan:
    """The compiled planner of the adaptive scheme, in the plan's words.

    Parameters
    ----------
    paths : int
        P.
    rtol : float
        Relative L1 tolerance of each path.
    max_evals : int
        Most gradients per path.
    log_odds : bool
        Values told are log-odds.
    caution : float
        Factor on the error estimates.
    most_rows : int
        How many gradient rows may be kept at a time, at least `max_evals`; rounds that would exceed it wait.
    noise : float
        Rounding of the values, relative to the largest of a path: smaller defects are not held against a cell.
    first : float
        Where the node at alpha = 0 is evaluated instead. The planner is told what F would be at 0 by its slope there.
    """

    def __init__(
        self,
        paths: int,
        rtol: float,
        max_evals: int,
        log_odds: bool,
        caution: float,
        most_rows: int,
        noise: float,
        first: float,
    ) -> None:
        self._planner = _core.Planner(
            paths, rtol=rtol, max_evals=max_evals, log_odds=log_odds, caution=caution, max_rows=most_rows, noise=noise
        )
        self._log_odds = log_odds
        self._paths = paths
        self._first = first
        self.starts: NDArray[np.bool_] = np.zeros(0, dtype=bool)

    def ask(self, rows: int) -> tuple[Ints, Floats] | None:
        """Return the next pairs, at most `rows`; the same again until they are told; None when all paths are done.

        `starts` says which of them are first nodes.
        """
        paths, alphas = self._planner.ask(rows)
        self.starts = alphas == 0
        return (paths, np.where(self.starts, self._first, alphas)) if len(paths) else None

    def tell(self, values: Floats, slopes: Floats) -> Ints:
        """Tell the scalars of the pairs last asked; return the slots where their gradient rows go."""
        slots: Ints = self._planner.tell(np.where(self.starts, values - self._first * slopes, values), slopes)
        return slots

    def combinations(self) -> Combinations:
        """Return the combinations of rows whose norms decide about the next round."""
        return Combinations(*self._planner.combinations())

    def tell_norms(self, norms: Floats) -> None:
        """Answer `combinations`."""
        self._planner.tell_norms(norms)

    def folds(self) -> Combinations:
        """Return the combinations that join the totals of their paths; their slots are free afterwards."""
        return Combinations(*self._planner.folds())

    def finished(self) -> Ints:
        """Return the paths that finished since the last call."""
        done: Ints = self._planner.finished()
        return done

    def stop(self) -> NDArray[np.bool_]:
        """End every open path with what it has; return which paths were cut short."""
        before = self._planner.n_evals.copy()
        open_or_new = np.ones(self._paths, dtype=bool)
        open_or_new[before > 0] = False
        self._planner.stop()
        return open_or_new

    @property
    def error(self) -> Floats:
        """Estimated L1 error per path; NaN where there is none."""
        error: Floats = self._planner.error
        return error

    @property
    def n_evals(self) -> Ints:
        """Gradients per path."""
        count: Ints = self._planner.n_evals
        return count

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether each path met its tolerance."""
        flags: NDArray[np.bool_] = self._planner.converged
        return flags

    @property
    def peak_rows(self) -> int:
        """Most gradient rows kept at a time."""
        return self._planner.peak_rows

    @property
    def most_rows(self) -> int:
        """Most that may be."""
        return self._planner.most_rows

    def record(self, path: int) -> Floats:
        """Return alpha, F, dF/d(alpha) and weight of every node of a path, (n, 4), by rising alpha.

        In log-odds the weights are those of the log-odds' gradients; F and its slope are the probability's.
        """
        told = self._planner.record(path) if self.n_evals[path] else ()
        table: Floats = np.array(told, dtype=np.float64).reshape(-1, 4)
        start = table[:, 0] == 0
        table[start, 0] = self._first
        table[start, 1] += self._first * table[start, 2]
        if self._log_odds:
            odds = table[:, 1].copy()
            table[:, 1], table[:, 2] = sigmoid(odds), sigmoid_slope(odds) * table[:, 2]
        return table
