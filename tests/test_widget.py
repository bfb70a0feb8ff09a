"""The widget without a browser: what it sends, what it answers, and the thread that asks the model again."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
import samples

import pyig
from pyig.errors import InputError, InputTypeError, MissingPackageError
from pyig.jupyter.origin import Origin, origin_of, read, remember
from pyig.jupyter.widget import ExplanationWidget, compare, widget
from pyig.jupyter.worker import Worker

W = np.array([[1.0, -2.0], [0.5, 1.0], [0.0, 3.0]])
X = np.array([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]])


def net(x: Any) -> Any:
    """Two outputs; curved, so that steps matter."""
    return np.tanh(x) @ W


def gradient(x: Any, cotangent: Any) -> Any:
    return (1 - np.tanh(x) ** 2) * (cotangent @ W.T)


IG = pyig.IntegratedGradients(net, gradient=gradient)


class Recorded(ExplanationWidget):
    """Keeps what it would send."""

    def send(self, content: Any, buffers: Any = None) -> None:
        self.__dict__.setdefault("sent", []).append((content, buffers))

    def last(self, kind: str) -> Any:
        return next(content for content, _ in reversed(self.sent) if content["type"] == kind)


def made(x: Any = X, **options: Any) -> Recorded:
    options = {"target": 1, **options}
    origin = Origin(IG, x, options, {"model": "net", "input": "x"})
    return Recorded(origin.explain(), origin)


def ask(w: Recorded, **message: Any) -> None:
    w._heard(w, {"n": 0, **message}, [])
    assert w.wait(20)


# --- what is sent ------------------------------------------------------------------------------------------------


def test_hello_is_answered_with_controls_and_numbers() -> None:
    w = made()
    ask(w, type="hello")
    live = w.last("live")["live"]
    assert live["model"] is True
    assert live["options"]["target"] == "1"
    assert "gausslegendre" in live["methods"]
    content, buffers = w.sent[-1]
    assert content["type"] == "full"
    assert content["id"] == w.spec["id"]
    assert len(buffers) == 1


def test_without_a_model_there_are_no_controls() -> None:
    w = Recorded(samples.table())
    ask(w, type="hello")
    assert w.last("live")["live"] == {"model": False, "edit": False, "texts": []}
    ask(w, type="explain", options={"target": "1"})
    assert "exp.widget(model)" in w.last("error")["text"]


def test_another_path_is_sent_when_asked_for() -> None:
    w = Recorded(samples.several_targets())
    ask(w, type="want", paths=[3])
    assert [path["n"] for path in w.last("full")["paths"]] == [3]


@pytest.mark.parametrize("message", [{"type": "want"}, {"type": "explain", "options": 3}, "nonsense", {"type": "edit"}])
def test_a_broken_message_does_not_end_the_widget(message: Any) -> None:
    w = made()
    w._heard(w, message, [])
    ask(w, type="hello")
    assert w.last("full")


# --- asking again ------------------------------------------------------------------------------------------------


def test_a_target_is_explained_anew() -> None:
    w = made()
    seen: list[Any] = []
    w.observe(lambda change: seen.append(change["new"]), "explanation")
    before = w.spec["id"]
    ask(w, type="explain", options={"target": "0"})
    np.testing.assert_allclose(w.explanation.values, net(X[:1])[:, 0])
    assert len(w.explanation) == 1  # the sample on show
    assert seen == [w.explanation]
    assert w.spec["id"] != before
    assert "target=0" in w.spec["code"]
    ask(w, type="reset")
    assert len(w.explanation) == 2
    assert w.spec["original"] is True


def test_the_second_sample_is_asked_about_with_what_is_its_own() -> None:
    origin = Origin(IG, X, {"target": [0, 1], "baselines": X * 0.5}, {})
    w = Recorded(origin.explain(), origin)
    w._heard(w, {"type": "explain", "n": 1, "options": {"rtol": "1e-4"}}, [])
    assert w.wait(20)
    np.testing.assert_array_equal(w.explanation.inputs, X[1:])
    np.testing.assert_array_equal(w.explanation.baselines, X[1:] * 0.5)
    assert w.explanation.targets.tolist() == [1]
    assert w.explanation.meta["rtol"] == 1e-4


def test_an_edit_keeps_the_old_bars_and_the_input() -> None:
    x = X.copy()
    w = made(x[:1])
    old = w.explanation.attributions.copy()
    ask(w, type="edit", edits=[[2, -1.0]])
    np.testing.assert_array_equal(w.explanation.inputs, [[1.0, 2.0, -1.0]])
    np.testing.assert_array_equal(x, X)
    assert w.spec["changed"] == "what if: x[2] = -1.0"
    assert any(entry["n"] == "0.before" for entry in w.spec["paths"][0]["arrays"])
    ask(w, type="edit", edits=[[0, 5.0]])
    np.testing.assert_array_equal(w.explanation.inputs, [[5.0, 2.0, -1.0]])
    assert "x[0] = 5.0" in w.spec["changed"]
    assert "x[2] = -1.0" in w.spec["changed"]
    ask(w, type="explain", options={"target": "0"})  # another question: no outline, but the edits stay
    assert not any(entry["n"] == "0.before" for entry in w.spec["paths"][0]["arrays"])
    np.testing.assert_array_equal(w.explanation.inputs, [[5.0, 2.0, -1.0]])
    ask(w, type="reset")
    np.testing.assert_array_equal(w.explanation.attributions, old)
    assert w.spec["changed"] == ""


def test_edits_of_a_frame_and_of_a_dict() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=["p", "q"])
    w = made(frame)
    ask(w, type="edit", edits=[[1, 9.0]])
    assert w.explanation.inputs["b"].tolist() == [9.0]
    assert list(w.explanation.inputs.index) == ["p"]
    assert frame["b"].tolist() == [2.0, 0.0]
    assert w.spec["changed"] == "what if: b = 9.0"
    pair = Origin(IG, {"one": X[:1, :2], "two": X[:1, 2:]}).edited([(2, 7.0)])
    np.testing.assert_array_equal(pair.x["two"], [[7.0]])
    with pytest.raises(InputError, match="feature below 3"):
        Origin(IG, X[:1]).edited([(3, 1.0)])


def test_runs_of_one_question_are_gathered() -> None:
    w = made(X[:1], n_steps=4)
    for steps in ("8", "16", "16"):
        ask(w, type="explain", options={"n_steps": steps})
    assert [run["evals"] for run in w.spec["runs"]] == [4, 8, 16]
    assert w.spec["runs"][-1]["gap"] == w.explanation.deltas[0]
    ask(w, type="explain", options={"target": "0"})
    assert len(w.spec["runs"]) == 1


def test_an_error_is_told_and_the_last_result_stays() -> None:
    w = made(X[:1])
    before = w.explanation
    ask(w, type="explain", options={"target": "7"})
    assert "7" in w.last("error")["text"]
    assert w.explanation is before
    ask(w, type="explain", options={"method": "simpsn"})
    assert "simpson" in w.last("error")["text"]
    ask(w, type="explain", options={"target": "0"})
    assert w.last("error")["text"] == ""


def test_the_code_gives_the_same_result() -> None:
    w = made(X[:1])
    ask(w, type="explain", options={"target": "0", "n_steps": "8", "method": "simpson"})
    scope = {"pyig": pyig, "net": net, "x": X[:1]}
    pyig_ig, pyig.IntegratedGradients = pyig.IntegratedGradients, lambda model: IG  # type: ignore[misc,assignment]
    try:
        again = eval(w.spec["code"], scope)
    finally:
        pyig.IntegratedGradients = pyig_ig  # type: ignore[misc]
    np.testing.assert_array_equal(again.attributions, w.explanation.attributions)


def test_float64_is_asked_of_a_copy_and_can_be_taken_back() -> None:
    x = X[:1].astype(np.float32)
    w = made(x, n_steps=12)
    assert w.explanation.attributions.dtype == np.float32
    ask(w, type="explain", options={"float64": True})
    assert w.explanation.attributions.dtype == np.float64
    assert w.spec["changed"] == "float64 on"
    again = eval(w.spec["code"].replace("pyig.IntegratedGradients(net)", "IG"), {"IG": IG, "x": x})
    np.testing.assert_array_equal(again.attributions, w.explanation.attributions)
    ask(w, type="explain", options={"target": "0"})  # it stays, whatever else changes
    assert w.explanation.attributions.dtype == np.float64
    assert len(w.spec["runs"]) == 1
    ask(w, type="explain", options={"float64": None})
    assert w.explanation.attributions.dtype == np.float32
    assert [run["evals"] for run in w.spec["runs"]] == [12, 12]  # one question, asked with more digits and with fewer


def test_float64_that_cannot_be_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    w = made(X[:1])
    monkeypatch.setattr(type(IG.backend_for(X)), "name", "jax")
    before = w.explanation
    ask(w, type="explain", options={"float64": True})
    assert "jax_enable_x64" in w.last("error")["text"]
    assert w.last("live")["live"]["options"]["float64"] is None  # the box is set back
    assert w.explanation is before


# --- the thread --------------------------------------------------------------------------------------------------


def slow(gate: threading.Event) -> Any:
    def forward(x: Any) -> Any:
        gate.set()
        time.sleep(0.02)
        return net(x)

    return pyig.IntegratedGradients(forward, gradient=gradient)


def test_cancel_gives_the_partial_result_as_such() -> None:
    started = threading.Event()
    origin = Origin(slow(started), X[:1], {"target": 1, "batch_size": 2})
    w = Recorded(origin.explain(n_steps=2), origin)
    started.clear()
    w.explain(n_steps=2000)
    assert started.wait(5)
    time.sleep(0.2)
    w.cancel()
    assert w.wait(5)  # two thousand gradients would take twenty seconds
    told = w.spec["paths"][0]["state"] if w.spec["original"] is False else w.last("error")["text"]
    assert "stopped" in told
    assert not [m for m, _ in w.sent if m["type"] == "progress"][-1]["running"]


def test_the_newest_request_wins() -> None:
    started = threading.Event()
    origin = Origin(slow(started), X[:1], {"target": 1, "batch_size": 2})
    w = Recorded(origin.explain(n_steps=2), origin)
    started.clear()
    w.explain(n_steps=2000)
    assert started.wait(5)
    for target in ("1", "0", "1", "0"):
        w.explain(target=target, n_steps=4)
    assert w.wait(10)
    assert w.explanation.targets.tolist() == [0]
    assert w.explanation.n_evals.tolist() == [4]


def test_what_was_asked_before_counts_though_its_answer_is_never_shown() -> None:
    started = threading.Event()
    origin = Origin(slow(started), X[:1], {"target": 1})
    w = Recorded(origin.explain(n_steps=2), origin)
    w.explain(method="simpson")
    w.explain(n_steps=5)
    w.edit({0: 4.0})
    w.explain(target=0)
    assert w.wait(10)
    e = w.explanation
    assert (e.meta["method"], e.meta["n_steps"], e.targets.tolist(), e.inputs[0, 0]) == ("simpson", 5, [0], 4.0)
    ask(w, type="explain", options={"target": "9"})
    ask(w, type="explain", options={"n_steps": "7"})  # what was refused does not count
    assert (w.explanation.meta["n_steps"], w.explanation.targets.tolist()) == (7, [0])


def test_the_original_stays_when_a_late_answer_comes() -> None:
    started = threading.Event()
    origin = Origin(slow(started), X[:1], {"target": 1})
    w = Recorded(origin.explain(n_steps=2), origin)
    first = w.explanation
    started.clear()
    w.explain(n_steps=2000)
    assert started.wait(5)
    w.reset()
    assert w.wait(10)
    assert w.explanation is first
    w.explain(target=0, n_steps=2)
    assert w.wait(10)
    assert w.explanation.targets.tolist() == [0]


def test_a_worker_ends_its_thread_and_starts_again() -> None:
    results: list[Any] = []
    worker = Worker(lambda *_: None, lambda result, error, _job: results.append(result or error))
    for n in range(3):
        worker.submit(lambda n=n, **_: n + 1)  # type: ignore[misc]
        assert worker.join(5)
    assert results == [1, 2, 3]
    worker.submit(lambda **_: 1 / 0)  # type: ignore[arg-type,return-value]
    assert worker.join(5)
    assert isinstance(results[-1], ZeroDivisionError)
    assert not [t for t in threading.enumerate() if t.name == "pyig-widget"]


# --- from an Explanation -----------------------------------------------------------------------------------------


def test_a_widget_from_python() -> None:
    e = IG.explain(X, target=1, n_steps=6)
    plain = widget(e)
    assert plain._origin is None
    asked = widget(e, IG)
    assert asked._origin is not None
    asked.explain(target=0)
    assert asked.wait(10)
    np.testing.assert_allclose(asked.explanation.values, net(X[:1])[:, 0])
    assert asked.explanation.n_evals.tolist() == [6]
    assert isinstance(e.widget(), ExplanationWidget)
    with pytest.raises(InputTypeError, match="model="):
        widget(e, rtol=0.1)


def test_an_explanation_remembers_its_origin_as_long_as_it_lives() -> None:
    e = IG.explain(X, target=1)
    origin = Origin(IG, X, {"target": 1})
    assert origin_of(e) is None
    remember(e, origin)
    assert origin_of(e) is origin
    assert widget(e)._origin is origin
    assert origin_of(IG.explain(X, target=1)) is None


def test_without_anywidget_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    e = IG.explain(X, target=1)
    for call in (e.widget, lambda: e.compare(e)):
        with pytest.raises(MissingPackageError, match="notebook"):
            call()
    with pytest.raises(NotImplementedError):  # IPython goes on to the static view
        e._ipython_display_()


def test_comparison() -> None:
    one, two = IG.explain(X, target=0), IG.explain(X, target=1)
    w = one.compare(two, ("zero", "one"))
    assert {key: pin["label"] for key, pin in w.pins.items()} == {"A": "zero", "B": "one"}
    assert len(w.data_a) > 0
    assert len(w.data_b) > 0
    with pytest.raises(InputTypeError, match="another Explanation"):
        compare(one, "two")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one sample"):
        compare(one, two[:0])


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("target", "2", 2),
        ("target", "bee", 1),
        ("target", "predicted", "predicted"),
        ("target", " ", None),
        ("target", "(0, 1)", (0, 1)),
        ("n_steps", "auto", None),
        ("n_steps", "12", 12),
        ("rtol", "1e-3", 1e-3),
        ("rtol", "much", "much"),
        ("layer", "0", "0"),
        ("n_steps", 7, 7),
    ],
)
def test_what_is_typed_becomes_a_value(name: str, word: Any, value: Any) -> None:
    assert read(name, word, ["ant", "bee"]) == value
