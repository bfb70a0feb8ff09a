"""A run while it runs: progress, cancelling, interrupting, running out of memory."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import tqdm.auto
import zoo

import pyig
from pyig.errors import ModelError
from pyig.integrate import monitor

DEEP = zoo.ENTRIES["deep"]()
X = np.concatenate([DEEP.x + k / 7 for k in range(5)])  # 20 samples
STEPS = 10


class Model:
    """The deep model of the zoo in numpy, with something to do before every gradient."""

    def __init__(self, before: Callable[[int, int], None] | None = None) -> None:
        self.net = frameworks.framework("callable").build(DEEP.steps, (), np.float64)
        self.before = before
        self.calls: list[int] = []

    def __call__(self, x: Any) -> Any:
        return self.net(x)

    def gradient(self, x: Any, cotangent: Any) -> Any:
        if self.before is not None:
            self.before(len(self.calls), len(x))
        self.calls.append(len(x))
        return self.net.gradient(x, cotangent=cotangent)

    def explain(self, x: Any = X, **options: Any) -> pyig.Explanation:
        ig = pyig.IntegratedGradients(self, gradient=self.gradient)
        return ig.explain(x, **({"n_steps": STEPS, "batch_size": 4, "progress": False} | options))


WHOLE = Model().explain()


# --- progress ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["explain", "attribute"])
def test_a_function_is_told_after_every_call(method: str, backend: str) -> None:
    told: list[tuple[int, int]] = []
    ig = frameworks.explainer(backend, DEEP)
    getattr(ig, method)(X, n_steps=STEPS, batch_size=16, progress=lambda done, total: told.append((done, total)))
    done = [each[0] for each in told]
    assert done == [*range(16, 200, 16), 200]
    assert {each[1] for each in told} == {200}


def test_several_targets_and_baselines_count() -> None:
    told: list[tuple[int, int]] = []
    entry = zoo.ENTRIES["classes"]()
    frameworks.explain(
        "callable", entry, baselines=[0, 1], target="top3", n_steps=STEPS, progress=lambda *a: told.append(a)
    )
    assert told[-1] == (5 * 3 * 2 * STEPS, 5 * 3 * 2 * STEPS)


class Bar:
    """What tqdm would be asked to draw."""

    made: list[Bar]

    def __init__(self, **options: Any) -> None:
        self.options, self.n, self.closed = options, 0, False
        Bar.made.append(self)

    def update(self, n: int) -> None:
        assert not self.closed
        self.n += n

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    Bar.made = []
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    return Bar.made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets; calls read it and it stands still."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def slowly(clock: list[float], seconds: float) -> Callable[[int, int], None]:
    def before(call: int, rows: int) -> None:
        clock[0] += seconds

    return before


def test_short_work_shows_no_bar(bars: list[Bar], clock: list[float]) -> None:
    Model(slowly(clock, 0.03)).explain(progress=True)
    assert 1 < clock[0] < 2
    assert bars == []


def test_long_work_shows_one(bars: list[Bar], clock: list[float]) -> None:
    Model(slowly(clock, 0.3)).explain()
    assert bars == []
    Model(slowly(clock, 0.3)).explain(progress=True)
    (bar,) = bars
    assert bar.options["total"] == 200
    assert bar.n == 200
    assert bar.closed


def test_the_bar_comes_down_after_an_error(bars: list[Bar], clock: list[float]) -> None:
    def before(call: int, rows: int) -> None:
        clock[0] += 1
        if call == 30:
            raise OSError("bang")

    with pytest.raises(OSError, match="bang"):
        Model(before).explain(progress=True)
    assert [bar.closed for bar in bars] == [True]


def test_without_tqdm_there_is_no_bar_and_no_error(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    found = Model(slowly(clock, 1)).explain(progress=True)
    assert found.meta["complete"]


def test_the_patience_is_two_seconds() -> None:
    assert monitor._PATIENCE == 2.0


# --- cancelling ----------------------------------------------------------------------------------------------------


def assert_partial(found: pyig.Explanation, gradients: int, paths: int = 1) -> None:
    """Check that the first `gradients` were spent, and that everything says so."""
    each = STEPS * paths
    spent = np.clip(gradients - each * np.arange(len(found)), 0, each)
    done, begun = spent == each, spent > 0
    np.testing.assert_array_equal(found.n_evals, spent)
    np.testing.assert_allclose(found.attributions[done], WHOLE.attributions[done], rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.deltas[done], WHOLE.deltas[done], rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found.converged[done], WHOLE.converged[done])
    assert np.isfinite(found.attributions[begun]).all()
    assert np.isnan(found.attributions[~begun]).all()
    assert np.isnan(found.error[~done]).all()
    assert not found.converged[~done].any()
    assert found.meta["complete"] == bool(done.all())
    np.testing.assert_array_equal(np.diff(found.path_offsets), spent)


def stopper(after: int) -> tuple[Callable[[int, int], None], threading.Event]:
    event = threading.Event()

    def before(call: int, rows: int) -> None:
        if call == after - 1:
            event.set()

    return before, event


@pytest.mark.parametrize("after", [1, 2, 5, 20, 37, 49])
def test_an_event_stops_before_the_next_call(after: int) -> None:
    before, event = stopper(after)
    model = Model(before)
    found = model.explain(cancel=event)
    assert len(model.calls) == after
    assert_partial(found, sum(model.calls))


def test_an_event_that_is_never_set_changes_nothing() -> None:
    found = Model().explain(cancel=threading.Event())
    assert_partial(found, 200)
    assert found.meta["complete"]


def test_a_function_stops_as_well() -> None:
    asked: list[int] = []

    def cancel() -> bool:
        asked.append(1)
        return len(asked) > 12

    model = Model()
    found = model.explain(cancel=cancel)
    assert 8 <= len(model.calls) <= 12
    assert_partial(found, sum(model.calls))


@pytest.mark.parametrize("after", [1, 5, 20, 49])
def test_ctrl_c_gives_back_what_is_there(after: int) -> None:
    def before(call: int, rows: int) -> None:
        if call == after:
            raise KeyboardInterrupt

    model = Model(before)
    found = model.explain()
    assert len(model.calls) == after
    assert_partial(found, sum(model.calls))


def test_ctrl_c_before_anything_is_there_goes_through() -> None:
    def interrupted(x: Any) -> Any:
        raise KeyboardInterrupt

    ig = pyig.IntegratedGradients(interrupted, gradient=interrupted)
    with pytest.raises(KeyboardInterrupt):
        ig.explain(X)


def test_a_run_that_was_cancelled_from_the_start_is_empty(backend: str) -> None:
    event = threading.Event()
    event.set()
    ig = frameworks.explainer(backend, DEEP)
    found = ig.explain(X, n_steps=STEPS, cancel=event)
    assert np.isnan(found.attributions).all()
    assert not found.n_evals.any()
    assert not found.meta["complete"]
    assert not found.converged.any()
    assert "nan" not in repr(found).lower()
    tensor = ig.attribute(frameworks.framework(backend).tensor(X), n_steps=STEPS, cancel=event)
    assert np.isnan(np.asarray(tensor)).all()


def test_a_path_cut_short_is_an_estimate_of_its_integral() -> None:
    for after in (1, 2):  # 4 and 8 of 10 nodes of the first sample
        before, event = stopper(after)
        found = Model(before).explain(cancel=event)
        share = np.abs(found.attributions[0] - WHOLE.attributions[0]).sum() / np.abs(WHOLE.attributions[0]).sum()
        assert 1e-6 < share < 0.5


def test_several_targets_of_a_sample_are_given_back_together() -> None:
    entry = zoo.ENTRIES["classes"]()
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        if done >= 45:
            event.set()

    options = {"target": "top3", "n_steps": STEPS, "batch_size": 5}
    whole = frameworks.explain("torch", entry, **options)
    found = frameworks.explain("torch", entry, **options, cancel=event, progress=progress)
    assert found.n_evals.tolist() == [[10] * 3, [5] * 3] + [[0] * 3] * 3, "one forward serves the targets of a sample"
    np.testing.assert_allclose(found.attributions[0], whole.attributions[0], rtol=0, atol=1e-13)
    assert np.isnan(found.attributions[2:]).all()


def test_several_baselines_are_averaged_over_those_begun() -> None:
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        if done >= 20:
            event.set()

    starts = [0.0, 1.0, 2.0]
    options = {"n_steps": STEPS, "batch_size": 5}
    found = frameworks.explain("torch", DEEP, baselines=starts, **options, cancel=event, progress=progress)
    two = frameworks.explain("torch", DEEP, baselines=starts[:2], **options)
    assert found.n_evals.tolist() == [20, 0, 0, 0]
    np.testing.assert_allclose(found.attributions[0], two.attributions[0], rtol=0, atol=1e-13)
    assert not found.converged.any()


def test_a_partial_result_is_saved_like_any_other(tmp_path: Any) -> None:
    before, event = stopper(7)
    found = Model(before).explain(cancel=event)
    found.save(tmp_path / "partial.npz")
    assert pyig.load(tmp_path / "partial.npz") == found


# --- running out of memory -----------------------------------------------------------------------------------------


def limit(most: int, error: Callable[[], BaseException]) -> Callable[[int, int], None]:
    def before(call: int, rows: int) -> None:
        if rows > most:
            raise error()

    return before


@pytest.mark.parametrize("most", [1, 3, 5, 40])
def test_a_smaller_batch_gives_the_same(most: int) -> None:
    model = Model(limit(most, MemoryError))
    found = model.explain(batch_size=64)
    np.testing.assert_allclose(found.attributions, WHOLE.attributions, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found.n_evals, WHOLE.n_evals)
    assert sum(model.calls) == 200, "no row was evaluated twice, and none lost"
    assert max(model.calls) <= most
    assert found.meta["batch_rows"] == max(model.calls) > most // 2


@pytest.mark.parametrize("where", ["ends", "path"])
def test_torch_runs_out_of_memory_anywhere(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyig.structure.torch_hoisting.search_pays", lambda evaluations: False)  # it calls the model
    rows: list[int] = []
    inner = frameworks.framework("torch").build(DEEP.steps, (), np.float64)

    def model(x: Any) -> Any:
        if len(x) > 3 and (x.requires_grad == (where == "path")):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if x.requires_grad:
            rows.append(len(x))
        return inner(x)

    found = pyig.IntegratedGradients(model, backend="torch").explain(X, n_steps=STEPS, batch_size=64)
    np.testing.assert_allclose(found.attributions, WHOLE.attributions, rtol=0, atol=1e-13)
    assert sum(rows) == 200
    assert max(rows) <= 3 or where == "ends"


def test_one_row_too_many_is_said() -> None:
    model = Model(limit(0, MemoryError))
    with pytest.raises(ModelError, match="out of memory on a single row"):
        model.explain()
    assert model.calls == []


def test_running_out_later_keeps_what_is_there() -> None:
    def before(call: int, rows: int) -> None:
        if call >= 20 and rows > 2:
            raise MemoryError

    model = Model(before)
    found = model.explain()
    assert model.calls == [4] * 20 + [2] * 60
    np.testing.assert_allclose(found.attributions, WHOLE.attributions, rtol=0, atol=1e-13)


def test_the_next_call_starts_at_the_size_that_worked() -> None:
    model = Model(limit(8, MemoryError))
    ig = pyig.IntegratedGradients(model, gradient=model.gradient)
    ig.explain(X, n_steps=STEPS)
    tried = len(model.calls)
    failed: list[int] = []
    model.before = lambda call, rows: failed.append(rows) if rows > 8 else None
    ig.explain(X, n_steps=STEPS)
    assert len(model.calls) > tried
    assert failed == []
