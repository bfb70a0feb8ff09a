"""What the planner's twin knows of a path, and what it makes of the norms: which cells are smooth, and their errors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from cell_twin import Node, cell_weights, rise, sigmoid_slope
from spline_twin import FEW, Curve

SMOOTH_ENOUGH, SMOOTH_ENOUGH_LOG_ODDS = 0.026, 0.1
SMOOTH_PART, SMOOTH_PART_LOG_ODDS = 4.2, 0.85
LEAST_TURN, MOST_CHANGE, MOST_GROWTH, LEAST_PART = 0.3, 1.5, 4.0, 0.1
OWN_SHARE, PAIR_SHARE, LEAST_MISSED, LEAST_EVIDENCE, LEAST_VISIBLE = 0.75, 0.25, 0.03, 0.1, 0.05
ROUGH_PART, ROUGH_PART_LOG_ODDS = 0.92, 0.97
OF_MANY, OF_ONE = 0.74, 0.65
UNEVEN, UNEVEN_CELLS, LEAST_EVENNESS = 0.2, 8.0, 0.88
RESOLVED_SPAN, SPAN_UNIT = 3.5, 8.0
ENOUGH_SMOOTH, LEAST_MISSED_BY_SPLINE, LEAST_RATIO = 0.25, 0.1, 0.2
SPLINE_SHARE, SPLINE_SHARE_LOG_ODDS, MOST_STRETCH = 0.65, 0.9, 0.5
LEAST_SPLINE, LEAST_SPLINE_LOG_ODDS = 0.1, 0.015
OF_CROWDS, DAMPING = 0.6, 2.5
QUARTIC = (
    (251.0, 646.0, -264.0, 106.0, -19.0),
    (-19.0, 346.0, 456.0, -74.0, 11.0),
    (11.0, -74.0, 456.0, 346.0, -19.0),
    (-19.0, 106.0, -264.0, 646.0, 251.0),
)


def plain_sum(terms: Iterable[float]) -> float:
    """The terms in their order; since Python 3.12, sum() compensates and so differs in the last digit."""
    total = 0.0
    for term in terms:
        total += term
    return total


@dataclass(eq=False)
class Cell:
    a: Node
    m: Node
    b: Node
    two: dict[Node, float] = field(default_factory=dict)
    difference: dict[Node, float] = field(default_factory=dict)
    simpson: dict[Node, float] = field(default_factory=dict)
    norm: float = math.nan  # of the difference
    missed: float = 0.0  # the completeness gap of Simpson's value, without rounding
    missed_by_halves: tuple[float, float] = (0.0, 0.0)
    change: float = 0.0
    unevenness: float = 1.0
    smooth: bool = False
    error: float = math.inf
    defect: float = 0.0

    def combination(self) -> dict[Node, float]:
        return self.simpson if self.smooth else self.two


def add(x: dict[Node, float], y: dict[Node, float], scale: float) -> dict[Node, float]:
    out = dict(x)
    for node, c in y.items():
        out[node] = out.get(node, 0.0) + scale * c
    return out


@dataclass(eq=False)
class Path:
    index: int
    nodes: list[Node] = field(default_factory=list)
    leaves: list[Cell] = field(default_factory=list)
    refining: list[tuple[Cell, Node, Node]] = field(default_factory=list)  # a leaf and the midpoints of its halves
    fresh: list[tuple[Cell, Cell, Cell]] = field(default_factory=list)  # left, right, and their parent
    first: bool = True  # round
    waiting: int = 0
    rows: int = 0  # held or granted
    closed_squares: float = 0.0  # of errors
    closed_errors: float = 0.0
    squares: float = 0.0
    errors: float = 0.0
    closed_defect: float = 0.0
    sum_squares: float = 0.0
    norm_squares: float = 0.0
    used: int = 0
    asked: Curve = field(default_factory=Curve)
    curve: Curve = field(default_factory=Curve)
    whole_rows: bool = True  # none was freed
    by_spline: bool = False
    ratio: float = 1.0


Look = tuple[bool, np.float64, np.float64, np.float64, np.float64, float]


@dataclass(frozen=True)
class Errors:
    log_odds: bool
    caution: float
    noise: float

    def note(self, path: Path, cell: Cell, norm: float) -> None:
        cell.norm = norm
        cell.missed = max(abs(self.gap(cell, cell.simpson)) - self.floor(path), 0.0)
        seen = plain_sum(c * n.slope for n, c in cell.difference.items())
        path.sum_squares += seen * seen
        path.norm_squares += norm * norm

    def gap(self, cell: Cell, combination: dict[Node, float]) -> float:
        found = plain_sum(c * n.slope for n, c in combination.items())
        return found - rise(self.log_odds, cell.a.value, cell.b.value)

    def look(self, path: Path, pair: tuple[Cell, Cell, Cell], both: np.float64, change: np.float64) -> Look:
        """Whether the pair is smooth, and what the errors of its cells are made of."""
        left, right, parent = pair
        visible = self.visible(path)
        x = change / both
        y = min(both / np.float64(parent.norm), np.float64(MOST_GROWTH))
        square = np.float64(left.norm * left.norm + right.norm * right.norm)
        missed = (left.missed * left.missed + right.missed * right.missed) / square / (visible * visible)
        if self.log_odds:
            turns = max(LEAST_TURN, self.turns(path, pair))
            smooth = x < MOST_CHANGE and x * np.sqrt(y) * (turns * turns) < SMOOTH_ENOUGH_LOG_ODDS
        else:
            smooth = x * (y * y) * np.sqrt(np.sqrt(missed + LEAST_EVIDENCE * LEAST_EVIDENCE)) < SMOOTH_ENOUGH
        return bool(smooth), y, change, x, missed, visible

    def turns(self, path: Path, pair: tuple[Cell, Cell, Cell]) -> float:
        """What a quartic through the slopes misses of the values, over what trapezoids miss."""
        left, right, _ = pair
        at = (left.a, left.m, left.b, right.m, right.b)
        h = (at[4].alpha - at[0].alpha) / 4
        line = curve = 0.0
        for i, weights in enumerate(QUARTIC):
            value = at[i + 1].value - at[i].value
            straight = value - (at[i].slope + at[i + 1].slope) / 2 * h
            bent = value - plain_sum(w * node.slope for w, node in zip(weights, at, strict=True)) / 720 * h
            line += straight * straight
            curve += bent * bent
        highest = max(abs(n.value) for n in path.nodes if n.slot >= 0)
        missed = max(float(np.sqrt(np.float64(curve))) - 2 * self.noise * highest, 0.0)
        return float(np.float64(missed) / np.sqrt(np.float64(line)))

    def judge(self, path: Path, cell: Cell, look: Look) -> None:
        cell.smooth, growth, change, share, pooled, visible = look
        cell.change = float(change)
        cell.defect = self.gap(cell, cell.combination())
        norm, own = np.float64(cell.norm), cell.missed / visible
        shared = (PAIR_SHARE * pooled + LEAST_MISSED * LEAST_MISSED) * (norm * norm)
        missed = np.sqrt(OWN_SHARE * (own * own) + shared)
        part = SMOOTH_PART_LOG_ODDS if self.log_odds else SMOOTH_PART * growth
        rough = ROUGH_PART_LOG_ODDS if self.log_odds else ROUGH_PART
        smooth = max(LEAST_PART * change, part * np.sqrt(share * missed * norm))
        expected = smooth if cell.smooth else rough * norm
        span = max(abs(cell.m.value - cell.a.value), abs(cell.b.value - cell.m.value))
        estimate = float(self.caution * self.resolution(span) * expected)
        cell.error = max(estimate, abs(cell.defect) - self.floor(path))

    def floor(self, path: Path) -> float:
        """Below this a defect is rounding."""
        values = [n.value for n in path.nodes if n.slot >= 0]
        return self.noise * max(sigmoid_slope(v) * (1 + abs(v)) if self.log_odds else abs(v) for v in values)

    def spread(self, path: Path) -> float:
        """How the errors of the cells add: a factor on the root of the sum of their squares."""
        if not path.errors > 0:
            return 1.0
        return (OF_MANY + OF_ONE * (math.sqrt(path.squares) / path.errors)) * self.evenness(path)

    def evenness(self, path: Path) -> float:
        rough = [cell.unevenness for cell in path.leaves if not cell.smooth]
        mean = plain_sum((UNEVEN_CELLS * UNEVEN, *rough)) / (UNEVEN_CELLS + len(rough))
        return min(max(mean / UNEVEN, LEAST_EVENNESS), 1.0)

    @staticmethod
    def unevenness(left: Cell, right: Cell) -> float:
        """Of the norms of both halves of a cell."""
        one, other = left.norm * left.norm, right.norm * right.norm
        share = (one - other) / (one + other) if one + other > 0 else 1.0
        return share * share

    def resolution(self, span: float) -> float:
        """Factor on the estimates where the log-odds change by so much between the nodes."""
        return 1 + max(span - RESOLVED_SPAN, 0.0) / SPAN_UNIT if self.log_odds else 1.0

    def visible(self, path: Path) -> float:
        """The share of a norm that a sum over the features sees."""
        return max(LEAST_VISIBLE, float(np.sqrt(np.float64(path.sum_squares) / np.float64(path.norm_squares))))

    def mostly_rough(self, path: Path) -> bool:
        return sum(c.smooth for c in path.leaves) < ENOUGH_SMOOTH * len(path.leaves)

    def may_take_spline(self, path: Path, nodes: int) -> bool:
        """Whether the rows of cells that need no more work are worth their room."""
        hopeless = len(path.nodes) > 5 and not path.curve.weights and self.mostly_rough(path)
        return nodes <= FEW and path.whole_rows and not hopeless

    def try_spline(self, path: Path, change: float, error: float) -> float:
        """Return the smaller one of the cells' error and the spline's."""
        if self.mostly_rough(path):
            return error
        changes = np.float64(plain_sum(c.change * c.change for c in path.leaves))
        excess = max(abs(path.curve.gap) - self.floor(path), 0.0)
        visible, norm = self.visible(path), np.float64(change)
        seen = (path.curve.missed * path.curve.missed + excess * excess) / np.float64(visible * visible)
        missed = np.sqrt(seen + (LEAST_MISSED_BY_SPLINE * norm) * (LEAST_MISSED_BY_SPLINE * norm))
        least = (LEAST_SPLINE_LOG_ODDS if self.log_odds else LEAST_SPLINE) * np.sqrt(changes)
        share = SPLINE_SHARE_LOG_ODDS if self.log_odds else SPLINE_SHARE
        expected = max(share * np.sqrt(norm * missed), least)
        estimate = self.caution * self.resolution(path.curve.span) * expected
        found = float(np.sqrt(estimate * estimate + excess * excess))
        if not found < error:
            return error
        self.stretch_spline(path, visible * norm)
        path.by_spline = True
        path.ratio = max(found / error, LEAST_RATIO)
        return found

    def stretch_spline(self, path: Path, visible_norm: np.float64) -> None:
        """What the spline changes is stretched, or cut, so that less of its gap remains."""
        seen = np.float64(plain_sum(c * n.slope for n, c in path.curve.changed.items()))
        wanted = -path.curve.gap * seen / (seen * seen + visible_norm * visible_norm)
        factor = 0.0 if seen == 0 else float(min(max(wanted, -MOST_STRETCH), MOST_STRETCH))
        for node, changed in path.curve.changed.items():
            path.curve.weights[node] += factor * changed

    def place_kinks(self, cells: list[Cell]) -> list[dict[Node, float]]:
        """The combinations of the cells, of the rough ones with weights moved to where F says that kinks are."""
        every = far = jumps = 0.0
        for cell in cells:
            for jump, most, gap in self._halves(cell):
                every += gap * gap
                if abs(gap) > abs(jump) * most:
                    far += gap * gap
                jumps += jump * jump
        with np.errstate(all="ignore"):
            trust = float(1 - np.float64(far) / np.float64(every) / OF_CROWDS)
        if not trust > 0:
            return [cell.combination() for cell in cells]
        damped = DAMPING * jumps / (2 * len(cells))
        found = []
        for cell in cells:
            two = cell.combination()
            for x, y, (jump, most, gap) in zip(
                (cell.a, cell.m), (cell.m, cell.b), () if cell.smooth else self._halves(cell), strict=False
            ):
                weight = trust * min(max(gap * jump / (jump * jump + damped), -most), most)
                two = add(two, {x: weight, y: -weight}, 1.0)
            found.append(two)
        return found

    def _halves(self, cell: Cell) -> list[tuple[float, float, float]]:
        out = []
        for x, y, gap in zip((cell.a, cell.m), (cell.m, cell.b), cell.missed_by_halves, strict=True):
            ends = cell_weights(self.log_odds, x, y)
            out.append((y.slope - x.slope, (ends[0] + ends[1]) / 2, gap))
        return out
