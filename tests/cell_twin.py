"""One cell of the path in plain Python: how the gradients at its nodes are weighted; the oracle of the compiled one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

_X = (-0.906179845938664, -0.5384693101056831, 0.0, 0.5384693101056831, 0.906179845938664)
_W = (0.23692688505618908, 0.47862867049936647, 0.5688888888888889, 0.47862867049936647, 0.23692688505618908)


@dataclass(eq=False)
class Node:
    alpha: float
    value: float = math.nan
    slope: float = math.nan
    slot: int = -1
    held: bool = False
    users: int = 0
    weight: float = 0.0


def sigmoid(s: float) -> float:
    return 1 / (1 + math.exp(-s)) if s >= 0 else math.exp(s) / (1 + math.exp(s))


def rise(log_odds: bool, low: float, high: float) -> float:
    """F(b) - F(a), without cancellation where both probabilities are near 1."""
    if not log_odds:
        return high - low
    if low > 0 and high > 0:
        return sigmoid(-low) - sigmoid(-high)
    return sigmoid(high) - sigmoid(low)


def sigmoid_slope(s: float) -> float:
    p = sigmoid(-abs(s))
    return p * (1 - p)


def integral(a: Node, b: Node) -> Iterator[tuple[float, float]]:
    """(t, weight) whose weights sum to the integral of sigmoid'(s) from a to b; s from values and slopes at both."""
    h = b.alpha - a.alpha
    span, e0, e1 = b.value - a.value, a.slope * h, b.slope * h
    cubic = span != 0 and 0 <= e0 / span <= 3 and 0 <= e1 / span <= 3
    panels = min(64, max(1, math.ceil(abs(span) / 2)))
    for panel in range(panels):
        for x, w in zip(_X, _W, strict=True):
            t = (panel + (x + 1) / 2) / panels
            slope = e0 + t * (3 * span - 2 * e0 - e1 + t * (e0 + e1 - 2 * span)) if cubic else span
            yield t, w / 2 / panels * h * sigmoid_slope(a.value + t * slope)


def cell_weights(log_odds: bool, a: Node, b: Node) -> tuple[float, float]:
    """Weights of the gradients at both ends of a cell."""
    if not log_odds:
        return (b.alpha - a.alpha) / 2, (b.alpha - a.alpha) / 2
    left = right = 0.0
    for t, weight in integral(a, b):
        left += weight * (1 - t)
        right += weight * t
    return left, right


def simpson_weights(log_odds: bool, a: Node, m: Node, b: Node) -> list[float]:
    """Weights of the gradients at the ends and the middle, for a quadratic through them."""
    h = b.alpha - a.alpha
    if not log_odds:
        return [h / 6, h * 2 / 3, h / 6]
    weights = [0.0, 0.0, 0.0]
    for offset, ends in ((0, (a, m)), (1, (m, b))):
        for t, weight in integral(*ends):
            u = (offset + t) / 2
            for i, basis in enumerate(((1, (1 - u), (1 - 2 * u)), (4, u, (1 - u)), (1, u, (2 * u - 1)))):
                weights[i] += weight * basis[0] * basis[1] * basis[2]
    return weights
