"""Two states on one scale: texts word above word, pictures, series, and the way along the path of a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import samples

from e2e.module import page as page
from e2e.stub import Bridge
from pyig.explanation import Explanation
from pyig.jupyter.widget import ExplanationWidget
from pyig.views.words import signed


def text(words: str, *phi: float) -> Explanation:
    tokens = np.array([words.split()])
    return replace(samples.make(np.zeros(tokens.shape), np.array([phi])), inputs=tokens, baselines=tokens)


def compared(page: Any, one: Explanation, other: Explanation, **view: Any) -> Bridge:
    return Bridge(page, ExplanationWidget(one, view=view, pins={"A": (one, "one"), "B": (other, "other")}))


def shapes(place: Any, selector: str) -> list[dict[str, float]]:
    return [part.bounding_box() for part in place.locator(selector).all()]


def test_words_stand_above_each_other(page: Any) -> None:
    one = text("the film was not very bad", 0.0, 0.2, 0.0, -0.4, -0.1, 0.5)
    compared(page, one, text("this film was bad", 0.1, 0.3, 0.0, -0.6))
    first, *pairs = page.locator(".compare .pair").all()
    assert first.inner_text().split() == ["A", "B"]
    # "the", "not" and "very" went, "this" came; the others are in both.
    assert len(pairs) == 7
    for pair in pairs:
        above, below = shapes(pair, ".word")
        assert above["y"] + above["height"] <= below["y"]
        middle = [word["x"] + word["width"] / 2 for word in (above, below)]
        assert abs(middle[0] - middle[1]) < 2
    assert page.locator(".compare .missing").count() == 4
    assert page.locator(".compare .new").count() == 4


def test_the_difference_of_texts_word_by_word(page: Any) -> None:
    one = text("the film was not very bad", 0.0, 0.2, 0.0, -0.4, -0.1, 0.5)
    compared(page, one, text("this film was bad", 0.1, 0.3, 0.0, -0.6), pair="difference")
    titles = page.locator(".compare .word").evaluate_all("s => s.map(e => [e.querySelector('bdi').innerText, e.title])")
    film, bad = signed([0.1, -1.1])
    assert dict(titles)["film"] == f"B - A {film}: A +0.200, B +0.300"
    assert dict(titles)["bad"] == f"B - A {bad}: A +0.500, B -0.600"
    assert dict(titles)["not"] == "B - A +0.40: A -0.400, B not there"
    assert [word.split()[0] for word in page.locator(".compare .gone").all_inner_texts()] == ["the", "not", "very"]
    assert [word.split()[0] for word in page.locator(".compare .new").all_inner_texts()] == ["this"]


def test_a_text_with_itself_differs_in_nothing(page: Any) -> None:
    e = text("the film was bad", 0.1, 0.2, 0.0, -0.4)
    compared(page, e, e, pair="difference")
    assert page.locator(".compare .word").count() == 4
    assert page.locator(".compare .gone, .compare .new, .compare .favour, .compare .against").count() == 0


@pytest.mark.parametrize(("pair", "count"), [("side by side", 3), ("difference", 1)])
@pytest.mark.parametrize("kind", ["picture", "series"])
def test_the_difference_alone(page: Any, kind: str, pair: str, count: int) -> None:
    e = samples.picture((3, 16, 20)) if kind == "picture" else samples.sequence()
    other = replace(e, attributions=e.attributions * 0.5)
    compared(page, e, other, pair=pair)
    parts = page.locator(f".compare {'canvas:not(.strip)' if kind == 'picture' else 'svg'}")
    parts.first.wait_for()
    assert parts.count() == count
    assert parts.last.get_attribute("aria-label") == "attributions of B - A"


def test_series_of_different_length_say_so(page: Any) -> None:
    e = samples.sequence()
    short = samples.make(np.ones((1, 4, 60)), np.ones((1, 4, 60)))
    compared(page, e, short)
    assert "different length: 6 and 4 steps" in page.locator(".compare").inner_text()


def test_the_slider_shows_the_features_on_the_way(page: Any) -> None:
    e = samples.table()
    Bridge(page, ExplanationWidget(e))
    way = page.locator(".features > .legend")
    assert not way.is_visible()
    page.locator("summary", has_text="convergence").click()
    page.get_by_label("along the path, a").fill("0.5")
    at = samples.FEATURES.index("oldpeak")
    start = float(np.ravel(e.baselines)[at])
    assert f"oldpeak {start + 0.5 * (float(e.inputs[0, at]) - start):.4g}" in way.inner_text()
    assert way.inner_text().startswith("at a = 0.50: ")
    page.get_by_label("along the path, a").fill("1")
    assert not way.is_visible()
