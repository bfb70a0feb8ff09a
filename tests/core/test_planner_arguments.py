"""What the planner refuses, and the states it may be found in."""

from __future__ import annotations

import copy
import math
import threading
from typing import Any

import numpy as np
import pytest
from planner_runs import Loop, Problem

from pyig import _core

pytestmark = pytest.mark.core

FIVE = np.zeros(5)


def planner(paths: int = 2, **settings: Any) -> _core.Planner:
    return _core.Planner(paths, **{"rtol": 0.01, "max_evals": 33} | settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"paths": -1}, "paths: expected 0 or more; got -1"),
        ({"rtol": -0.1}, "rtol: expected a finite number, 0 or more; got -0.1"),
        ({"rtol": math.nan}, "rtol: expected a finite number, 0 or more; got nan"),
        ({"rtol": math.inf}, "rtol: .*; got inf"),
        ({"max_evals": 4}, "max_evals: expected 5 or more, the nodes of the first round; got 4"),
        ({"caution": 0}, "caution: expected a finite number above 0; got 0"),
        ({"caution": math.nan}, "caution: .*; got nan"),
        ({"max_rows": 4}, "max_rows: expected 5 or more, the nodes of the first round; got 4"),
        ({"min_width": 0}, r"min_width: expected a number from 2\*\*-50 to 1; got 0"),
        ({"min_width": 1.5}, "min_width: .*; got 1.5"),
        ({"noise": -1}, "noise: expected a finite number, 0 or more; got -1"),
        ({"noise": math.inf}, "noise: .*; got inf"),
        ({"min_width": math.nan}, "min_width: .*; got nan"),
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        planner(**settings)


@pytest.mark.parametrize(
    "settings",
    [{"rtol": 0}, {"max_evals": 5}, {"max_rows": 5}, {"min_width": 1}, {"min_width": 2**-50}, {"caution": 2}],
)
def test_settings_at_the_edge_are_taken(settings: dict[str, Any]) -> None:
    assert len(planner(**settings).ask(5)[0]) == 5


def test_settings_are_named() -> None:
    with pytest.raises(TypeError):
        _core.Planner(2, 0.01, 33)  # type: ignore[misc, call-arg]
    with pytest.raises(TypeError):
        _core.Planner(2, max_evals=33)  # type: ignore[call-arg]


@pytest.mark.parametrize("rows", [0, -3])
def test_a_batch_has_rows(rows: int) -> None:
    with pytest.raises(ValueError, match=f"rows: expected 1 or more; got {rows}"):
        planner().ask(rows)


@pytest.mark.parametrize(
    ("values", "slopes", "message"),
    [
        (
            np.zeros(8),
            np.zeros(8),
            r"values: expected at most the 7 pairs that were asked; got float64 of shape \(8,\)",
        ),
        (FIVE, np.zeros(4), r"slopes: expected shape \(5,\), which is that of values"),
        (FIVE.astype(np.float32), FIVE, "values: expected a 1-D numpy array of float64; got float32"),
        (FIVE, FIVE[:, None], "slopes: expected a 1-D numpy array of float64"),
    ],
)
def test_answers_fit_the_question(values: Any, slopes: Any, message: str) -> None:
    asked = planner()
    asked.ask(7)
    with pytest.raises(ValueError, match=message):
        asked.tell(values, slopes)
    assert asked.rows == 0
    assert asked.tell(FIVE, FIVE).tolist() == [0, 1, 2, 3, 4]


def test_nothing_is_told_that_was_not_asked() -> None:
    fresh = planner()
    with pytest.raises(ValueError, match="at most the 0 pairs"):
        fresh.tell(FIVE, FIVE)
    fresh.ask(5)
    fresh.tell(FIVE, FIVE)
    with pytest.raises(ValueError, match="at most the 0 pairs"):
        fresh.tell(FIVE, FIVE)
    assert fresh.tell(FIVE[:0], FIVE[:0]).tolist() == []


def test_as_many_norms_are_told_as_were_wanted() -> None:
    asked = planner()
    asked.ask(5)
    asked.tell(FIVE, FIVE)
    wanted = len(asked.combinations()[0])
    assert wanted == 7  # the whole path, two halves, both, the change, the spline, the total
    for count in (wanted - 1, wanted + 1, 0):
        with pytest.raises(ValueError, match=r"norms: expected shape \(7,\), which is one for each combination"):
            asked.tell_norms(np.zeros(count))
    asked.tell_norms(np.zeros(wanted))
    assert asked.converged.tolist() == [True, False]
    asked.tell_norms(np.zeros(0))
    with pytest.raises(ValueError, match=r"norms: expected shape \(0,\)"):
        asked.tell_norms(np.zeros(wanted))


def test_a_record_is_there_when_its_path_is_finished() -> None:
    asked = planner(max_rows=33)  # one path at a time
    for path in (-1, 2):
        with pytest.raises(IndexError, match=f"path: expected 0 <= path < 2; got {path}"):
            asked.record(path)
    for _ in range(2):
        with pytest.raises(ValueError, match="path: expected a finished one; got 0, which is not"):
            asked.record(0)
        asked.ask(5)
    asked.stop()
    assert asked.record(0).shape == (0, 4)
    with pytest.raises(ValueError, match="got 1, which is not"):
        asked.record(1)  # never begun


def test_what_comes_back_is_a_copy() -> None:
    asked = planner(1)
    asked.ask(5)
    asked.tell(FIVE, FIVE)
    asked.combinations()[4][:] = 9
    assert (asked.combinations()[4] != 9).all()
    asked.tell_norms(np.zeros(7))
    for name in ("error", "size", "n_evals", "converged"):
        getattr(asked, name)[:] = 7
        assert getattr(asked, name)[0] in (0, 5, True)
        with pytest.raises(AttributeError):
            setattr(asked, name, 0)
    asked.record(0)[:] = 7
    assert asked.record(0)[:, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_no_paths_are_no_work() -> None:
    idle = planner(0)
    assert len(idle.ask(9)[0]) == 0
    idle.stop()
    assert len(idle.finished()) == len(idle.error) == 0


def test_folds_and_finished_are_told_once() -> None:
    loop = Loop(planner(3), Problem.draw(3, ("linear",)))
    loop.answer(*loop.planner.ask(15))
    loop.planner.tell_norms(loop.measure())
    assert len(loop.planner.folds()[0]) == 3
    assert [part.tolist() for part in loop.planner.folds()] == [[], [], [0], [], []]
    assert loop.planner.finished().tolist() == [0, 1, 2]
    assert loop.planner.finished().tolist() == []


def test_a_planner_cannot_be_copied() -> None:
    with pytest.raises(TypeError):
        copy.copy(planner())


def test_stopping_again_changes_nothing() -> None:
    loop = Loop(planner(9, max_rows=5), Problem.draw(9, ("step",)))
    for _ in range(3):
        loop.answer(*loop.planner.ask(7))
        loop.planner.tell_norms(loop.measure())
    for _ in range(2):
        loop.planner.stop()
        loop.settle()
        loop.check()
        assert loop.finished == [0]
        assert loop.planner.rows == 0
        assert not loop.planner.converged.any()
    with pytest.raises(ValueError, match="at most the 0 pairs"):
        loop.planner.tell(FIVE, FIVE)


def test_threads_run_planners_of_their_own() -> None:
    problem = Problem.draw(30)
    expected = Loop(planner(30), problem).run().totals
    found: list[Any] = [None] * 4

    def work(index: int) -> None:
        found[index] = Loop(planner(30), problem).run().totals

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for totals in found:
        assert (totals == expected).all()
