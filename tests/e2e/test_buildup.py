"""The panel's lines in a bare page: drawn when the panel is open, to be read by eye, by keyboard and by ear."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
import torch

import pyig
from e2e import browser as browsers
from e2e.contrast import CONTRAST
from e2e.module import NAMES, X, live
from e2e.module import page as page
from e2e.stub import Bridge
from pyig.jupyter.origin import Origin
from pyig.jupyter.widget import ExplanationWidget
from pyig.views.words import signed


def opened(page: Any, bridge: Bridge) -> Any:
    page.locator("summary", has_text="convergence").click()
    bridge.pump()
    return page.locator(".buildup")


def steep(dark_page: Any, dark: bool, **options: Any) -> Bridge:
    """A path that is saturated from the middle on."""
    w = np.array([3.0, -1.0, 0.5, 0.2, 0.1, -0.3, 0.2, 0.05, -0.02])
    ig = pyig.IntegratedGradients(
        lambda x: np.tanh(3 * (x @ w)), gradient=lambda x: 3 * (1 - np.tanh(3 * (x @ w)) ** 2)[:, None] * w
    )
    names = ["age", "income of the household, before taxes", *"cdefghi"]
    origin = Origin(ig, np.ones((1, 9)), {"feature_names": names, **options}, {})
    return Bridge(dark_page, ExplanationWidget(origin.explain(), origin), dark)


def test_open_the_panel_and_see_the_lines(page: Any) -> None:
    bridge = live(page)
    assert page.locator(".buildup polyline").count() == 0
    panel = opened(page, bridge)
    lines = bridge.widget.cumulative[0]
    assert panel.locator("polyline").count() == len(NAMES)
    rows = panel.locator("tbody").first.locator("tr").evaluate_all("r => r.map((e) => e.innerText.trim().split(/\\t/))")
    assert [row[0] for row in rows] == list(lines.names)
    assert [row[3] for row in rows] == signed(lines.attributions)
    assert [row[1] for row in rows] == [f"{X[0, NAMES.index(name)]:.4g}" for name in lines.names]
    assert f"{lines.n_evals} gradients of their own, at {len(lines.alphas)} nodes" in panel.inner_text()
    assert sum(message["type"] == "along" for message in bridge.heard) == 1
    name = panel.get_by_role("img", name="cumulative attribution of").first.get_attribute("aria-label")
    assert all(label in name for label in lines.names)


def test_the_slider_reads_the_lines_at_a_place(page: Any) -> None:
    bridge = live(page)
    panel = opened(page, bridge)
    lines = bridge.widget.cumulative[0]
    slider = page.get_by_label("along the path, a")
    slider.focus()
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    got = [panel.locator("tbody").first.locator(f"tr td:nth-child({n})").all_inner_texts() for n in (3, 4)]
    assert got[0] == [f"{X[0, NAMES.index(name)] / 2:.4g}" for name in lines.names]
    assert got[1] == signed(lines.at(0.5), like=lines.attributions)
    assert panel.locator("line.scrub").evaluate("l => Math.round(l.getAttribute('x1'))") == pytest.approx(233, abs=2)
    panel.locator("summary", has_text="lines as numbers").click()
    panel.locator("details tbody tr").first.wait_for()
    assert panel.locator("details tbody tr").count() == len(lines.alphas)


@pytest.mark.parametrize("dark", [False, True])
def test_saturated_parts_are_shaded(page: Any, dark: bool) -> None:
    bridge = steep(page, dark, rtol=1e-4)
    panel = opened(page, bridge)
    lines = bridge.widget.cumulative[0]
    assert panel.locator("rect.flat").count() == len(lines.saturated) == 1
    assert "saturated: a from 0." in panel.inner_text()
    assert panel.locator("polyline").count() == 7  # six features and all others
    colours = panel.locator("polyline").evaluate_all("p => p.map((e) => getComputedStyle(e).stroke)")
    dashes = panel.locator("polyline").evaluate_all("p => p.map((e) => e.getAttribute('stroke-dasharray'))")
    assert len(set(colours)) == 7
    assert len(set(zip(colours, dashes, strict=True))) == 7
    assert page.locator(".pyig-widget").evaluate(CONTRAST) == []
    browsers.screenshot(page, f"lines-{'dark' if dark else 'light'}")


def test_what_takes_long_waits_for_a_click_and_says_what_it_costs(page: Any) -> None:
    bridge = live(page, n_steps=20)
    bridge.widget._pace = 0.2
    bridge.widget._batch = lambda: 8  # type: ignore[method-assign]
    bridge.widget._send_live()
    bridge.flush()
    panel = opened(page, bridge)
    assert not bridge.widget.cumulative
    button = panel.get_by_role("button", name="cumulative attribution of the top features")
    gradients = 20 + 2  # both ends
    assert f"{gradients} gradients, about {int(np.ceil(gradients * 0.2))} s" in button.inner_text()
    button.focus()
    page.keyboard.press("Enter")
    bridge.pump()
    assert panel.locator("polyline").count() == len(NAMES)


def test_another_target_gets_lines_of_its_own(page: Any) -> None:
    bridge = live(page)
    opened(page, bridge)
    first = bridge.widget.cumulative[0]
    bridge.widget.explain(target=2)
    assert bridge.widget.wait(20)
    bridge.flush()
    bridge.pump()
    assert bridge.widget.cumulative[0].title == "sample 0, target cow" != first.title
    shown = page.locator(".buildup tbody").first.locator("tr td:nth-child(5)").all_inner_texts()
    assert shown == signed(bridge.widget.cumulative[0].attributions)


def test_partial_lines_and_refusals_are_told(page: Any) -> None:
    bridge = live(page)
    panel = opened(page, bridge)
    partly = {**bridge.widget.lines["0"], "complete": False, "told": "5 gradients at 5 nodes; partial: stopped early"}
    bridge.widget.lines = {"0": partly}
    bridge.flush()
    assert "partial: stopped early" in panel.locator(".warn").inner_text()
    assert panel.get_by_role("button", name="cumulative attribution").is_visible()
    bridge.widget.lines = {"0": {"error": "expected x= <b>as well</b>"}}
    bridge.flush()
    assert "no lines of single features: expected x= <b>as well</b>" in panel.inner_text()
    assert panel.locator("polyline").count() == 0


def test_levels_that_were_evaluated_are_drawn(page: Any) -> None:
    bridge = live(page, method="simpson", n_steps=33)
    opened(page, bridge)
    chart = page.get_by_role("img", name="gap and estimated error")
    assert chart.locator("circle.hollow").count() == len(bridge.widget.spec["paths"][0]["coarser"]) == 4
    assert "○ gap by trapezoids on the coarser of these nodes" in page.locator(".charts").inner_text()


def test_a_path_without_nodes_is_drawn_from_the_lines(page: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).double()
    origin = Origin(pyig.IntegratedGradients(model), torch.from_numpy(X[:1]), {"target": 1}, {})
    bridge = Bridge(page, ExplanationWidget(origin.explain(), origin))
    opened(page, bridge)
    assert "F at the 33 nodes of the lines below" in page.locator(".charts").inner_text()
    lines = bridge.widget.cumulative[0]
    page.get_by_label("along the path, a").fill("0.5")
    middle = lines.values[np.flatnonzero(lines.alphas == 0.5)[0]]
    assert f"about {middle:.4g}" in page.locator(".diagnostics .readout").inner_text()


def test_a_series_is_shown_on_the_way(page: Any) -> None:
    e = samples.sequence()
    Bridge(page, ExplanationWidget(e))
    page.locator("summary", has_text="convergence").click()
    before = page.locator(".series polyline").first.get_attribute("points")
    page.get_by_label("along the path, a").fill("0.25")
    assert page.locator(".series polyline").first.get_attribute("points") != before
    assert "at a = 0.25" in page.locator(".series").inner_text()


def test_without_a_model_saved_lines_are_drawn_and_none_are_asked_for(page: Any) -> None:
    bridge = Bridge(page, ExplanationWidget(samples.table()))
    assert not opened(page, bridge).is_visible()
    assert {message["type"] for message in bridge.heard} <= {"hello", "view"}


@pytest.mark.parametrize("word", ["<img src=x onerror=window.__xss=1>", '" onfocus="window.__xss=1'])
def test_names_stay_names(page: Any, word: str) -> None:
    bridge = live(page, feature_names=[word, *NAMES[1:]])
    panel = opened(page, bridge)
    assert word in panel.inner_text()
    assert panel.locator("img").count() == 0
