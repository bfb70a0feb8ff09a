"""What all nodes of a path say together, in plain Python: a cubic spline through them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

from cell_twin import Node, cell_weights, integral, rise

FEW, MUCH_LESS = 65, 0.6

Row = tuple[float, float, float]


@dataclass(frozen=True)
class Curve:
    weights: dict[Node, float] = field(default_factory=dict)
    changed: dict[Node, float] = field(default_factory=dict)
    missed: float = 0.0
    gap: float = 0.0
    span: float = 0.0


def part(log_odds: bool, a: Node, b: Node) -> tuple[float, float, float, float]:
    """Integrals of what a cubic piece is made of: values at both ends, second derivatives at both ends."""
    h = b.alpha - a.alpha
    unit = h * h / 6
    if not log_odds:
        return h / 2, h / 2, -h * unit / 4, -h * unit / 4
    left = right = 0.0
    for t, weight in integral(a, b):
        u = 1 - t
        left += weight * (u * u * u - u) * unit
        right += weight * (t * t * t - t) * unit
    return (*cell_weights(log_odds, a, b), left, right)


def solve(rows: list[Row], known: list[float]) -> list[float]:
    """Solve a tridiagonal system."""
    diagonals, out = [rows[0][1]], list(known)
    for i in range(1, len(rows)):
        factor = rows[i][0] / diagonals[i - 1]
        diagonals.append(rows[i][1] - factor * rows[i - 1][2])
        out[i] -= factor * out[i - 1]
    out[-1] /= diagonals[-1]
    for i in range(len(rows) - 2, -1, -1):
        out[i] = (out[i] - rows[i][2] * out[i + 1]) / diagonals[i]
    return out


class Spline:
    """With the third derivative the same in the first two intervals, and in the last two."""

    def __init__(self, log_odds: bool, nodes: list[Node]) -> None:
        pairs = list(itertools.pairwise(nodes))
        self.nodes, self.h = nodes, [b.alpha - a.alpha for a, b in pairs]
        self.parts = [part(log_odds, a, b) for a, b in pairs]
        h = self.h
        rows = [[x, 2 * (x + y), y] for x, y in itertools.pairwise(h)]
        rows[0][1] += 2 * h[0]
        rows[0][2] -= h[0]
        rows[-1][1] += 2 * h[-1]
        rows[-1][0] -= h[-1]
        self.rows: list[Row] = [(x, y, z) for x, y, z in rows]
        self.straight_gaps = [
            p[0] * a.slope + p[1] * b.slope - rise(log_odds, a.value, b.value)
            for p, (a, b) in zip(self.parts, pairs, strict=True)
        ]

    def straight_weights(self) -> list[float]:
        weights = [0.0] * len(self.nodes)
        for i, p in enumerate(self.parts):
            weights[i] += p[0]
            weights[i + 1] += p[1]
        return weights

    def weights(self) -> list[float]:
        weights, bends = self.straight_weights(), [0.0] * len(self.nodes)
        for i, p in enumerate(self.parts):
            bends[i] += p[2]
            bends[i + 1] += p[3]
        bends[1] += 2 * bends[0]
        bends[2] -= bends[0]
        bends[-2] += 2 * bends[-1]
        bends[-3] -= bends[-1]
        n = len(self.rows)
        transposed = [
            (self.rows[i - 1][2] if i else 0.0, self.rows[i][1], self.rows[i + 1][0] if i + 1 < n else 0.0)
            for i in range(n)
        ]
        for i, bend in enumerate(solve(transposed, bends[1:-1])):
            before, after = 6 * bend / self.h[i], 6 * bend / self.h[i + 1]
            weights[i] += before
            weights[i + 1] -= before + after
            weights[i + 2] += after
        return weights

    def gaps(self) -> list[float]:
        f, h = [n.slope for n in self.nodes], self.h
        known = [6 * ((f[i + 1] - f[i]) / h[i] - (f[i] - f[i - 1]) / h[i - 1]) for i in range(1, len(h))]
        inner = solve(self.rows, known)
        first, last = 2 * inner[0] - inner[1], 2 * inner[-1] - inner[-2]
        bends = [first, *inner, last]
        return [
            gap + (p[2] * bends[i] + p[3] * bends[i + 1])
            for i, (gap, p) in enumerate(zip(self.straight_gaps, self.parts, strict=True))
        ]


def curve(log_odds: bool, nodes: list[Node], floor: float, whole_rows: bool) -> Curve:
    if len(nodes) > FEW or not whole_rows or (log_odds and len(nodes) == 5):
        return Curve()
    nodes = sorted(nodes, key=lambda n: n.alpha)
    spline = Spline(log_odds, nodes)
    every = squares = total = 0.0
    for gap in spline.straight_gaps:
        every += gap * gap
    for gap in spline.gaps():
        squares += gap * gap
        total += gap
    missed = max(math.sqrt(squares) - floor, 0.0)
    if not missed <= MUCH_LESS * math.sqrt(every):
        return Curve()
    span = max(abs(b.value - a.value) for a, b in itertools.pairwise(nodes))
    weights, straight = spline.weights(), spline.straight_weights()
    changed = {n: w - s for n, w, s in zip(nodes, weights, straight, strict=True)}
    return Curve(dict(zip(nodes, weights, strict=True)), changed, missed, total, span)
