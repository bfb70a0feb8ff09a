"""Explanations whose inputs are text: saved without pickle, in a table, and in every view, escaped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import samples

from pyig.explanation import Explanation
from pyig.projections import Embedding, OneHot, project

HOSTILE = '<script>alert("x")</script>'


def explained(targets: int = 1) -> Explanation:
    rng = np.random.default_rng(0)
    k = () if targets == 1 else (targets,)
    before = samples.make(np.eye(3)[[0, 2]], rng.normal(size=(2, *k, 3)))
    return project(before, OneHot(["low & slow", HOSTILE, "naïve 日本"], name="mood"))


def tokens() -> Explanation:
    before = samples.make(np.ones((2, 4, 3)), np.random.default_rng(1).normal(size=(2, 4, 3)))
    return project(before, Embedding(np.array([["the", HOSTILE, "\u202eevil", ""], ["a", "b", "c", "d"]]), name="text"))


def test_text_is_text() -> None:
    e = explained()
    assert e.inputs["mood"].dtype.kind == "U"
    assert e.inputs["mood"].tolist() == ["low & slow", "naïve 日本"]
    assert e.baselines["mood"].tolist() == ["(none)"] * 2
    with pytest.raises(ValueError, match="read-only"):
        e.inputs["mood"][0] = "x"


@pytest.mark.parametrize("make", [explained, tokens, lambda: explained(2)], ids=["table", "tokens", "targets"])
def test_saved_and_loaded(make: object, tmp_path: Path) -> None:
    e: Explanation = make()  # type: ignore[operator]
    loaded = Explanation.load(e.save(tmp_path / "e.npz"))
    assert loaded == e
    assert {leaf.inputs.dtype.kind for leaf in loaded.leaves()} == {"U"}


def test_other_words_are_another_explanation() -> None:
    e = explained()
    assert e[[0]] != e[[1]]
    assert e[[1]].inputs["mood"].tolist() == ["naïve 日本"]


def test_the_table_has_the_words() -> None:
    frame = tokens().to_frame()
    assert frame["value"].tolist() == ["the", HOSTILE, "\u202eevil", "", "a", "b", "c", "d"]
    assert frame["feature"].tolist()[:2] == ["text[0]", "text[1]"]
    assert frame["attribution"].dtype == np.float64
    assert explained(2).to_frame()["value"].tolist() == ["low & slow"] * 2 + ["naïve 日本"] * 2


def test_the_repr_names_the_features() -> None:
    assert "2 samples of text (4 features)" in repr(tokens())
    assert "2 samples of mood" in repr(explained())


def test_the_text_view_shows_the_words() -> None:
    shown = explained().plot("text")
    assert "mood" in shown
    assert "low & slow" in shown


def test_the_bars_show_the_words() -> None:
    figure = tokens().plot("bars")
    labels = [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]
    assert "the" in labels  # a word is its own name


@pytest.mark.parametrize("make", [explained, tokens])
def test_markup_in_the_words_is_escaped(make: object) -> None:
    e: Explanation = make()  # type: ignore[operator]
    hostile = e if make is tokens else e[[1]]
    for markup in (hostile._repr_html_(), hostile.to_html()):
        assert "<script" not in markup
    assert "&lt;script&gt;" in tokens()._repr_html_()
    assert "low &amp; slow" in explained()._repr_html_()
