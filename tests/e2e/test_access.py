"""High contrast, reduced motion and contrast in both themes, as the browser computes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import samples
from test_payload import words

from e2e import browser as browsers
from e2e.contrast import CONTRAST
from e2e.module import live
from e2e.module import page as page
from e2e.stub import Bridge
from pyig.jupyter.widget import ExplanationWidget
from pyig.views import show


def text() -> Any:
    """Words of every strength and both signs, and some of none."""
    phi = np.array([[0.0, 1.0, 0.6, 0.3, 0.1, 0.03, -0.03, -0.1, -0.3, -0.6, -1.0]])
    tokens = np.array([[f"word{i}" for i in range(phi.size)]])
    return replace(samples.make(np.zeros(phi.shape), phi), inputs=tokens, baselines=np.full(tokens.shape, "[MASK]"))


VIEWS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "bars": (samples.table, {}),
    "waterfall": (samples.table, {"table": {"view": "waterfall"}}),
    "rows": (samples.table, {"table": {"view": "table"}}),
    "picture": (lambda: samples.picture((3, 32, 32)), {}),
    "pictures": (lambda: samples.picture((3, 32, 32)), {"image": {"mode": "side by side"}}),
    "text": (text, {}),
    "words": (words, {"text": {"values": True}}),
    "series": (samples.sequence, {}),
    "tabs": (samples.mixed, {}),
    "targets": (samples.several_targets, {}),
}


def opened(page: Any, name: str, dark: bool = False) -> None:
    """Show a view with all that it can show: open panels, and a comparison with itself."""
    make, view = VIEWS[name]
    e = make()
    Bridge(page, ExplanationWidget(e, view=view, pins={"A": (e, "A"), "B": (e, "B")}), dark)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.wait_for_timeout(80)


def style(page: Any, selector: str, *names: str) -> list[list[str]]:
    script = "(all, names) => all.map((e) => names.map((n) => getComputedStyle(e)[n]))"
    found: list[list[str]] = page.locator(selector).evaluate_all(script, list(names))
    return found


def shade(colour: str) -> list[float]:
    return [float(part) for part in re.findall(r"[\d.]+", colour)]


# --- contrast ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_every_text_can_be_read(page: Any, name: str, dark: bool) -> None:
    opened(page, name, dark)
    assert page.locator(".pyig-widget").evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["bars", "pictures", "text", "targets"])
def test_every_text_of_a_report_can_be_read(page: Any, name: str, scheme: str) -> None:
    """The static copy and the page of `to_html`, which have tints and a theme of their own."""
    page.emulate_media(color_scheme=scheme)
    e = VIEWS[name][0]()
    page.set_content(e.to_html())
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate(f"({CONTRAST})(document.body)") == []
    page.goto("about:blank")  # the policy of the page would hold for what replaces it
    paper, ink = ("#111", "#e6e6e6") if scheme == "dark" else ("#fff", "#1d1d1f")  # of a notebook
    page.set_content(f"<body style='background:{paper};color:{ink}'>{show(e, 'html')}</body>")
    assert page.locator(".pyig").evaluate(CONTRAST) == []


@pytest.mark.parametrize("palette", ["orange-blue", "red-blue", "purple-green", "viridis"])
def test_words_can_be_read_in_every_palette(page: Any, palette: str) -> None:
    Bridge(page, ExplanationWidget(text(), view={"image": {"palette": palette}, "text": {"values": True}}))
    assert page.locator(".words").evaluate(CONTRAST) == []


def test_a_faint_text_is_found(page: Any) -> None:
    opened(page, "bars")
    page.add_style_tag(content=".pyig-widget .chip { color: #bbb !important; }")
    assert "chip" in page.locator(".pyig-widget").evaluate(CONTRAST)[0]


# --- high contrast -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_high_contrast(page: Any, name: str, scheme: str) -> None:
    page.emulate_media(forced_colors="active", color_scheme=scheme)
    opened(page, name, scheme == "dark")
    assert page.evaluate("matchMedia('(forced-colors: active)').matches")
    assert page.locator(".pyig-widget").evaluate(CONTRAST) == []
    ground = style(page, "body", "backgroundColor")[0][0]
    # What is drawn stands out from the page: lines, nodes, zero lines.
    for selector, prop in (
        (".chart .line", "stroke"),
        (".chart .axis", "stroke"),
        (".chart .node", "fill"),
        (".chart .mark", "fill"),
        (".chart text", "fill"),
        (".zero", "backgroundColor"),
    ):
        for (colour,) in style(page, selector, prop):
            assert abs(sum(shade(colour)[:3]) - sum(shade(ground)[:3])) > 300, (selector, colour, ground)
    browsers.screenshot(page, f"forced-{scheme}-{name}")


def test_signs_can_be_told_apart_in_high_contrast(page: Any) -> None:
    page.emulate_media(forced_colors="active")
    opened(page, "bars")
    favour, against = (style(page, f".features .bar.{kind}", "backgroundColor")[0][0] for kind in ("favour", "against"))
    assert favour != against
    zero = page.locator(".features .zero").first.bounding_box()["x"]
    for kind, right in (("favour", True), ("against", False)):
        for bar in page.locator(f".features .bar.{kind}").all():
            box = bar.bounding_box()
            assert (box["x"] + box["width"] / 2 > zero) is right
    opened(page, "text")
    forms = [form for (form,) in style(page, ".main .word.favour", "borderBottomStyle")]
    assert set(forms) == {"solid"}
    assert {form for (form,) in style(page, ".main .word.against", "borderBottomStyle")} == {"dotted"}


@pytest.mark.parametrize("forced", ["active", "none"])
def test_the_focus_and_the_chosen_are_seen(page: Any, forced: str) -> None:
    page.emulate_media(forced_colors=forced)
    opened(page, "picture")
    chosen, other = style(page, ".choice button", "backgroundColor")[:2]
    assert chosen != other
    count = 0
    for _ in range(40):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => { const e = document.activeElement; if (!e.closest('.pyig-widget')) return null;
               const s = getComputedStyle(e); return [s.outlineStyle, parseFloat(s.outlineWidth), s.outlineColor]; }"""
        )
        if seen is None:
            break
        count += 1
        assert seen[0] != "none"
        assert seen[1] >= 2
    assert count > 10


# --- motion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
def test_nothing_moves_where_that_is_not_wanted(page: Any, motion: str, moves: bool) -> None:
    page.emulate_media(reduced_motion=motion)
    opened(page, "bars")
    found = style(page, ".pyig-widget, .pyig-widget *", "transitionDuration", "animationName", "scrollBehavior")
    moving = [one for one in found if one[0] not in ("0s", "") or one[1] != "none" or one[2] == "smooth"]
    assert bool(moving) is moves


def test_the_float64_box_is_reached_by_keyboard_and_answers(page: Any) -> None:
    bridge = live(page, n_steps=20)
    box = page.get_by_label("float64")
    box.focus()
    page.keyboard.press("Space")
    bridge.pump()
    assert "computed in float64, on a copy of the model" in bridge.widget.explanation.meta["notes"]
    assert "float64 on" in page.locator(".head").inner_text()
    assert ".in_float64().explain(" in bridge.widget.spec["code"]
    page.get_by_label("float64").uncheck()
    bridge.pump()
    assert "float64" not in page.locator(".head").inner_text()
