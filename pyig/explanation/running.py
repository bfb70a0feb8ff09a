"""The running sum of the quadrature: how the attributions add up to their sum, node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyig.contracts import Floats

_LEAST, _LEAST_OF_LEVEL = 7, 3  # nodes
_NEAR = 1e-3
_FINEST = 2**20

if TYPE_CHECKING:
    from pyig.explanation.record import Explanation


def running_sum(explanation: Explanation, i: int, k: int = 0) -> tuple[Floats, Floats]:
    """Return how far along the path each node's share ends, and the sum up to there; both (n,), for `Explanation.path`.

    A node's share of the path ends where the weights so far end, not at the node. In log-odds the weights are those of
    the log-odds' gradients, which say nothing of the path, and a spline's may be negative: there it ends halfway to the
    next node.
    """
    path = explanation.path(i, k)
    change = float(
        (explanation.values - explanation.baseline_values + explanation.deltas).reshape(len(explanation), -1)[i, k]
    )
    slopes = np.nan_to_num(path.slopes)
    plain = np.nan_to_num(path.weights * slopes)
    steep = path.values * (1 - path.values)  # of a probability: what its slopes have and those of its log-odds have not
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.where(steep > 0, path.weights * slopes / steep, 0.0)
    middles = np.append((path.alphas[:-1] + path.alphas[1:]) / 2, 1.0)
    if abs(odds.sum() - change) >= abs(plain.sum() - change) or abs(path.weights.sum() - 1) < 1e-6:
        weights = np.nan_to_num(path.weights)
        return np.cumsum(weights) if weights.min() >= 0 else middles, np.cumsum(plain)
    return middles, np.cumsum(odds)


def coarser(explanation: Explanation, i: int, k: int = 0) -> list[tuple[int, float]]:
    """Return the completeness gap that coarser levels of the same nodes leave, by trapezoids: nodes, and its size.

    Only gradients that were really evaluated count: of dyadic nodes those of each depth, of equally spaced ones every
    second, fourth and so on. Empty for other nodes, and for probabilities in log-odds, which trapezoids do not fit.
    """
    path = explanation.path(i, k)
    nodes = ~np.isnan(path.slopes)
    alphas, slopes = path.alphas[nodes], path.slopes[nodes]
    alone = int(explanation.meta.get("n_baselines") or 1) == 1 and not explanation.meta.get("noise")
    if not alone or len(alphas) < _LEAST or not np.isfinite(slopes).all() or abs(path.weights.sum() - 1) > 1e-6:
        return []
    alphas = np.where(alphas < _NEAR, 0.0, alphas)  # a path may begin beside a kink
    change = float((explanation.values - explanation.baseline_values).reshape(len(explanation), -1)[i, k])
    found = {}
    for level in _levels(alphas):
        if level[0] and level[-1] and _LEAST_OF_LEVEL <= level.sum() < len(alphas):
            a, s = alphas[level], slopes[level]
            found[int(level.sum())] = abs(float(((s[1:] + s[:-1]) / 2 * np.diff(a)).sum()) - change)
    return sorted(found.items())


def _levels(alphas: Floats) -> list[np.typing.NDArray[np.bool_]]:
    """Return which nodes are there at each level, the coarsest first."""
    if alphas[0] != 0 or alphas[-1] != 1:
        return []
    gaps = np.diff(alphas)
    if gaps.max() - gaps.min() < 1e-9:
        strides = [2**d for d in range(1, len(alphas).bit_length()) if (len(alphas) - 1) % 2**d == 0]
        return [np.arange(len(alphas)) % stride == 0 for stride in reversed(strides)]
    if (alphas * _FINEST != np.floor(alphas * _FINEST)).any():
        return []
    depths = range(1, _FINEST.bit_length())
    return [alphas * 2**depth == np.floor(alphas * 2**depth) for depth in depths]
