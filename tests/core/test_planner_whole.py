"""What all nodes of a path say together: the spline through them, and the places of kinks between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from planner_runs import Floats, Loop, Problem

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


def spline_weights(x: Floats) -> Floats:
    """Integrate a cubic spline through unit vectors: one large system for the coefficients of all pieces."""
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
    pieces = np.linalg.solve(np.array(rows), np.array(right)).reshape(n, 4, n + 1)
    weights: Floats = sum(pieces[k, p] * (x[k + 1] - x[k]) ** (p + 1) / (p + 1) for k in range(n) for p in range(4))
    return weights


def straight_weights(x: Floats) -> Floats:
    h = np.diff(x) / 2
    weights: Floats = np.append(h, 0) + np.append(0, h)
    return weights


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


def test_the_gap_of_a_crowd_of_kinks_does_no_harm() -> None:
    crowd = Problem.draw(60, ("kinked",), seed=5, features=150)
    found, straight = errors(solve(crowd))
    assert found.sum() <= straight.sum()
    assert np.median(found / straight) > 0.8  # there is little to gain


def test_kinks_are_no_business_of_the_spline() -> None:
    loop = solve(Problem.draw(100, ("step",), seed=6))
    for path in range(100):
        weights = loop.planner.record(path)[:, 3]
        assert weights.min() >= 0  # a spline through a jump swings


@pytest.mark.parametrize("lie", [math.nan, math.inf, 1e300])
def test_a_spline_whose_norm_is_no_number_is_not_taken(lie: float) -> None:
    problem = Problem.draw(1, ("smooth",), seed=5)
    honest = solve(problem)
    loop = Loop(_core.Planner(1, rtol=0.01, max_evals=513), problem)
    while len((pairs := loop.planner.ask(99))[0]):
        loop.answer(*pairs)
        norms = loop.measure()
        if (len(norms) - 1) % 4 == (2 if len(pairs[0]) == 5 else 1):
            norms[-2] = lie
        loop.planner.tell_norms(norms)
        loop.settle()
    assert loop.planner.converged == [True]
    assert loop.planner.n_evals >= honest.planner.n_evals
    assert np.isfinite(loop.totals).all()
