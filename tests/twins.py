"""Plain-Python twins of the compiled kernels: the oracles of their tests, slow and easy to believe."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.float32] | NDArray[np.float64]
Ints = NDArray[np.int64]


def rule(name: str, n: int) -> tuple[list[Fraction], list[Fraction]]:
    """Nodes and weights on [0, 1], exact but for Gauss-Legendre, which is good to forty digits."""
    if name == "gausslegendre":
        pairs = [gauss_legendre(n, k) for k in range(n)]
        return [Fraction(node) for node, _ in pairs], [Fraction(weight) for _, weight in pairs]
    if name in ("riemann_left", "riemann_middle", "riemann_right"):
        offset = {"riemann_left": 0, "riemann_middle": Fraction(1, 2), "riemann_right": 1}[name]
        return [(k + offset) * Fraction(1, n) for k in range(n)], [Fraction(1, n)] * n
    shares = {"riemann_trapezoid": [Fraction(1, 2)] * 2, "simpson": [Fraction(1, 6), Fraction(2, 3), Fraction(1, 6)]}
    return _composite(shares[name], n)


def _composite(shares: list[Fraction], n: int) -> tuple[list[Fraction], list[Fraction]]:
    """Repeat a panel whose last node is the first of the next panel, until there are n nodes."""
    reach = len(shares) - 1
    panels = (n - 1) // reach
    weights = [Fraction(0)] * n
    for panel in range(panels):
        for k, share in enumerate(shares):
            weights[panel * reach + k] += share / panels
    return [Fraction(k, n - 1) for k in range(n)], weights


def gauss_legendre(n: int, k: int) -> tuple[Decimal, Decimal]:
    """The k-th node of n on [0, 1], from 0, and its weight: Newton in x, from the recurrence of P_n."""
    with localcontext() as context:
        context.prec = 50
        x = Decimal(-math.cos(math.pi * (k + 0.75) / (n + 0.5)))
        for _ in range(8):
            before, p = Decimal(1), x
            for i in range(1, n):
                before, p = p, ((2 * i + 1) * x * p - i * before) / (i + 1)
            slope = n * (before - x * p) / (1 - x * x)
            step = p / slope
            x -= step
            if abs(step) < Decimal("1e-40"):
                break
        else:
            raise AssertionError(f"no convergence at node {k} of {n}")
        return (1 + x) / 2, 1 / ((1 - x * x) * slope * slope)


def interpolate(start: Rows, stop: Rows, start_rows: Ints, stop_rows: Ints, alphas: Floats, dtype: str) -> Rows:
    rows = []
    for a, b, alpha in zip(start_rows, stop_rows, alphas, strict=True):
        begin, end = start[a].astype(np.float64), stop[b].astype(np.float64)
        rows.append(begin if alpha == 0 else end if alpha == 1 else (1 - alpha) * begin + alpha * end)
    return np.array(rows).reshape(len(alphas), start.shape[1]).astype(dtype)


def reduce(grads: Rows, weights: Floats, slots: Ints, acc: Floats) -> Floats:
    acc = acc.copy()
    for r, slot in enumerate(slots):
        for level in range(len(weights)):
            acc[slot, level] += weights[level, r] * grads[r].astype(np.float64)
    return acc


def slopes(grads: Rows, start: Rows, stop: Rows, start_rows: Ints, stop_rows: Ints) -> Floats:
    lines = stop[stop_rows].astype(np.float64) - start[start_rows].astype(np.float64)
    return np.array([math.fsum(row) for row in grads.astype(np.float64) * lines])


def l1(rows: Rows) -> Floats:
    return np.array([math.fsum(row) for row in np.abs(rows.astype(np.float64))])
