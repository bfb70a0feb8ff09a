"""The report: whole, closed to the network, and deaf to whatever a name may contain."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import samples

from pyig.explanation import Explanation

EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "-->]]><svg onload=alert(1)>",
    "&lt;b&gt;",
    "{{7*7}}${x}",
    "javascript:alert(1)",
    "a\x00b\x07\u202egnol",
    "https://example.com/x.js",
]
VOID = {"meta", "img", "br"}
ALLOWED = {
    *[
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "div",
        "p",
        "b",
        "br",
        "h1",
        "h2",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "bdi",
        "img",
    ],
    *["figure", "figcaption", "details", "summary", "svg", "path", "polyline", "circle", "g", "text"],
}


class Page(HTMLParser):
    """Every tag, attribute and text of a page, and whether tags close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def evil(word: str) -> Explanation:
    """Put a word wherever a user's word goes."""
    data = pd.DataFrame(samples.table().inputs, columns=[word, *samples.FEATURES[1:]], index=[word, "b", "c"])
    meta = {**samples.META, "model": word, "notes": [word], "layer": word, word: word, "versions": {word: word}}
    return replace(samples.table(), inputs=data, feature_names=[word] * 12, output_names=[word, word], meta=meta)


def evil_text(word: str) -> Explanation:
    e = samples.mixed()
    words = np.array([[word], [word]])
    return replace(e, inputs={**e.inputs, "ward": words}, baselines={**e.baselines, "ward": words})


@pytest.mark.parametrize("word", EVIL)
@pytest.mark.parametrize("make", [evil, evil_text])
@pytest.mark.parametrize("draw", ["page", "fragment"])
def test_no_word_becomes_markup(word: str, make: Any, draw: str) -> None:
    e = make(word)
    page = Page(e.to_html(title=word) if draw == "page" else e._repr_html_())
    assert {tag for tag, _ in page.tags} <= ALLOWED
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key == "style"], tag
        for key in ("src", "href", "xlink:href", "action", "srcset"):
            assert attributes.get(key, "data:image/png").startswith("data:image/png"), tag
    # Shown as it is, but for control characters and the middle of a long one.
    assert "".join(c if c >= " " else " " for c in word)[:12].split()[0] in page.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", page.text)


def test_a_word_that_is_not_escaped_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyig.views import tables

    monkeypatch.setattr(tables, "name", str)
    with pytest.raises(AssertionError):
        test_no_word_becomes_markup(EVIL[0], evil, "fragment")


@pytest.mark.parametrize("kind", samples.ALL)
def test_the_page_is_closed_to_the_network(kind: str) -> None:
    markup = samples.ALL[kind]().to_html()
    page = Page(markup)
    policies = [meta["content"] for meta in page.named("meta") if "Security-Policy" in meta.get("http-equiv", "")]
    assert len(policies) == 1
    policy = dict(part.strip().split(" ", 1) for part in policies[0].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    assert set(policy) == {"default-src", "img-src", "style-src", "base-uri", "form-action"}
    style = re.findall(r"<style>(.*?)</style>", markup, re.DOTALL)
    assert len(style) == 1
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<iframe|<object|<form", strip_data(markup))


def strip_data(markup: str) -> str:
    return re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", markup)


def test_the_policy_stands_before_what_it_governs() -> None:
    markup = samples.table().to_html()
    assert markup.index("Content-Security-Policy") < markup.index("<style>") < markup.index("<body>")
    assert markup.index("charset") < markup.index("<title>")


@pytest.mark.parametrize("kind", samples.ALL)
def test_the_fragment_brings_no_page(kind: str) -> None:
    page = Page(samples.ALL[kind]()._repr_html_())
    assert not page.named("html")
    assert not page.named("meta")
    assert page.tags[0] == ("div", {"class": "pyig"})


@pytest.mark.parametrize("kind", ["picture", "table"])
def test_every_picture_is_a_png_with_words(kind: str) -> None:
    page = Page(samples.ALL[kind]().to_html())
    for image in page.named("img"):
        png = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"), validate=True)
        assert matplotlib.image.imread(io.BytesIO(png)).size
        assert "alt" in image
        assert int(image["width"]) > 0
        assert int(image["height"]) > 0
    alts = " ".join(image["alt"] for image in page.named("img"))
    if kind == "picture":
        assert "heat map of 16 by 20 pixels, 62 % of the attribution speaks for; strongest at row" in alts
    else:
        assert alts.strip() == ""  # the bars: their numbers stand beside them
    for drawing in page.named("svg"):
        assert drawing["role"] == "img"
        assert drawing["aria-label"].startswith("F from 0.25 at the baseline to")


def test_the_baseline_stands_beside_the_input() -> None:
    e = samples.picture((3, 16, 20))
    start = np.linspace(0, 1, 20, dtype=np.float32) * np.ones((1, 3, 16, 20), np.float32)
    for one, colours in ((e, 1), (replace(e, baselines=start), 8)):
        (image,) = [i for i in Page(one.to_html()).named("img") if i["alt"] == "the baseline picture"]
        pixels = matplotlib.image.imread(io.BytesIO(base64.b64decode(image["src"].partition(",")[2])))
        assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) >= colours
        assert max(int(image["width"]), int(image["height"])) == 96
    text = Page(replace(e, meta={**e.meta, "n_baselines": 8}).to_html()).text
    assert "baseline, mean of 8" in text
    assert "mean of" not in Page(e.to_html()).text


def test_the_tokens_of_the_baseline_are_said() -> None:
    tokens = np.array([["good", "film", "<b>"]])
    e = replace(samples.make(np.zeros((1, 3)), np.array([[0.5, 0.1, -0.3]])), inputs=tokens)
    same = Page(replace(e, baselines=np.array([["[PAD]"] * 3])).to_html())
    assert "baseline: [PAD] in the place of every piece" in " ".join(same.text.split())
    other = replace(e, baselines=np.array([["bad", "book", "<i>"]])).to_html()
    assert "in the place of every piece" not in other
    assert 'title="+0.500, baseline bad"' in other
    assert "baseline &lt;i&gt;" in other


def test_all_numbers_stand_in_the_tables() -> None:
    text = Page(samples.table(gap=0.02).to_html()).text
    for piece in ("oldpeak", "2.3", "2.433", "+0.804", "completeness gap", "-0.020", "F(x) - F(x')", "6.9 %"):
        assert piece in text
    assert "gausslegendre" in text
    assert "not a guarantee" in text


def test_targets_have_a_column_where_there_are_any() -> None:
    assert "target" in Page(samples.table().to_html()).text
    assert "target" not in Page(samples.mixed().to_html()).text


def test_status_has_a_word_and_a_mark() -> None:
    e = samples.table(converged=[True, False, True], error=[1e-4, 0.05, np.nan])
    text = Page(e.to_html()).text
    for piece in ("✓ converged", "! not converged", "? no estimate"):
        assert piece in text
    stopped = replace(e, meta={**e.meta, "complete": False})
    assert "■ stopped early" in Page(stopped.to_html()).text


def test_the_path_is_open_where_it_matters() -> None:
    e = samples.table(converged=[True, False, True])
    assert ["open" in details for details in Page(e.to_html()).named("details")] == [False, True, False]


def test_long_results_are_cut_and_say_so() -> None:
    e = samples.table()[np.arange(60) % 3]
    text = Page(e.to_html(samples=2)).text
    assert text.count("F along the path") == 2
    assert "58 more samples not shown in detail." in text
    fragment = Page(e._repr_html_()).text
    assert "50 more rows not shown." in fragment
    assert "57 more samples not shown in detail." in fragment


def test_to_html_writes_what_it_returns(tmp_path: Path) -> None:
    e = samples.table()
    for path in (tmp_path / "a.html", str(tmp_path / "b.html")):
        markup = e.to_html(path)
        assert Path(path).read_bytes() == markup.encode()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_dark_mode_and_theme() -> None:
    assert "prefers-color-scheme:dark" in samples.table().to_html()
    assert "color:#" not in samples.table()._repr_html_()  # a notebook has its own theme


@pytest.mark.parametrize("noise", ["input", "all"])
@pytest.mark.parametrize("layout", ["chw", "hw"])
def test_a_notebook_output_stays_small(noise: str, layout: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((1, 3, 224, 224) if layout == "chw" else (1, 224, 224))
    phi = rng.normal(size=x.shape) if noise == "all" else np.ones_like(x)
    bundle = samples.make(x, phi)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert sum(map(len, bundle.values())) < 300_000
    assert sum(map(len, samples.make(np.repeat(x, 8, 0), np.repeat(phi, 8, 0))._repr_mimebundle_().values())) < 400_000


def test_a_large_picture_is_reduced_and_says_so() -> None:
    x = np.random.default_rng(0).random((1, 1000, 700))
    e = samples.make(x, x - 0.5)
    assert len(e._repr_html_()) < 300_000
    assert "Reduced for display: one pixel is the mean of 5 x 5." in Page(e._repr_html_()).text
    assert "Reduced" not in Page(samples.picture()._repr_html_()).text


def test_a_notebook_shows_views_themselves() -> None:
    shown = samples.table().plot("html")
    assert shown._repr_html_() == str(shown)
    assert repr(shown) == f"<HTML of {len(shown)} characters>"
