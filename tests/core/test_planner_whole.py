"""What all nodes of a path say together: the spline through them, and the places of kinks between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from planner_runs import Floats, Ints, Loop, Problem

from pyig import _core

pytestmark = pytest.mark.core


def solve(problem: Problem, rtol: float = 0.01, **settings: Any) -> Loop:
    loop = Loop(_core.Planner(len(problem.kind), rtol=rtol, max_evals=513, **settings), problem).run(64)
    loop.check()
    return loop


def errors(loop: Loop) -> tuple[Floats, Floats]:
    """L1 errors of the results, and of trapezoids through the same nodes."""
    exact, straight = loop.exact(), np.zeros_like(loop.totals)
    for path in range(len(exact)):
        alphas = loop.planner.record(path)[:, 0]
        rows = loop.problem.gradients(np.full(len(alphas), path), alphas)
        straight[path] = np.diff(alphas) @ (rows[1:] + rows[:-1]) / 2
    return np.abs(loop.totals - exact).sum(1), np.abs(straight - exact).sum(1)


def spline_pieces(x: Floats) -> Floats:
    """A cubic spline through unit vectors, (pieces, powers, nodes): one large system for all coefficients."""
    n = len(x) - 1
    rows, right = [], []

    def condition(terms: list[tuple[int, Floats]], value: Floats | float = 0.0) -> None:
        row = np.zeros(4 * n)
        for piece, coefficients in terms:
            row[4 * piece : 4 * piece + 4] += coefficients
        rows.append(row)
        right.append(np.zeros(n + 1) + value)

    def powers(t: float, derivative: int) -> Floats:
        basis = [np.polynomial.polynomial.polyder([0.0] * k + [1.0], derivative) for k in range(4)]
        return np.array([np.polynomial.polynomial.polyval(t, b) for b in basis])

    for k in range(n):
        condition([(k, powers(0.0, 0))], np.eye(n + 1)[k])
        condition([(k, powers(x[k + 1] - x[k], 0))], np.eye(n + 1)[k + 1])
    for k in range(n - 1):
        for derivative in (1, 2):
            condition([(k, powers(x[k + 1] - x[k], derivative)), (k + 1, -powers(0.0, derivative))])
    for k in (0, n - 2):
        condition([(k, powers(0.0, 3)), (k + 1, -powers(0.0, 3))])
    pieces: Floats = np.linalg.solve(np.array(rows), np.array(right)).reshape(n, 4, n + 1)
    return pieces


def spline_weights(x: Floats) -> Floats:
    pieces, h = spline_pieces(x), np.diff(x)
    weights: Floats = sum(pieces[:, p].T @ h ** (p + 1) / (p + 1) for p in range(4))
    return weights


def straight_weights(x: Floats) -> Floats:
    h = np.diff(x) / 2
    weights: Floats = np.append(h, 0) + np.append(0, h)
    return weights


def records(loop: Loop) -> list[Floats]:
    return [loop.planner.record(path) for path in range(len(loop.totals))]


def test_a_smooth_path_ends_with_a_spline_that_the_gap_has_stretched() -> None:
    loop = solve(Problem.draw(60, ("smooth",), seed=2), rtol=1e-3)
    sizes, factors, gaps = set(), [], []
    for path, rise in enumerate(loop.exact().sum(1)):
        x, _, slopes, weights = loop.planner.record(path).T
        straight, spline = straight_weights(x), spline_weights(x)
        factor = (weights - straight) @ (spline - straight) / ((spline - straight) @ (spline - straight))
        if np.allclose(weights, straight + factor * (spline - straight), rtol=0, atol=1e-12):
            sizes.add(len(x))
            factors.append(factor)
            gaps.append(abs(weights @ slopes - rise) / abs(spline @ slopes - rise))
    assert len(factors) > 30
    assert len(sizes) > 5  # on grids of all kinds
    assert 0.5 - 1e-9 <= min(factors) < 0.99 < 1.01 < max(factors) <= 1.5 + 1e-9
    assert max(gaps) <= 1 + 1e-6  # to rounding
    assert np.median(gaps) < 0.7


def test_the_spline_is_closer_than_what_it_replaces() -> None:
    found, straight = errors(solve(Problem.draw(200, ("smooth",), seed=3), 0.02))
    assert np.median(found / straight) < 0.1


def test_one_kink_in_a_stretch_has_its_place_from_the_value() -> None:
    found, straight = errors(solve(Problem.draw(300, ("kinked",), seed=4, features=1)))
    assert np.median(found / straight) < 0.6
    assert (found <= straight * (1 + 1e-9) + 1e-15).mean() > 0.97


class Crowd(Problem):
    """Each feature's gradient is a random walk along the path: jumps everywhere, of which F sees the sum."""

    STEPS = 4096

    def walk(self, paths: Ints) -> Floats:
        walks = [np.random.default_rng(p).normal(size=(self.STEPS, self.kind.shape[1])).cumsum(0) for p in paths]
        return np.array(walks) / self.STEPS**0.5

    def gradients(self, paths: Ints, alphas: Floats) -> Floats:
        at = np.minimum((alphas * self.STEPS).astype(int), self.STEPS - 1)
        rows: Floats = 1 + self.walk(paths)[np.arange(len(paths)), at]
        return rows

    def integrals(self, paths: Ints, alphas: Floats) -> Floats:
        at = np.minimum((alphas * self.STEPS).astype(int), self.STEPS)
        sums = np.concatenate([np.zeros((len(paths), 1, self.kind.shape[1])), (1 + self.walk(paths)).cumsum(1)], 1)
        rows: Floats = sums[np.arange(len(paths)), at] / self.STEPS
        return rows


def test_the_gap_of_a_crowd_of_kinks_moves_little() -> None:
    drawn = Problem.draw(12, ("flat",), features=4)
    loop = solve(Crowd(drawn.kind, drawn.size, drawn.place, drawn.pace), rtol=0.01)
    crowd = [abs(weights - straight_weights(x)).sum() for x, _, _, weights in map(np.transpose, records(loop))]
    one = solve(Problem.draw(12, ("kinked",), seed=4, features=1))
    few = [abs(weights - straight_weights(x)).sum() for x, _, _, weights in map(np.transpose, records(one))]
    assert np.median(crowd) < 0.25 * np.median(few)


def test_kinks_are_no_business_of_the_spline() -> None:
    loop = solve(Problem.draw(100, ("step",), seed=6))
    for path in range(100):
        weights = loop.planner.record(path)[:, 3]
        assert weights.min() >= 0  # a spline through a jump swings


@pytest.mark.parametrize("lie", [math.nan, math.inf, 1e300])
def test_a_spline_whose_norm_is_no_number_is_not_taken(lie: float) -> None:
    problem = Problem.draw(1, ("smooth",), seed=5)
    loop, lies = Loop(_core.Planner(1, rtol=0.01, max_evals=513), problem), 0
    while len((pairs := loop.planner.ask(99))[0]):
        loop.answer(*pairs)
        norms = loop.measure()
        if (len(norms) - 1) % 4 == (2 if len(pairs[0]) == 5 else 1):
            norms[-2] = lie
            lies += 1
        loop.planner.tell_norms(norms)
        loop.settle()
    assert lies > 0
    assert loop.planner.converged == [True]
    (record,) = records(loop)
    straight, spline = straight_weights(record[:, 0]), spline_weights(record[:, 0])
    changed = spline - straight
    factor = (record[:, 3] - straight) @ changed / (changed @ changed)
    assert not np.allclose(record[:, 3], straight + factor * changed, rtol=0, atol=1e-9)


def test_a_path_that_is_stopped_before_it_is_judged_is_worth_what_was_said_of_it() -> None:
    """What counts is the last estimate: the rows that came after it have no part in the result."""
    problem = Problem.draw(60, ("smooth", "kinked"), seed=7)
    loop = Loop(_core.Planner(60, rtol=1e-4, max_evals=513), problem)
    for _ in range(4):
        loop.answer(*loop.planner.ask(10**4))
        before = loop.planner.error
        loop.settle()
        if _ < 3:
            loop.planner.tell_norms(loop.measure())
            loop.settle()
    loop.planner.stop()
    loop.settle()
    loop.check()
    said = loop.planner.error
    assert np.array_equal(said, before)
    missed = np.abs(loop.totals - loop.exact()).sum(1)
    assert (missed <= said * (1 + 1e-9) + 1e-12).mean() > 0.95


def in_log_odds(record: Floats, basis: Floats) -> Floats:
    """Integrate piecewise polynomials (pieces, powers, nodes) times sigma'(s), with s as the core has it."""
    x, s, slope, _ = record.T
    nodes, quadrature = np.polynomial.legendre.leggauss(40)
    t = (nodes + 1) / 2
    weights = np.zeros(len(x))
    for k, h in enumerate(np.diff(x)):
        a, b, rise = slope[k] * h, slope[k + 1] * h, s[k + 1] - s[k]
        bend = a + t * (3 * rise - 2 * a - b + t * (a + b - 2 * rise))
        between = s[k] + t * (bend if min(a / rise, b / rise) >= 0 and max(a / rise, b / rise) <= 3 else rise)
        density = quadrature / 2 * h / (2 + np.exp(between) + np.exp(-between))
        weights += sum(density @ (t * h) ** p * basis[k, p] for p in range(basis.shape[1]))
    return weights


def test_in_log_odds_the_spline_is_weighted_with_the_slope_of_the_sigmoid() -> None:
    problem = Problem.draw(60, ("smooth",), seed=2)
    problem.size = problem.size / 2
    found = []
    for record in records(solve(problem, rtol=1e-3, log_odds=True)):
        x, n = record[:, 0], len(record) - 1
        lines = np.zeros((n, 2, n + 1))
        for k, h in enumerate(np.diff(x)):
            lines[k, 0, k], lines[k, 1, [k, k + 1]] = 1, (-1 / h, 1 / h)
        straight, spline = in_log_odds(record, lines), in_log_odds(record, spline_pieces(x))
        changed = spline - straight
        factor = (record[:, 3] - straight) @ changed / (changed @ changed)
        found.append(np.abs(record[:, 3] - straight - factor * changed).max() / np.abs(changed).max())
    assert np.mean(np.array(found) < 1e-4) > 0.3  # the others end with their cells
