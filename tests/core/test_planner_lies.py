"""A backend that lies about its values, slopes and norms gets an answer that is flagged, and never an endless run."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planner_runs import AnyPlanner, Both, Floats, Ints, Loop, Problem, stumble

from pyig import _core

pytestmark = pytest.mark.core

NORMS = (0.0, 5e-324, 1e-300, 1e-9, 1.0, 1e9, 1e200, 1.7e308, math.inf, math.nan, -1.0)
SCALARS = (0.0, 1e-9, 1.0, -7.0, 1e6, math.inf, -math.inf, math.nan)


class Liar(Loop):
    """Some norms and scalars are made up."""

    def __init__(self, planner: AnyPlanner, problem: Problem, seed: int, norms: float, scalars: float) -> None:
        super().__init__(planner, problem)
        self._random, self._norms = np.random.default_rng(seed), norms
        self._scalars = scalars
        self.told: list[tuple[int, bool]] = []

    def answer(self, paths: Ints, alphas: Floats) -> None:
        integrals, gradients = self.problem.integrals, self.problem.gradients
        values = self._lie(integrals(paths, alphas).sum(1), SCALARS, self._scalars)
        slopes = self._lie(gradients(paths, alphas).sum(1), SCALARS, self._scalars)
        slots = self.planner.tell(values, slopes)
        missing = max(0, slots.max(initial=-1) + 1 - len(self.store))
        self.store = np.concatenate([self.store, np.full((missing, self.store.shape[1]), np.nan)])
        self.store[slots] = gradients(paths, alphas)
        self.told += zip(paths.tolist(), (np.isfinite(values) & np.isfinite(slopes)).tolist(), strict=True)

    def measure(self) -> Floats:
        return self._lie(super().measure(), NORMS, self._norms)

    def _lie(self, truth: Floats, instead: tuple[float, ...], share: float) -> Floats:
        return np.where(self._random.random(len(truth)) < share, self._random.choice(instead, len(truth)), truth)


@given(
    seed=st.integers(0, 9999),
    paths=st.integers(1, 6),
    norms=st.sampled_from([0.0, 0.05, 1.0]),
    scalars=st.sampled_from([0.0, 0.02, 1.0]),
    rtol=st.sampled_from([0.0, 1e-2, 1.0]),
    log_odds=st.booleans(),
)
def test_every_path_ends_within_its_budget(
    seed: int, paths: int, norms: float, scalars: float, rtol: float, log_odds: bool
) -> None:
    planner = Both(paths, rtol=rtol, max_evals=37, max_rows=30, log_odds=log_odds)
    liar = Liar(planner, Problem.draw(paths, seed=seed), seed, norms, scalars)
    stumble(liar, Random(seed))
    liar.settle()
    liar.check()
    assert sorted(liar.finished) == list(range(paths))
    counts = np.bincount([path for path, _ in liar.told], minlength=paths)
    assert (planner.n_evals == counts).all()
    assert (counts <= 37).all()
    assert (counts >= 5).all()
    for path in range(paths):
        if planner.converged[path]:
            assert math.isfinite(planner.size[path])
            assert planner.error[path] <= rtol * planner.size[path]
            assert all(finite for told, finite in liar.told if told == path)


def one_path(**lies: Any) -> tuple[AnyPlanner, Loop]:
    """A path whose first norms or scalars are lies."""
    problem = Problem.draw(1, ("smooth",), seed=5)
    loop = Loop(_core.Planner(1, rtol=0.01, max_evals=65), problem)
    paths, alphas = loop.planner.ask(8)
    values, slopes = problem.integrals(paths, alphas).sum(1), problem.gradients(paths, alphas).sum(1)
    values[2], slopes[3] = lies.get("value", values[2]), lies.get("slope", slopes[3])
    loop.store = problem.gradients(paths, alphas)[np.argsort(loop.planner.tell(values, slopes))]
    norms = loop.measure()
    for place, lie in lies.get("norms", {}).items():
        norms[place] = lie
    loop.planner.tell_norms(norms)
    loop.settle()
    return loop.planner, loop.run()


def test_the_truth_converges() -> None:
    planner, loop = one_path()
    assert planner.converged == [True]
    assert planner.n_evals[0] > 5
    assert loop.totals.sum() == pytest.approx(loop.exact().sum(), rel=0.01)


@pytest.mark.parametrize(
    "lies",
    [
        {"value": math.nan},
        {"value": math.inf},
        {"slope": -math.inf},
        {"slope": math.nan},
        {"norms": {6: math.nan}},
        {"norms": {6: math.inf}},
        {"norms": {1: math.inf, 4: math.inf}},
        {"norms": {1: math.nan, 3: math.nan}},
        {"norms": {1: 1e200, 4: 1e200}},  # its square is infinite
    ],
)
def test_what_is_not_finite_ends_the_path_unconverged(lies: dict[str, Any]) -> None:
    planner, loop = one_path(**lies)
    assert planner.converged == [False]
    assert planner.n_evals == [5]
    assert loop.finished == [0]
    loop.check()
    scalars = "norms" not in lies
    assert len(planner.record(0)) == 5
    assert planner.record(0)[:, 3].sum() == pytest.approx(0 if scalars else 1, abs=1e-15)
    assert math.isnan(planner.error[0]) or not scalars


def test_a_scalar_that_is_not_finite_later_keeps_the_cells_before() -> None:
    problem = Problem.draw(1, ("kinked",), seed=2)
    loop = Loop(_core.Planner(1, rtol=1e-6, max_evals=65), problem)
    for _ in range(3):
        loop.answer(*loop.planner.ask(99))
        loop.planner.tell_norms(loop.measure())
        loop.settle()
    before = loop.planner.error[0]
    alphas = loop.planner.ask(99)[1]
    slots = loop.planner.tell(alphas + math.nan, alphas)
    loop.store = np.concatenate([loop.store, np.zeros((len(slots), 3))])
    loop.settle()
    record = loop.planner.record(0)
    assert loop.finished == [0]
    assert loop.planner.converged == [False]
    assert loop.planner.error[0] == before
    assert loop.planner.n_evals[0] == len(record)
    assert (record[np.isnan(record[:, 1]), 3] == 0).all()
    assert np.isnan(record[:, 1]).sum() == len(slots)
    assert record[:, 3].sum() == pytest.approx(1, abs=1e-14)
    assert abs(loop.totals - loop.exact()).sum() <= before


@pytest.mark.parametrize("lie", [0.0, 1e-300])
def test_norms_that_hide_the_error_do_not_hide_the_gap(lie: float) -> None:
    problem = Problem.draw(1, ("sharp",), seed=3)
    loop = Loop(_core.Planner(1, rtol=0.01, max_evals=129), problem)
    while len((pairs := loop.planner.ask(99))[0]):
        loop.answer(*pairs)
        norms = np.full(len(loop.planner.combinations()[0]), lie)
        norms[-1] = 10.0
        loop.planner.tell_norms(norms)
        loop.settle()
    assert loop.planner.converged == [True]
    assert loop.planner.n_evals[0] > 9
    assert abs(loop.totals.sum() - loop.exact().sum()) <= 0.1
