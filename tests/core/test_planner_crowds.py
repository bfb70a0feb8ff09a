"""Paths with kinks by the dozen in every cell: their estimates leave less to chance than those of a few kinks do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from path_twin import LEAST_EVENNESS, Errors, Path
from planner_runs import Both, Floats, Ints, Loop, Problem

from pyig import _core

pytestmark = pytest.mark.core
RTOL, FEATURES = 0.02, 12


@dataclass
class Steps(Problem):
    """Gradients that jump at many places, every feature at each of them by an amount of its own."""

    places: Floats  # (P, K)
    jumps: Floats  # (P, K, D)

    @classmethod
    def of(cls, paths: int, kinks: int, seed: int) -> Steps:
        rng = np.random.default_rng(seed)
        jumps = rng.normal(size=(paths, kinks, FEATURES)) / np.sqrt(kinks)
        still = np.zeros((paths, FEATURES))
        return cls(still.astype(np.int64), still, still, still, rng.random((paths, kinks)), jumps)

    def gradients(self, paths: Ints, alphas: Floats) -> Floats:
        return 1.0 + np.einsum("nk,nkd->nd", alphas[:, None] > self.places[paths], self.jumps[paths])

    def integrals(self, paths: Ints, alphas: Floats) -> Floats:
        run = np.maximum(alphas[:, None] - self.places[paths], 0.0)
        return alphas[:, None] + np.einsum("nk,nkd->nd", run, self.jumps[paths])


@pytest.mark.parametrize("kinks", [3, 400])
def test_crowds_are_told_by_halves_that_are_alike(kinks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, last = Errors.evenness, {}

    def noted(self: Errors, path: Path) -> float:
        last[path.index] = plain(self, path)
        return last[path.index]

    monkeypatch.setattr(Errors, "evenness", noted)
    problem = Steps.of(40, kinks, seed=5)
    Loop(Both(40, rtol=RTOL, max_evals=513), problem).run(64).check()
    found = np.array(list(last.values()))
    assert len(found) == 40
    assert (found >= LEAST_EVENNESS).all()
    if kinks == 3:
        assert (found == 1).all()
    else:
        assert found.mean() < 0.95


@pytest.mark.parametrize("kinks", [40, 400, 4000])
def test_what_is_claimed_of_crowds_holds(kinks: int) -> None:
    loop = Loop(_core.Planner(600, rtol=RTOL, max_evals=513), Steps.of(600, kinks, seed=6)).run(64)
    loop.check()
    assert loop.planner.converged.all()
    exact = loop.exact()
    missed = np.abs(loop.totals - exact).sum(1) / (RTOL * np.abs(exact).sum(1))
    assert (missed > 1).mean() <= 0.05
    assert np.median(missed) > 0.4, "and it is not paid for twice"
