"""The compiled planner and its twin in plain Python say the same, call by call and to the last bit."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planner_runs import Both, Floats, Ints, Loop, Problem, same, stumble

from pyig import _core

pytestmark = pytest.mark.core

settings = st.fixed_dictionaries(
    {
        "rtol": st.sampled_from([0.0, 1e-3, 1e-2, 0.1, 1.0]),
        "max_evals": st.integers(5, 90),
        "log_odds": st.booleans(),
        "caution": st.sampled_from([1.0, 0.3, 1.5]),
        "max_rows": st.integers(5, 200),
        "min_width": st.sampled_from([2.0**-20, 2.0**-5, 2.0**-2, 1.0]),
        "noise": st.sampled_from([0.0, 1e-6, 1e-2]),
    }
)
problems = st.builds(
    Problem.draw,
    st.integers(0, 5),
    st.lists(st.sampled_from(Problem.KINDS), min_size=1, max_size=3).map(tuple),
    st.integers(0, 999),
)


@given(problem=problems, settings=settings, seed=st.integers(0, 999))
def test_both_say_the_same(problem: Problem, settings: dict[str, Any], seed: int) -> None:
    loop = Loop(Both(len(problem.kind), **settings), problem)
    stumble(loop, Random(seed))
    loop.settle()
    assert sorted(loop.finished) == list(range(len(problem.kind)))
    loop.check()
    for name in ("error", "size", "n_evals", "converged", "peak_rows"):
        getattr(loop.planner, name)


@given(problem=problems, settings=settings, seed=st.integers(0, 999), steps=st.integers(0, 12))
def test_both_stop_alike_in_any_state(problem: Problem, settings: dict[str, Any], seed: int, steps: int) -> None:
    loop = Loop(Both(len(problem.kind), **settings), problem)
    stumble(loop, Random(seed), steps)
    loop.planner.stop()
    loop.settle()
    loop.check()
    for path in loop.finished:
        weights = loop.planner.record(path)[:, 3]
        if not settings["log_odds"]:
            assert weights.sum() == pytest.approx(1.0 if loop.planner.n_evals[path] >= 5 else 0.0, abs=1e-14)


def test_a_difference_in_the_last_bit_is_noticed() -> None:
    a = np.array([1.0, 2.0])
    assert same(a, a.copy()) is a
    for other in (np.nextafter(a, 9), a[:1], a.astype(np.float32), np.array([1.0, np.nan])):
        with pytest.raises(AssertionError):
            same(a, other)
    with pytest.raises(AssertionError):
        same((a, a), (a, np.nextafter(a, 0)))


def test_a_row_overwritten_while_it_is_needed_is_noticed() -> None:
    loop = Loop(_core.Planner(2, rtol=1e-3, max_evals=60), Problem.draw(2, ("smooth",)))
    loop.answer(*loop.planner.ask(10))
    loop.store[3] = loop.store[4]
    loop.planner.tell_norms(loop.measure())
    loop.settle()
    loop.run()
    with pytest.raises(AssertionError):
        loop.check()


def test_many_paths_pass_through_few_slots() -> None:
    planner = _core.Planner(3000, rtol=0.05, max_evals=33, max_rows=64)
    loop = Loop(planner, Problem.draw(3000)).run(batch=32)
    loop.check()
    assert loop.finished != sorted(loop.finished)  # an easy path overtakes a hard one
    assert sorted(loop.finished) == list(range(3000))
    assert len(loop.store) <= 64


def bounded(most: int, batch: int = 200, **settings: Any) -> Loop:
    """Sixty paths under a bound on rows; each row that is written is counted."""
    planner = _core.Planner(60, rtol=0.01, max_evals=65, max_rows=most, **settings)
    loop = Loop(planner, Problem.draw(60)).run(batch)
    loop.check()
    assert planner.most_rows == max(most, 65)
    assert len(loop.store) == planner.peak_rows <= planner.most_rows
    return loop


@pytest.mark.parametrize("log_odds", [False, True])
@pytest.mark.parametrize("most", [5, 65, 66, 70, 80, 130, 300])
def test_the_bound_on_rows_is_kept_and_changes_no_result(most: int, log_odds: bool) -> None:
    free, held = bounded(1 << 20, log_odds=log_odds), bounded(most, log_odds=log_odds)
    assert free.planner.peak_rows > 300
    assert held.totals.tobytes() == free.totals.tobytes()
    for name in ("error", "size", "n_evals", "converged"):
        assert getattr(held.planner, name).tobytes() == getattr(free.planner, name).tobytes()
    for path in range(60):
        assert held.planner.record(path).tobytes() == free.planner.record(path).tobytes()


def test_a_bound_that_is_reached_makes_paths_take_turns() -> None:
    alone, some, free = bounded(5), bounded(130), bounded(1 << 20)
    assert alone.planner.peak_rows < some.planner.peak_rows < free.planner.peak_rows
    assert alone.finished == sorted(alone.finished)  # one after the other
    assert free.finished != sorted(free.finished)


def test_first_rounds_come_first_and_then_the_path_that_is_furthest_from_its_tolerance() -> None:
    loop = Loop(_core.Planner(40, rtol=1e-3, max_evals=65), Problem.draw(40))
    asked = []
    for _ in range(3):
        pairs = loop.planner.ask(100)
        asked.append(pairs[0])
        loop.answer(*pairs)
        loop.planner.tell_norms(loop.measure())
        loop.settle()
    assert np.array_equal(np.concatenate(asked[:2]), np.repeat(np.arange(40), 5))
    first = Loop(_core.Planner(40, rtol=1e-3, max_evals=65), Problem.draw(40))
    first.answer(*first.planner.ask(200))
    first.planner.tell_norms(first.measure())
    distance = (first.planner.error / first.planner.size)[asked[2]]
    assert (np.diff(distance) <= 0).all()
    assert distance[0] > 2 * distance[-1]


class Counted(Loop):
    """Counts its calls."""

    calls = 0

    def answer(self, paths: Ints, alphas: Floats) -> None:
        self.calls += 1
        super().answer(paths, alphas)


def test_a_bound_leaves_room_for_the_next_rounds_of_what_has_begun() -> None:
    planner = _core.Planner(400, rtol=3e-3, max_evals=129, max_rows=129 + 256)
    loop = Counted(planner, Problem.draw(400, ("kinked", "step"))).run(batch=64)
    assert planner.peak_rows <= 129 + 256
    assert planner.n_evals.sum() / (64 * loop.calls) >= 0.75  # without that room: 0.4


@given(problem=problems, settings=settings, seed=st.integers(0, 999))
def test_no_path_waits_for_ever_and_no_row_is_overdrawn(problem: Problem, settings: dict[str, Any], seed: int) -> None:
    settings = settings | {"max_rows": 5 + seed % 130}
    held = Loop(Both(len(problem.kind), **settings), problem)
    stumble(held, Random(seed))
    held.settle()
    assert sorted(held.finished) == list(range(len(problem.kind)))
    assert len(held.store) <= max(settings["max_rows"], settings["max_evals"])
    free = Loop(_core.Planner(len(problem.kind), **settings | {"max_rows": 1 << 20}), problem).run()
    assert np.array_equal(held.planner.error, free.planner.error, equal_nan=True)
    assert (held.planner.n_evals == free.planner.n_evals).all()
    np.testing.assert_allclose(held.totals, free.totals, rtol=1e-12, atol=1e-12)
