"""Gauss-Legendre for a probability, by the gradients of its log-odds.

With p = sigma(s), grad p = sigma'(s) grad s. The log-odds s are known at the nodes of a path once it is complete;
sigma' of the polynomial through them is integrated against the Lagrange polynomials of the nodes, on scalars, and those
are the weights of grad s. A node costs what it costs the rule on grad p, and where s is smooth and p is not, far fewer
are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pyig.contracts import Floats, Ints, Tensor
from pyig.integrate.evaluation import Evaluator, Pairs, Paths
from pyig.integrate.fixed import Fixed, FixedRun
from pyig.integrate.loop import Integrals
from pyig.quadrature import Batch, make_rule, sigmoid, sigmoid_slope
from pyig.rows import joined

MOST_NODES = 1024
_FINE = 4  # nodes on scalars, for each node
_LEAST_FINE = 256


@dataclass(frozen=True)
class FixedLogOdds(Fixed):
    """Gauss-Legendre for a head that gives the log-odds of the probability to be integrated."""

    def begin(self, evaluator: Evaluator, paths: Paths) -> LogOddsRun:
        """Start on a block."""
        return LogOddsRun(self, evaluator, paths)


@dataclass
class _Rows:
    """Gradient rows of paths that are not complete."""

    paths: Ints
    nodes: Ints
    grads: list[Tensor | None]


class LogOddsRun(FixedRun):
    """One block; the rows of a path wait until all of its log-odds are there."""

    def __init__(self, scheme: Fixed, evaluator: Evaluator, paths: Paths) -> None:
        super().__init__(scheme, evaluator, paths)
        self._waiting: list[_Rows | None] = [None] * len(paths.fan)
        self._odds = np.full((len(paths), scheme.steps), np.nan)

    def _ask(self, rows: int) -> Pairs | None:
        """Ask for whole paths where a batch holds one, so that nothing waits."""
        n = self._scheme.steps
        return super()._ask(rows if rows < n else rows - rows % n)

    def _combine(self, target: int, batch: Batch, values: Tensor, grads: list[Tensor | None]) -> None:
        fan = self._paths.fan[target]
        own = fan[batch.paths]
        self._odds[own, batch.nodes] = self._evaluator.numbers(values)
        rows = self._with_waiting(target, _Rows(own, batch.nodes, grads))
        done = np.isin(rows.paths, fan[batch.finished])
        if done.any():
            finished = fan[batch.finished]
            weights = log_odds_weights(self._odds[finished])
            place = np.searchsorted(finished, rows.paths[done])
            self._add(self._some(rows, done), weights[:, place, rows.nodes[done]])
            self._finish(finished, np.ones(len(finished)))
        self._waiting[target] = None if done.all() else self._some(rows, ~done)

    def close(self) -> Integrals:
        """Collect the results; the rows of a path that was cut short count as the plain rule has them."""
        rule = self._scheme.rule
        for rows in self._waiting:
            if rows is not None:
                steep = sigmoid_slope(self._odds[rows.paths, rows.nodes])
                self._add(rows, np.stack([rule.weights[rows.nodes], rule.half_weights[rows.nodes]]) * steep)
        return super().close()

    def _add(self, rows: _Rows, weights: Floats) -> None:
        slopes = self._rows.add(rows.grads, rows.paths, np.ascontiguousarray(weights))
        odds, alphas = self._odds[rows.paths, rows.nodes], self._scheme.rule.nodes[rows.nodes]
        slope = self._evaluator.checked(self._paths, (rows.paths, alphas), odds, slopes)
        self._note(rows.paths, rows.nodes, sigmoid(odds), sigmoid_slope(odds) * slope)

    def _with_waiting(self, target: int, new: _Rows) -> _Rows:
        old = self._waiting[target]
        if old is None:
            return new
        backend = self._evaluator.backend
        grads = [
            None if a is None or b is None else joined(backend, [a, b])
            for a, b in zip(old.grads, new.grads, strict=True)
        ]
        return _Rows(np.concatenate([old.paths, new.paths]), np.concatenate([old.nodes, new.nodes]), grads)

    def _some(self, rows: _Rows, mask: np.typing.NDArray[np.bool_]) -> _Rows:
        if mask.all():
            return rows
        at = np.flatnonzero(mask)
        take = self._evaluator.backend.take
        return _Rows(rows.paths[at], rows.nodes[at], [None if g is None else take(g, at) for g in rows.grads])


def log_odds_weights(odds: Floats) -> Floats:
    """Return the weights of the gradients of the log-odds.

    Parameters
    ----------
    odds : float64 (P, n)
        Log-odds at the Gauss-Legendre nodes of each path.

    Returns
    -------
    float64 (2, P, n)
        By all nodes, and by every second one alone; NaN where there are too few for that.

    Examples
    --------
    Where s rises by 3 from one end to the other, the weights sum to the mean of sigma'(s).

    >>> nodes = make_rule("gausslegendre", 5).nodes
    >>> weights = log_odds_weights(3.0 * nodes[None])
    >>> bool(abs(weights[0].sum() - (1 / (1 + np.exp(-3.0)) - 0.5) / 3) < 1e-12)
    True
    """
    paths, n = odds.shape
    kept = np.arange((n - 1) % 2, n, 2)
    out = np.zeros((2, paths, n))
    for layer, columns in enumerate((np.arange(n), kept)):
        if layer and n < 3:
            out[1] = np.nan
            continue
        weights, lagrange = _fine(n, layer == 1)
        with np.errstate(invalid="ignore"):
            out[layer][:, columns] = (sigmoid_slope(odds[:, columns] @ lagrange.T) * weights) @ lagrange
    return out


@lru_cache(maxsize=8)
def _fine(n: int, half: bool) -> tuple[Floats, Floats]:
    """Return the weights (m,) of a finer rule, and at its nodes the Lagrange polynomials (m, n) of the nodes."""
    fine, nodes = make_rule("gausslegendre", max(_LEAST_FINE, _FINE * n)), make_rule("gausslegendre", n).nodes
    nodes = nodes[(n - 1) % 2 :: 2] if half else nodes
    apart = 4.0 * (nodes[:, None] - nodes)  # four: the product over an interval of length one then stays in range
    np.fill_diagonal(apart, 1.0)
    barycentric = np.prod(np.sign(apart), axis=1) * np.exp(-np.log(np.abs(apart)).sum(axis=1))
    distance = fine.nodes[:, None] - nodes
    hit = distance == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = barycentric / distance
        lagrange = ratio / ratio.sum(axis=1, keepdims=True)
    met = hit.any(axis=1)
    lagrange[met] = hit[met]
    return fine.weights, lagrange
