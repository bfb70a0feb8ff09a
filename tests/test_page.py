"""The interactive page: closed by its policy, and deaf to whatever a name may contain."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import samples
from test_html import EVIL

from pyig.jupyter.display import static_copy, static_pair
from pyig.jupyter.esm import css, packed
from pyig.jupyter.page import harmless, page
from pyig.views.payload import payload


def test_the_policy_names_script_and_style() -> None:
    text = page(samples.table())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for tag in ('script type="module"', "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag.split()[0]}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    outside = re.sub(r"http://www\.w3\.org/\S+", "", text)
    assert "://" not in outside


@pytest.mark.parametrize("name", samples.ALL)
def test_every_kind_of_explanation(name: str) -> None:
    text = page(samples.ALL[name](), view={"table": {"top": 3}})
    (state,) = re.findall(r'<script type="application/json" id="state">(.*?)</script>', text, re.DOTALL)
    data = json.loads(state)
    assert data["view"] == {"table": {"top": 3}}
    assert len(base64.b64decode(data["data"])) < 400_000


def test_full_pages_hold_exact_pictures() -> None:
    assert len(page(samples.picture((64, 64)), full=True)) > len(page(samples.picture((64, 64))))


@pytest.mark.parametrize("evil", EVIL)
def test_names_stay_names(evil: str) -> None:
    e = replace(
        samples.several_targets(),
        feature_names=[evil, "b", "c"],
        output_names=[evil, "y", "z"],
        meta={**samples.META, "model": evil, "notes": [evil]},
    )
    text = page(e, code=evil)
    assert len(re.findall(r"<script\b", text)) == 2
    assert len(re.findall(r"<style\b", text)) == 1
    (state,) = re.findall(r'id="state">(.*?)</script>', text, re.DOTALL)
    assert "<" not in state
    assert json.loads(state)["spec"]["tabs"][0]["names"][0] == evil
    copy = static_copy(e, "pyig-static-0")["text/html"]
    assert evil not in copy or not re.search(r"[<>\"']", evil)


def test_json_in_a_script_holds_no_tag() -> None:
    data = {"a": "</script><!--<script>&\u2028"}
    assert not re.search("[<>&]", harmless(data))
    assert json.loads(harmless(data)) == data


def test_it_is_written_from_an_explanation(tmp_path: Path) -> None:
    path = tmp_path / "e.html"
    text = samples.table().to_html(path, interactive=True)
    assert path.read_text(encoding="utf-8") == text
    assert 'type="module"' in text
    assert 'type="module"' not in samples.table().to_html()


def test_the_static_copy_is_text_picture_and_markup() -> None:
    bundle = static_copy(samples.picture((3, 64, 64)), "pyig-static-1")
    assert set(bundle) == {"text/plain", "text/html", "image/png"}
    assert bundle["text/html"].startswith('<div class="pyig pyig-static-1">')
    assert "Static copy. Re-run the cell" in bundle["text/html"]
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert set(static_copy(samples.table(), "x")) == {"text/plain", "text/html"}


def test_the_static_copy_of_a_comparison_shows_both() -> None:
    table, picture = samples.table(), samples.picture((3, 64, 64))
    bundle = static_pair([(table, "A: first"), (picture, "B: <b>second</b>")], "pyig-static-2")
    markup = bundle["text/html"]
    assert markup.startswith('<div class="pyig pyig-static-2">')
    assert markup.count("Static copy. Re-run the cell") == 1
    assert markup.index("A: first") < markup.index("oldpeak") < markup.index("B: &lt;b&gt;second&lt;/b&gt;")
    assert "attributions over the input" in markup[markup.index("B: ") :]
    assert bundle["text/plain"].startswith("A: first\nsample 0")


def test_the_worst_picture_is_saved_within_the_budget() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((1, 3, 224, 224)).astype(np.float32)
    e = samples.make(x, rng.normal(size=x.shape).astype(np.float32))  # noise on noise: nothing to compress
    spec, content = payload(e)
    state = len(json.dumps(spec)) + len(base64.b64encode(content)) + len(packed()) + len(css())
    assert len(json.dumps(static_copy(e, "x"))) + state < 300_000
