"""The widget's module in a bare page: every view, every number, the keyboard, the names, and nothing executed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import samples
from test_payload import words

from e2e import browser as browsers
from e2e.module import NAMES, W, X, live, pixels, rows, shown
from e2e.module import page as page
from e2e.stub import Bridge
from pyig.jupyter.widget import ExplanationWidget
from pyig.views.ranking import rank
from pyig.views.words import equation, signed

# --- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", [3, 10])
def test_a_table_shows_the_numbers_of_python(page: Any, top: int) -> None:
    e = samples.table()
    shown(page, e, view={"table": {"top": top}})
    ranking = rank(e, 0, 0, top)
    amounts = [row.attribution for row in ranking.rows]
    amounts += [ranking.remainder] * bool(ranking.others) + [ranking.missing]
    figures = signed([*amounts, ranking.difference], like=amounts)
    got = rows(page)
    assert [row[0] for row in got] == [row.label for row in ranking.rows]
    assert [row[-1] for row in got] == figures[: len(got)]
    foot = rows(page, "tfoot")
    assert [row[-1] for row in foot] == figures[len(got) :]
    assert page.locator(".head").inner_text().count(equation(e, 0, 0)) == 1


def test_numbers_are_written_as_python_writes_them(page: Any) -> None:
    shown(page, samples.table())
    values = [
        0.0,
        1.0,
        -1.0,
        233.0,
        2.30001,
        1e-9,
        123456.7,
        0.000123456,
        9.9996,
        99996.0,
        1e22,
        -3.3e-7,
        0.5,
        1e5,
        0.0001,
    ]
    page.add_script_tag(content=_core() + ";window.tools = { general, signed, percent };", type="module")
    page.wait_for_function("window.tools !== undefined")
    assert page.evaluate("v => v.map((x) => tools.general(x))", values) == [f"{v:.4g}" for v in values]
    for group in ([0.4123, -0.0581, 0.0], [1234.5, -0.3], [0.5, 1e-6], [3e-8, -2e-9], [7.0]):
        assert page.evaluate("v => tools.signed(v)", group) == signed(group)


def _core() -> str:
    from pyig.jupyter.esm import STATIC

    return re.sub(r"^export ", "", (STATIC / "core.js").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_colours_are_those_of_the_static_views(page: Any) -> None:
    from pyig.views.colours import signed_palette, unsigned_palette

    shown(page, samples.table())
    page.add_script_tag(content=_core() + ";window.tools = { palette };", type="module")
    page.wait_for_function("window.tools !== undefined")
    for with_sign, expected in ((True, signed_palette()), (False, unsigned_palette())):
        got = np.array(page.evaluate("s => tools.palette('orange-blue', s)", with_sign))
        assert np.abs(got - expected.astype(int)).max() <= 1  # a rounding of one byte


def test_the_values_under_the_cursor(page: Any) -> None:
    e = samples.picture((3, 16, 20))
    bridge = shown(page, e)
    canvas = page.locator(".main canvas").first
    canvas.focus()
    for key in ("ArrowUp", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    bridge.pump()
    total = float(e.attributions[0, :, 7, 8].astype(np.float64).sum())
    text = page.locator(".image .readout").inner_text()
    assert "row 7, column 8" in text
    assert f"attribution {'+' if total > 0 else ''}{total:.4g}" in text
    assert "approximate" not in text
    page.keyboard.press("Enter")
    assert page.locator(".image .readout").inner_text().startswith("pinned: row 7")


# --- views -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.ALL)
@pytest.mark.parametrize("dark", [False, True])
def test_every_kind_is_drawn(page: Any, name: str, dark: bool) -> None:
    Bridge(page, ExplanationWidget(samples.ALL[name]()), dark)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.wait_for_timeout(100)
    assert page.locator(".pyig-widget").inner_text()
    assert ("dark" in page.locator(".pyig-widget").get_attribute("class").split()) is dark
    browsers.screenshot(page, f"{name}-{'dark' if dark else 'light'}")


def test_controls_of_pictures_need_no_kernel(page: Any) -> None:
    bridge = shown(page, samples.picture((3, 32, 32)))
    seen = {pixels(page)}
    for mode in ("heat", "mask", "overlay"):
        page.get_by_role("radio", name=mode).click()
        seen.add(pixels(page))
    for label, value in (("palette", "red-blue"), ("sign", "absolute")):
        page.get_by_label(label).select_option(value)
        seen.add(pixels(page))
    page.get_by_label("clip").fill("90")
    seen.add(pixels(page))
    assert len(seen) == 6  # back to the overlay is the first again
    page.get_by_role("radio", name="side by side").click()
    assert page.locator(".main .pictures canvas:not(.start)").count() == 3
    page.wait_for_timeout(250)
    bridge.pump()
    assert {m["type"] for m in bridge.heard} <= {"hello", "view"}
    assert bridge.widget.view["image"]["palette"] == "red-blue"


def test_the_baseline_stands_beside_the_picture(page: Any) -> None:
    e = samples.picture((3, 16, 20))
    ramp = np.linspace(0, 1, 20, dtype=np.float32) * np.ones((1, 3, 16, 20), np.float32)
    e = replace(e, baselines=ramp, meta={**e.meta, "n_baselines": 8})
    bridge = shown(page, e)
    for mode in ("overlay", "heat", "mask", "side by side"):
        page.get_by_role("radio", name=mode).click()
        start = page.locator(".main canvas.start")
        assert start.count() == 1
        row = start.evaluate(
            "c => [...c.getContext('2d').getImageData(0, 8, c.width, 1).data].filter((_, i) => i % 4 === 0)"
        )
        assert np.abs(np.array(row) - np.linspace(0, 255, 20)).max() < 6
        assert "baseline, mean of 8" in page.locator(".main .pictures").inner_text()
    bridge.pump()
    shown(page, samples.picture((3, 16, 20)))
    assert "mean of" not in page.locator(".main .pictures").inner_text()


def test_a_series_shows_its_baseline(page: Any) -> None:
    shown(page, samples.sequence())
    dashes = page.locator(".series polyline").evaluate_all("l => l.map(e => e.getAttribute('stroke-dasharray'))")
    assert dashes == [None, "4 3"]
    page.get_by_role("slider", name="step").fill("2")
    assert "baseline 0" in page.locator(".series .readout").inner_text()


def test_python_sets_the_view(page: Any) -> None:
    bridge = shown(page, samples.table())
    bridge.widget.view = {"table": {"view": "table", "sort": "name"}}
    bridge.flush()
    assert [row[0] for row in rows(page)] == sorted(samples.FEATURES)


def test_sort_filter_and_percent(page: Any) -> None:
    shown(page, samples.table())
    page.get_by_label("filter by name").fill("THAL")
    assert sorted(row[0] for row in rows(page)) == ["thal", "thalach"]
    assert rows(page, "tfoot")[0][0] == "10 other features"
    page.get_by_label("filter by name").fill("")
    page.get_by_label("order").select_option("input")
    page.get_by_role("radio", name="table").click()
    assert [row[0] for row in rows(page)] == samples.FEATURES
    page.get_by_role("radio", name="%").click()
    assert rows(page, "tfoot")[-1][-1] == "100 %"


def test_samples_and_targets_are_chosen(page: Any) -> None:
    e = samples.several_targets()
    shown(page, e)
    page.get_by_label("sample").select_option("3")
    assert page.locator("h3").inner_text() == "Net, target bee, sample 1"
    assert rows(page)[0][-1] == signed(sorted(e.attributions[1, 1], key=abs, reverse=True), like=[0.2])[0]


def test_a_waterfall_ends_at_the_difference(page: Any) -> None:
    shown(page, samples.table(), view={"table": {"view": "waterfall"}})
    ends = page.locator(".features").evaluate(
        "t => [...t.querySelectorAll('tr .bar')].map(b => [parseFloat(b.style.left), parseFloat(b.style.width)])"
    )
    zero = page.locator(".features .zero").first.evaluate("z => parseFloat(z.style.left)")
    last = ends[-1]
    e = samples.table()
    scale = ends[0][1] / abs(rank(e, 0, 0, 10).rows[0].attribution)
    difference = float(e.values[0] - e.baseline_values[0])
    assert min(abs(last[0] - (zero + scale * difference)), abs(last[0] + last[1] - (zero + scale * difference))) < 0.5


def test_words_say_their_values_twice(page: Any) -> None:
    shown(page, words())
    spans = page.locator(".words .word")
    assert spans.count() == 3
    assert "favour" in spans.nth(1).get_attribute("class")
    assert "against" in spans.nth(2).get_attribute("class")
    styles = spans.evaluate_all("s => s.map(e => getComputedStyle(e).borderBottomStyle)")
    assert styles[1:] == ["solid", "dotted"]
    spans.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".text .readout").inner_text() == "film: +0.200, baseline [PAD]"
    assert page.locator(".text > .legend").inner_text() == "baseline: [PAD] in the place of every word"
    page.get_by_label("values").check()
    assert "+0.200" in page.locator(".words").inner_text()


def test_the_path_can_be_walked(page: Any) -> None:
    e = samples.picture((3, 32, 32))
    shown(page, e, view={"image": {"mode": "mask", "clip": 100}})
    before = pixels(page)
    page.locator("summary", has_text="convergence").click()
    page.get_by_label("along the path, a").fill("0")
    assert pixels(page) != before
    assert f"= {e.baseline_values[0]:.4g}" in page.locator(".diagnostics .readout").inner_text()
    page.locator("summary", has_text="as numbers").click()
    cells = page.locator("details", has_text="as numbers").last.locator("tbody tr")
    cells.first.wait_for()
    assert cells.count() == len(e.path(0).alphas)


# --- the model ---------------------------------------------------------------------------------------------------


def test_what_if(page: Any) -> None:
    bridge = live(page)
    box = page.get_by_label("value of debts")
    box.fill("abc")
    box.press("Enter")
    bridge.pump()
    assert box.get_attribute("aria-invalid") == "true"
    assert bridge.widget.spec["original"] is True
    box.fill("-0.5")
    box.press("Enter")
    bridge.pump()
    assert "what if: debts = -0.5" in page.locator(".head").inner_text()
    assert page.locator(".bar.ghost").count() == 4
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("value of debts")
    page.get_by_role("button", name="back to the original").click()
    bridge.pump()
    assert page.get_by_label("value of debts").input_value() == "3"
    assert page.locator(".bar.ghost").count() == 0


def test_controls_ask_the_model(page: Any) -> None:
    bridge = live(page)
    target = page.get_by_label("target", exact=True)
    target.fill("cow")
    target.press("Enter")
    bridge.pump()
    assert page.locator("h3").inner_text().endswith("target cow")
    against = page.get_by_label("against", exact=True)
    against.fill("ant")
    against.press("Enter")
    bridge.pump()
    e = bridge.widget.explanation
    np.testing.assert_allclose(e.values, (np.tanh(X[:1]) @ W)[:, 2] - (np.tanh(X[:1]) @ W)[:, 0])
    page.get_by_label("method").select_option("simpson")  # the next change does not wait for this one
    page.get_by_label("steps").fill("9")
    page.get_by_label("steps").press("Enter")
    bridge.pump()
    assert bridge.widget.explanation.meta["method"] == "simpson"
    page.get_by_label("steps").fill("many")
    page.get_by_label("steps").press("Enter")
    bridge.pump()
    assert "whole number" in page.get_by_role("alert").inner_text()


def test_advice_is_applied(page: Any) -> None:
    bridge = live(page, n_steps=3, method="riemann_left")
    assert page.locator("details.below").evaluate("d => d.open") is True
    assert "not converged" in page.locator(".chip").inner_text()
    page.locator(".tips li", has_text="as many gradients").get_by_role("button").click()
    bridge.pump()
    assert "✓ converged" in page.locator(".chip").inner_text()
    assert "2 runs" in page.locator(".charts").inner_text()


def test_pin_and_compare(page: Any) -> None:
    bridge = live(page)
    page.get_by_role("button", name="pin A").click()
    first = bridge.widget.explanation
    page.get_by_label("target", exact=True).fill("cow")
    page.get_by_label("target", exact=True).press("Enter")
    bridge.pump()
    page.get_by_role("button", name="pin B").click()
    second = bridge.widget.explanation
    change = signed((second.attributions - first.attributions)[0])
    got = page.locator(".compare tbody tr").evaluate_all(
        "r => r.map(x => [x.children[0].innerText, x.lastChild.innerText])"
    )
    assert dict(got) == dict(zip(NAMES, change, strict=True))
    page.get_by_role("radio", name="difference").click()
    assert page.locator(".compare tbody tr").count() == 4
    page.get_by_role("button", name="end comparison").click()
    assert page.locator(".compare").count() == 0


def test_progress_and_cancel(page: Any) -> None:
    bridge = live(page)
    bridge.widget._report(True, 3, 10, 3, 1.26)
    bridge.flush()
    assert page.locator(".progress").inner_text().startswith("3 of 10, 1.3 s")
    page.get_by_role("button", name="cancel").click()
    assert page.evaluate("window.sent").pop() == {"type": "cancel"}
    bridge.widget._report(False, 0, 0, 3, 1.3)
    bridge.flush()
    assert not page.locator(".progress").is_visible()
