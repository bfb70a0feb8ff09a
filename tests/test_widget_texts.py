"""Texts in the live view, without a browser: what it offers, and what it answers to another text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import text_models

from pyig.errors import InputError
from pyig.jupyter.origin import origin_of
from pyig.jupyter.texts import TextOrigin, pieces_of
from pyig.jupyter.widget import ExplanationWidget
from pyig.text import TextExplanation, explain_text

TEXTS = ["Not <b>bad</b> at all", "a dull film"]


class Recorded(ExplanationWidget):
    """Keeps what it would send."""

    def send(self, content: Any, buffers: Any = None) -> None:
        self.__dict__.setdefault("sent", []).append((content, buffers))

    def last(self, kind: str) -> Any:
        return next(content for content, _ in reversed(self.sent) if content["type"] == kind)


@pytest.fixture
def explained() -> TextExplanation:
    return explain_text(text_models.classifier(), TEXTS, text_models.tokenizer(), target=1, progress=False)


def live(explained: TextExplanation) -> Recorded:
    pieces = pieces_of(explained)
    return Recorded(pieces, origin_of(pieces))


def ask(w: Recorded, **message: Any) -> None:
    w._heard(w, {"n": 0, **message}, [])
    assert w.wait(60)


def test_another_text_is_explained(explained: TextExplanation) -> None:
    w = live(explained)
    w._heard(w, {"type": "hello"}, [])
    assert w.last("live")["live"]["texts"] == ["text"]
    ask(w, type="text", leaf="text", text="a masterpiece", n=1)
    assert "".join(w.explanation.inputs["text"][0]) == "a masterpiece"
    wanted = explained.again(["a masterpiece"])
    np.testing.assert_allclose(w.explanation.values, wanted.values, atol=1e-5)
    assert float(w.explanation.attributions["text"].sum()) == pytest.approx(wanted.total(), abs=0.02)


def test_other_targets_and_baselines(explained: TextExplanation) -> None:
    w = live(explained)
    ask(w, type="explain", options={"target": "2", "baselines": "mask"}, n=1)
    wanted = explain_text(
        text_models.classifier(), TEXTS[1], text_models.tokenizer(), target=2, baseline="mask", progress=False
    )
    np.testing.assert_allclose(w.explanation.values, wanted.values, atol=1e-5)
    np.testing.assert_allclose(w.explanation.baseline_values, wanted.baseline_values, atol=1e-5)


def test_a_text_in_float64(explained: TextExplanation) -> None:
    w = live(explained)
    ask(w, type="explain", options={"float64": True}, n=1)
    assert w.last("error")["text"] == ""
    np.testing.assert_allclose(w.explanation.values, explained.values[1:], atol=1e-4)
    assert abs(float(w.explanation.deltas[0])) < 1e-2
    assert w.spec["code"].startswith("pyig.explain_text(copy.deepcopy(model).double(), 'a dull film'")
    assert "float64" not in w.spec["code"]


def test_what_the_origin_says(explained: TextExplanation) -> None:
    pieces = pieces_of(explained)
    origin = origin_of(pieces)
    assert isinstance(origin, TextOrigin)
    assert origin.of_sample(1, 2).code() == "pyig.explain_text(model, 'a dull film', tokenizer, target=1)"
    assert origin.shown()["baselines"] == "pad"
    assert "zero" in origin.choices(None)["baselines"]
    with pytest.raises(InputError, match="not edited one by one"):
        origin.edited([(0, 1.0)])


def test_loaded_texts_are_shown_without_a_model(explained: TextExplanation, tmp_path: Any) -> None:
    loaded = TextExplanation.load(explained.save(tmp_path / "e.npz"))
    w = live(loaded)
    w._heard(w, {"type": "hello"}, [])
    assert not w.last("live")["live"]["model"]
    assert isinstance(explained.widget(), ExplanationWidget)


def test_words_have_lines(explained: TextExplanation) -> None:
    w = live(explained)
    ask(w, type="along", n=1)
    assert "error" not in w.lines["1"], w.lines
    lines = w.cumulative[1]
    assert set(lines.names) <= {"a", "dull", "film"}
    ask(w, type="explain", options={"target": "2", "baselines": "mask"}, n=1)
    ask(w, type="along")
    assert "error" not in w.lines["0"], w.lines
    assert w.cumulative[0].title == "sample 0, target 2"
    assert w.cumulative[0].reconciles
