"""The lines of the convergence panel in JupyterLab and Notebook 7: opened, walked by keyboard, saved with the copy."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import TimeoutError

from e2e import cells
from e2e.browser import screenshot
from e2e.contrast import CONTRAST
from e2e.servers import Server
from e2e.test_live import enter, started


def test_the_lines_of_a_table(server: Server, page: Any) -> None:
    code = f"{cells.TABLE}\nlen(e)"
    widget = started(server, page, "lines.ipynb", code)
    widget.get_by_label("target", exact=True).wait_for()
    summary = widget.locator("summary", has_text="convergence")
    count = page.locator(".jp-Cell").count()
    if not widget.locator(".below").evaluate("d => d.open"):
        summary.focus()
        page.keyboard.press("Enter")
    panel = widget.locator(".buildup")
    panel.locator("polyline").first.wait_for(timeout=20_000)
    assert panel.locator("polyline").count() == 5
    assert "gradients of their own" in panel.inner_text()
    assert "<img src=x onerror=window.__xss=1>" in panel.inner_text()
    slider = widget.get_by_label("along the path, a")
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    assert "0.60" in widget.locator(".diagnostics .controls").inner_text()
    assert page.locator(".jp-Cell").count() == count
    assert widget.evaluate(CONTRAST) == []
    enter(widget, "target", "0")
    widget.get_by_role("heading", name="target 0").wait_for()
    widget.locator(".buildup polyline").first.wait_for(timeout=20_000)
    panel.scroll_into_view_if_needed()
    screenshot(page, f"lines-{server.app}")


def test_a_photograph_has_lines_of_regions_and_the_copy_has_them_too(server: Server, page: Any) -> None:
    widget = started(server, page, "regions.ipynb", "%ig_explain eyes photo --target 1 --tol 1e-3")
    widget.get_by_label("target", exact=True).wait_for()
    if not widget.locator(".below").evaluate("d => d.open"):
        widget.locator("summary", has_text="convergence").click()
    drawn = widget.locator(".buildup polyline").first
    try:
        drawn.wait_for(timeout=10_000)
    except TimeoutError:  # the panel gave up after two seconds, on a busy machine
        widget.get_by_role("button", name="cumulative attribution of the top features").click()
        drawn.wait_for(timeout=30_000)
    assert widget.locator(".buildup").inner_text().count("rows ") >= 5
    page.locator(".pyig:not(.pyig-widget)", has_text="Cumulative attribution").wait_for(state="attached")
    screenshot(page, f"regions-{server.app}")
    server.save(page)
    saved = json.loads((server.root / "regions.ipynb").read_text())
    copies = [
        "".join(output["data"].get("text/html", ""))
        for cell in saved["cells"]
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    assert sum("Cumulative attribution</summary>" in copy for copy in copies) == 1
