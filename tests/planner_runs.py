"""Problems for the planner, and the loop around it: rows in slots, norms, totals."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import numpy as np
import planner_twin
from numpy.typing import NDArray

from pyig import _core

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Combinations = tuple[Ints, NDArray[np.bool_], Ints, Ints, Floats]


class AnyPlanner(Protocol):
    """What the compiled planner, its twin, and both at once have in common."""

    rows: int
    peak_rows: int
    most_rows: int
    error: Floats
    size: Floats
    n_evals: Ints
    converged: NDArray[np.bool_]

    def ask(self, rows: int) -> tuple[Ints, Floats]: ...
    def tell(self, values: Floats, slopes: Floats) -> Ints: ...
    def combinations(self) -> Combinations: ...
    def tell_norms(self, norms: Floats) -> None: ...
    def folds(self) -> Combinations: ...
    def finished(self) -> Ints: ...
    def record(self, path: int) -> Floats: ...
    def stop(self) -> None: ...


def same(found: Any, expected: Any) -> Any:
    """Return what was found, after a look whether it is what was expected to the last bit."""
    if isinstance(expected, tuple):
        return tuple(same(a, b) for a, b in zip(found, expected, strict=True))
    if isinstance(expected, np.ndarray):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"), f"{found} is not {expected}"
    else:
        assert found == expected
    return found


class Both:
    """The compiled planner and its twin: every call goes to both, and both say the same."""

    def __init__(self, paths: int, **settings: Any) -> None:
        self._planners = _core.Planner(paths, **settings), planner_twin.Planner(paths, **settings)

    def __getattr__(self, name: str) -> Any:
        compiled, twin = (getattr(planner, name) for planner in self._planners)
        if callable(compiled):
            return lambda *args: same(compiled(*args), twin(*args))
        return same(compiled, twin)


@dataclass
class Problem:
    """Features whose gradients along the path are smooth, bent, broken or steep; values are exact integrals."""

    kind: Ints  # (P, D)
    size: Floats
    place: Floats
    pace: Floats

    KINDS = ("linear", "smooth", "kinked", "step", "sharp", "flat")

    @classmethod
    def draw(cls, paths: int, kinds: tuple[str, ...] = KINDS, seed: int = 0, features: int = 3) -> Problem:
        rng = np.random.default_rng(seed)
        shape = (paths, features)
        kind = rng.choice([cls.KINDS.index(name) for name in kinds], shape)
        return cls(kind, rng.normal(size=shape) * 3, rng.random(shape), rng.uniform(0.5, 9, shape))

    def gradients(self, paths: Ints, alphas: Floats) -> Floats:
        """One row of features each: (n, D)."""
        a, x, w = self._at(paths, alphas)
        shapes = [1 + 0 * x, w * np.cos(w * x), np.abs(x), np.sign(x), 20 * w / np.cosh(20 * w * x) ** 2, 0 * x]
        rows: Floats = a * np.choose(self.kind[paths], shapes)
        return rows

    def integrals(self, paths: Ints, alphas: Floats) -> Floats:
        """Antiderivatives of the gradients: (n, D)."""
        a, x, w = self._at(paths, alphas)
        shapes = [x, np.sin(w * x), x * np.abs(x) / 2, np.abs(x), np.tanh(20 * w * x), 0 * x]
        rows: Floats = a * np.choose(self.kind[paths], shapes)
        return rows

    def _at(self, paths: Ints, alphas: Floats) -> tuple[Floats, Floats, Floats]:
        return self.size[paths], alphas[:, None] - self.place[paths], self.pace[paths]


class Loop:
    """Rows live in slots, totals per path; a row that is overwritten too early spoils the total of its path."""

    def __init__(self, planner: AnyPlanner, problem: Problem) -> None:
        self.planner, self.problem = planner, problem
        paths, features = problem.kind.shape
        self.store = np.full((0, features), np.nan)
        self.totals = np.zeros((paths, features))
        self.finished: list[int] = []

    def answer(self, paths: Ints, alphas: Floats) -> None:
        """Evaluate pairs, tell their scalars, keep their rows."""
        rows = self.problem.gradients(paths, alphas)
        slots = self.planner.tell(self.problem.integrals(paths, alphas).sum(1), rows.sum(1))
        assert len(set(slots.tolist())) == len(rows)
        missing = max(0, slots.max(initial=-1) + 1 - len(self.store))
        self.store = np.concatenate([self.store, np.full((missing, rows.shape[1]), np.nan)])
        self.store[slots] = rows

    def measure(self) -> Floats:
        """The norms that the planner wants."""
        sums = self._sums(wanted := self.planner.combinations())
        return np.abs(sums + np.where(wanted[1][:, None], self.totals[wanted[0]], 0.0)).sum(1)

    def settle(self) -> None:
        """Fold what is folded, and note what is finished."""
        folds = self.planner.folds()
        np.add.at(self.totals, folds[0], self._sums(folds))
        self.finished += self.planner.finished().tolist()

    def run(self, batch: int = 16) -> Loop:
        """All of it."""
        while len((pairs := self.planner.ask(batch))[0]):
            self.answer(*pairs)
            self.settle()
            self.planner.tell_norms(self.measure())
            self.settle()
        return self

    def exact(self) -> Floats:
        """Integrals of the gradients over the whole paths, (P, D)."""
        paths = np.arange(len(self.totals))
        return self.problem.integrals(paths, paths * 0.0 + 1) - self.problem.integrals(paths, paths * 0.0)

    def check(self) -> None:
        """The totals are what the records say; every path that is finished is finished once, and no row is kept."""
        assert self.planner.rows == 0
        assert len(set(self.finished)) == len(self.finished)
        for path in self.finished:
            alphas, _, _, weights = self.planner.record(path).T
            assert (np.diff(alphas) > 0).all()
            rows = self.problem.gradients(np.full(len(alphas), path), alphas)
            size = np.abs(weights) @ np.abs(rows)
            assert (np.abs(self.totals[path] - weights @ rows) <= 1e-12 * size + 1e-300).all()

    def _sums(self, wanted: Combinations) -> Floats:
        _, _, indptr, slots, coefficients = wanted
        parts = coefficients[:, None] * self.store[slots]
        return np.array([part.sum(0) for part in np.split(parts, indptr[1:-1])]).reshape(-1, self.store.shape[1])[
            : len(indptr) - 1
        ]


def stumble(loop: Loop, random: Random, most_steps: int | None = None) -> None:
    """Run the loop as a machine short of memory would: smaller batches at times, answers in parts, norms later."""
    planner, steps = loop.planner, 0
    while steps != most_steps:
        steps += 1
        paths, alphas = planner.ask(random.randint(1, 40))
        if random.random() < 0.3 and len(paths):
            fewer = random.randint(1, len(paths))
            again = planner.ask(fewer)
            assert same(again, (paths[:fewer], alphas[:fewer]))
            paths, alphas = again
        count = random.randint(0, len(paths)) if random.random() < 0.3 else len(paths)
        loop.answer(paths[:count], alphas[:count])
        waiting = len(planner.combinations()[0])
        if not len(paths) and not waiting:
            loop.settle()  # rows that are not yet free for reuse hold rounds back
            if not len(planner.ask(1)[0]):
                return
        if random.random() < 0.8 or not len(paths):
            loop.settle()
            planner.tell_norms(loop.measure())
        if random.random() < 0.8:
            loop.settle()
