"""Integrals that are known, through the planner."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from planner_runs import Floats, Ints, Loop, Problem

from pyig import _core

pytestmark = pytest.mark.core


def solve(problem: Problem, rtol: float, max_evals: int = 513, **settings: Any) -> Loop:
    planner = _core.Planner(len(problem.kind), rtol=rtol, max_evals=max_evals, **settings)
    loop = Loop(planner, problem).run(64)
    loop.check()
    return loop


def misses(loop: Loop, rtol: float) -> Floats:
    """True errors over tolerances."""
    exact = loop.exact()
    found: Floats = np.abs(loop.totals - exact).sum(1) / (rtol * np.abs(exact).sum(1))
    return found


@pytest.mark.parametrize("rtol", [0.1, 0.01, 1e-3])
@pytest.mark.parametrize(("kind", "silent"), [("smooth", 0.0), ("kinked", 0.03), ("step", 0.15), ("sharp", 0.03)])
def test_what_converges_is_within_the_tolerance(kind: str, silent: float, rtol: float) -> None:
    problem = Problem.draw(300, (kind,), seed=1)
    usual, strict = solve(problem, rtol), solve(problem, rtol, caution=1.5)
    assert usual.planner.converged.all()
    assert strict.planner.converged.all()
    assert (misses(usual, rtol) > 1).mean() <= silent
    assert (misses(strict, rtol) > 1).mean() <= silent / 2
    assert np.quantile(misses(usual, rtol), 0.98) <= 1.4


def test_more_is_paid_for_a_finer_tolerance_and_a_rougher_integrand() -> None:
    cost = {
        (kind, rtol): solve(Problem.draw(100, (kind,), seed=4), rtol).planner.n_evals.mean()
        for kind in ("linear", "smooth", "step")
        for rtol in (0.1, 0.001)
    }
    assert cost["linear", 0.1] == cost["linear", 0.001] == 5
    for kind in ("smooth", "step"):
        assert cost[kind, 0.1] < cost[kind, 0.001]
    assert cost["smooth", 0.001] < cost["step", 0.001]


class Powers(Problem):
    """One feature with gradient alpha ** power for each path."""

    def gradients(self, paths: Ints, alphas: Floats) -> Floats:
        return (alphas ** self.kind[paths, 0])[:, None]

    def integrals(self, paths: Ints, alphas: Floats) -> Floats:
        return (alphas ** (self.kind[paths, 0] + 1) / (self.kind[paths, 0] + 1))[:, None]


def test_cubics_are_exact_from_the_first_five_nodes_and_quartics_are_not() -> None:
    powers = np.arange(5)[:, None]
    loop = solve(Powers(powers, powers * 1.0, powers * 1.0, powers * 1.0), rtol=0.1)
    assert (loop.planner.n_evals == 5).all()
    assert loop.planner.converged.all()
    errors = np.abs(loop.totals - loop.exact())[:, 0]
    assert (errors[:4] <= 1e-16).all()
    assert errors[4] > 1e-5


@pytest.mark.parametrize("kind", ["linear", "flat"])
def test_a_constant_gradient_takes_five_nodes_at_any_tolerance(kind: str) -> None:
    loop = solve(Problem.draw(20, (kind,), seed=1), rtol=1e-12)
    assert loop.planner.converged.all()
    assert (loop.planner.n_evals == 5).all()
    assert loop.planner.size == pytest.approx(np.abs(loop.exact()).sum(1), rel=1e-14)


def test_the_size_is_the_norm_of_the_result_and_the_estimate_is_honest() -> None:
    loop = solve(Problem.draw(200, seed=7), 0.02)
    errors = np.abs(loop.totals - loop.exact()).sum(1)
    # Norms are asked for before it is known which new cells are smooth: the last change to Simpson's is not in it.
    assert loop.planner.size == pytest.approx(np.abs(loop.exact()).sum(1), rel=3 * 0.02)
    assert (errors <= loop.planner.error + 1e-12).mean() > 0.95
    assert (loop.planner.error <= 0.02 * loop.planner.size)[loop.planner.converged].all()


@pytest.mark.parametrize("max_evals", [5, 6, 7, 20])
def test_the_budget_is_spent_and_not_overdrawn(max_evals: int) -> None:
    loop = solve(Problem.draw(10, ("step",), seed=1), 1e-9, max_evals)
    assert not loop.planner.converged.any()
    assert (loop.planner.n_evals == max_evals - (max_evals + 1) % 2).all()  # five, then pairs
    assert np.isfinite(loop.planner.error).all()


@pytest.mark.parametrize(("width", "most"), [(1.0, 5), (0.25, 5), (0.125, 9), (2.0**-4, 17)])
def test_cells_are_not_split_below_the_least_width(width: float, most: int) -> None:
    planner = _core.Planner(1, rtol=0, max_evals=999, min_width=width)
    loop = Loop(planner, Problem.draw(1, ("smooth",))).run()
    assert planner.n_evals == [most]
    assert np.diff(planner.record(0)[:, 0]).min() == 1 / (most - 1)
    assert not planner.converged[0]
    loop.check()


class Transition(Problem):
    """Log-odds that rise along a line, so that the gradients of the features are constant: F is a sigmoid."""

    def gradients(self, paths: Ints, alphas: Floats) -> Floats:
        return self.size[paths] + 0 * alphas[:, None]

    def integrals(self, paths: Ints, alphas: Floats) -> Floats:
        return self.size[paths] * (alphas[:, None] - self.place[paths])

    def exact(self) -> Floats:
        slope = self.size.sum(1)
        low = -(self.size * self.place).sum(1)
        rises = [rise(*pair) for pair in zip(low, low + slope, strict=True)]
        return self.size * (np.array(rises) / slope)[:, None]


def rise(low: float, high: float) -> float:
    """sigmoid(high) - sigmoid(low), from the side that keeps the digits."""
    if low + high > 0:
        low, high = -high, -low
    return math.exp(low) * math.expm1(high - low) / (1 + math.exp(low)) / (1 + math.exp(high))


def transitions(steepness: float, odd: float = 0.0) -> Transition:
    """Twenty paths, three features; the sigmoid turns somewhere in the middle."""
    drawn = Problem.draw(20, seed=9)
    size = np.abs(drawn.size) / np.abs(drawn.size).sum(1, keepdims=True)
    return Transition(drawn.kind, steepness * size + odd * np.array([1, -1, 0]), 0.2 + 0.6 * drawn.place, drawn.pace)


@pytest.mark.parametrize("steepness", [0.1, 3, 30, 300])
def test_a_sigmoid_of_a_line_takes_five_nodes_in_log_odds(steepness: float) -> None:
    problem = transitions(steepness, odd=2 * steepness)
    loop = solve(problem, rtol=1e-3, log_odds=True)
    assert loop.planner.converged.all()
    assert (loop.planner.n_evals == 5).all()
    exact = problem.exact()
    assert (np.abs(loop.totals - exact).sum(1) <= 1e-3 * np.abs(exact).sum(1)).all()


class Probability(Transition):
    """The same, told as F."""

    def gradients(self, paths: Ints, alphas: Floats) -> Floats:
        p = 1 / (1 + np.exp(-super().integrals(paths, alphas).sum(1)))
        return super().gradients(paths, alphas) * (p * (1 - p))[:, None]

    def integrals(self, paths: Ints, alphas: Floats) -> Floats:
        p = 1 / (1 + np.exp(-super().integrals(paths, alphas).sum(1)))
        return np.stack([p, 0 * p, 0 * p], 1)


def test_the_same_sigmoid_without_log_odds_takes_more() -> None:
    line = transitions(30)
    plain = Probability(line.kind, line.size, line.place, line.pace)
    loop = solve(plain, rtol=1e-3)
    assert loop.planner.converged.all()
    assert (loop.planner.n_evals > 15).all()
    assert (np.abs(loop.totals - line.exact()).sum(1) <= 1e-3 * np.abs(line.exact()).sum(1)).all()


def test_log_odds_keep_their_digits_where_probabilities_have_none() -> None:
    line = transitions(10)
    line.place = line.place - 9.0  # from about 90 to about 100: p and 1 differ by 1e-39
    loop = solve(line, rtol=1e-3, log_odds=True)
    exact = line.exact()
    assert exact.max() < 1e-30
    assert loop.planner.converged.all()
    assert (np.abs(loop.totals - exact).sum(1) <= 1e-3 * np.abs(exact).sum(1)).all()


def test_log_odds_that_bend_are_followed() -> None:
    problem = Problem.draw(60, ("smooth",), seed=3)
    loop = solve(problem, rtol=1e-3, log_odds=True)
    ends = [problem.integrals(np.arange(60), np.full(60, end)).sum(1) for end in (0.0, 1.0)]
    exact = np.diff(1 / (1 + np.exp(-np.array(ends))), axis=0)[0]
    assert loop.planner.converged.all()
    assert (np.abs(loop.totals.sum(1) - exact) <= 1e-3 * loop.planner.size + 1e-15).all()
    assert np.abs(exact).max() > 0.1
