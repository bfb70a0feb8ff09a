"""The running sum of the quadrature: how the attributions add up to their sum, node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyig.contracts import Floats

if TYPE_CHECKING:
    from pyig.explanation.record import Explanation


def running_sum(explanation: Explanation, i: int, k: int = 0) -> tuple[Floats, Floats]:
    """Return how far along the path each node's share ends, and the sum up to there; both (n,), for `Explanation.path`.

    A node's share of the path ends where the weights so far end, not at the node. In log-odds the weights are those of
    the log-odds' gradients, which say nothing of the path: there it ends halfway to the next node.
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
    if abs(odds.sum() - change) >= abs(plain.sum() - change) or abs(path.weights.sum() - 1) < 1e-6:
        return np.cumsum(np.nan_to_num(path.weights)), np.cumsum(plain)
    middles = np.append((path.alphas[:-1] + path.alphas[1:]) / 2, 1.0)
    return middles, np.cumsum(odds)
