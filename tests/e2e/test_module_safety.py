"""What leaves the page, and what must never enter it: files, names as text, keys, contrast, size."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples
from test_html import EVIL
from test_payload import words

from e2e import browser as browsers
from e2e.contrast import CONTRAST
from e2e.module import live, pixels, rows, shown
from e2e.module import page as page
from e2e.stub import Bridge
from pyig.jupyter.widget import ExplanationWidget

# --- files -------------------------------------------------------------------------------------------------------


def saved(page: Any, bridge: Bridge, kind: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_label("export").select_option(kind)
        bridge.pump()
    return Path(waiting.value.path()).read_bytes()


@pytest.mark.parametrize("make", [lambda: samples.picture((3, 32, 40)), samples.table])
def test_files(page: Any, make: Any) -> None:
    import matplotlib.image

    e = make()
    bridge = shown(page, e)
    picture = matplotlib.image.imread(io.BytesIO(saved(page, bridge, "png")))
    assert min(picture.shape[:2]) >= 300
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 3
    drawing = saved(page, bridge, "svg").decode()
    assert drawing.count("<svg") == 1
    lines = saved(page, bridge, "csv").decode().strip().split("\r\n")
    assert len(lines) == 1 + e.attributions[0].size // (3 if e.attributions.ndim == 4 else 1)
    total = sum(float(line.rsplit(",", 1)[1]) for line in lines[1:])
    np.testing.assert_allclose(total, e.attributions[0].sum(dtype=np.float64), rtol=1e-5)
    html = saved(page, bridge, "html").decode()
    assert "Content-Security-Policy" in html


@pytest.mark.parametrize("make", [words, samples.sequence])
def test_files_of_words_and_series(page: Any, make: Any) -> None:
    import matplotlib.image

    e = make()
    bridge = shown(page, e)
    drawing = saved(page, bridge, "svg").decode()
    assert drawing.count("<svg") == 1
    assert "<b>" not in drawing  # a token of `words`
    assert drawing.count("<rect") >= 3
    picture = matplotlib.image.imread(io.BytesIO(saved(page, bridge, "png")))
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 3
    lines = saved(page, bridge, "csv").decode().strip().split("\r\n")
    total = sum(float(line.rsplit(",", 1)[1]) for line in lines[1:])
    np.testing.assert_allclose(total, e.attributions[0].sum(dtype=np.float64), rtol=1e-5)


def test_formulas_are_defused_in_csv(page: Any) -> None:
    e = replace(samples.several_targets(), feature_names=["=1+1", '@x "y"', "c"])
    lines = saved(page, shown(page, e), "csv").decode().split("\r\n")
    assert lines[1].startswith("'=1+1,")
    assert lines[2].startswith('"\'@x ""y""",')


def test_the_python_is_shown(page: Any) -> None:
    live(page)
    page.get_by_label("export").select_option("code")
    page.wait_for_timeout(200)
    text = page.locator(".pyig-widget code, .pyig-widget textarea").evaluate("e => e.value ?? e.innerText")
    assert text.startswith("pyig.IntegratedGradients(net).explain(x, target=1")


def test_the_page_works_from_a_file(browser: Any, tmp_path: Path) -> None:
    context = browser.new_context()
    page, seen = browsers.watched(context, (tmp_path.as_uri(),))
    path = tmp_path / "e.html"
    samples.picture((3, 32, 32)).to_html(path, interactive=True)
    page.goto(path.as_uri())
    page.locator(".main canvas").first.wait_for()
    before = pixels(page)
    page.get_by_role("radio", name="heat").click()
    assert pixels(page) != before
    context.close()
    seen.check()


# --- safety, names, keyboard, size -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "evil", [*EVIL, "<img src=x onerror=window.__xss=1>", "</script><script>window.__xss=1</script>"]
)
def test_names_stay_text(page: Any, evil: str) -> None:
    e = replace(
        samples.several_targets(),
        feature_names=[evil, "b", "c"],
        output_names=[evil, "y", "z"],
        meta={**samples.META, "model": evil, "notes": [evil]},
    )
    text = replace(words(), inputs=np.array([[evil, "film", "x"], ["a", "b", "c"]]), baselines=np.full((1, 3), evil))
    for one in (e, text):
        bridge = shown(page, one, pins={"A": (one, evil), "B": (one, evil)})
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        bridge.widget.send({"type": "error", "text": evil})
        bridge.flush()
        page.wait_for_timeout(50)
        assert page.evaluate("window.__xss") is None
        assert page.locator(".pyig-widget script, .pyig-widget iframe, .pyig-widget img, .pyig-widget a").count() == 0
        events = page.locator(".pyig-widget").evaluate(
            "w => [...w.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
        )
        assert events == []


@pytest.mark.parametrize("make", [samples.table, lambda: samples.picture((3, 32, 32)), words, samples.sequence])
def test_every_focusable_keeps_its_keys_and_has_a_name(page: Any, make: Any) -> None:
    shown(page, make())
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    lacking = page.locator(".pyig-widget").evaluate(
        """w => [...w.querySelectorAll('button, input, select, textarea, summary, a[href], [tabindex]')]
             .filter(e => e.getAttribute('data-lm-suppress-shortcuts') !== 'true').map(e => e.outerHTML.slice(0, 80))"""
    )
    assert lacking == []
    nameless = [
        line
        for line in page.locator(".pyig-widget").aria_snapshot().splitlines()
        if re.match(
            r"\s*- (button|combobox|slider|textbox|searchbox|checkbox|radio|tab|img|radiogroup)( \[.*\])?:?$", line
        )
    ]
    assert nameless == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("make", [samples.table, words, lambda: samples.picture((3, 32, 32))])
def test_contrast(page: Any, make: Any, dark: bool) -> None:
    Bridge(page, ExplanationWidget(make()), dark)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    poor = page.locator(".pyig-widget").evaluate(CONTRAST)
    assert poor == []


def test_ten_thousand_features(page: Any) -> None:
    rng = np.random.default_rng(0)
    e = samples.make(rng.normal(size=(1, 10_000)), rng.normal(size=(1, 10_000)))
    shown(page, e, view={"table": {"view": "table"}})
    assert page.locator(".features tbody tr").count() < 80
    spent = page.evaluate(
        """() => { const order = document.querySelector('[aria-label="order"]'), times = [];
           for (const v of ['signed', 'input', 'size']) { const t = performance.now(); order.value = v;
             order.dispatchEvent(new Event('change')); document.body.offsetHeight; times.push(performance.now() - t); }
           return times; }"""
    )
    print(json.dumps({"sort of 10000 features, ms": spent}))  # noqa: T201
    page.locator(".features .scroll").evaluate(
        "b => { b.scrollTop = 27 * 5000; b.dispatchEvent(new Event('scroll')); }"
    )
    page.wait_for_timeout(100)
    order = np.argsort(-np.abs(e.attributions[0]), kind="stable")
    assert f"x[{order[5005]}]" in [row[0] for row in rows(page)]


def test_a_long_text(page: Any) -> None:
    rng = np.random.default_rng(0)
    tokens = np.array([[f"word{i}" for i in range(512)]])
    e = replace(samples.make(np.zeros((1, 512)), rng.normal(size=(1, 512))), inputs=tokens, baselines=tokens)
    shown(page, e)
    assert page.locator(".words .word").count() == 512


def test_a_closed_view_leaves_nothing_behind(page: Any) -> None:
    shown(page, samples.table(), static_class="pyig-static-test")
    assert not page.locator(".pyig-static-test").is_visible()
    page.evaluate("() => { window.stop(); document.getElementById('here').replaceChildren(); }")
    assert page.evaluate("window.listeners()") == 0
    assert page.locator(".pyig-static-test").is_visible()
