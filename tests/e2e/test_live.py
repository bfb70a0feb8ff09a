"""`%ig_explain` and its widget, driven through real JupyterLab and Notebook 7."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from e2e import browser as browsers
from e2e import cells
from e2e.browser import screenshot
from e2e.contrast import CONTRAST
from e2e.servers import Server, serving


def started(server: Server, page: Any, name: str, *code: str) -> Any:
    """Run a notebook, and return the first widget once the kernel has answered it."""
    server.write(name, [cells.setup(), *code])
    server.open(page, name)
    server.run_all(page)
    widget = page.locator(".pyig-widget").first
    widget.locator(".chip").wait_for(timeout=90_000)
    return widget


def pixels(widget: Any) -> str:
    return str(widget.locator(".main canvas").first.evaluate("c => c.toDataURL()"))


def enter(widget: Any, label: str, text: str) -> None:
    box = widget.get_by_label(label, exact=True)
    box.fill(text)
    box.press("Enter")


def test_an_image(server: Server, page: Any) -> None:
    widget = started(server, page, "image.ipynb", cells.IMAGE)
    widget.get_by_label("target", exact=True).wait_for()
    assert page.locator(".pyig:not(.pyig-widget)").count() == 1
    assert not page.locator(".pyig:not(.pyig-widget)").first.is_visible()  # the static copy
    before = pixels(widget)
    widget.get_by_label("opacity", exact=True).focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert widget.get_by_label("opacity", exact=True).input_value() == "75"
    changed = pixels(widget)
    assert changed != before
    count = page.locator(".jp-Cell").count()
    for place in (
        widget.get_by_label("opacity", exact=True),
        widget.locator("canvas").first,
        widget.get_by_label("sign"),
    ):
        place.focus()
        for key in ("b", "d", "d", "m", "a"):
            page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.locator(".jp-Cell").count() == count
    assert page.locator(".jp-CodeCell").count() == count
    clock = time.perf_counter()
    enter(widget, "target", "3")
    widget.get_by_role("heading", name="target 3").wait_for()
    print(json.dumps({"target switch, s": round(time.perf_counter() - clock, 3), "app": server.app}))  # noqa: T201
    assert pixels(widget) != changed
    screenshot(page, f"image-{server.app}")


def test_a_table_edited_compared_and_exported(server: Server, page: Any) -> None:
    widget = started(server, page, "table.ipynb", cells.TABLE)
    widget.get_by_label("value of debts").wait_for()
    assert "<img src=x onerror=window.__xss=1>" in widget.inner_text()
    widget.get_by_role("button", name="pin A").click()
    enter(widget, "value of debts, edit to ask what if", "-2")
    widget.get_by_text("what if: debts = -2").wait_for()
    assert widget.locator(".bar.ghost").count() == 5
    widget.get_by_role("button", name="pin B").click()
    assert widget.locator(".compare tbody tr").count() == 5
    with page.expect_download() as waiting:
        widget.get_by_label("export").select_option("csv")
    lines = Path(waiting.value.path()).read_text().strip().splitlines()
    assert len(lines) == 6
    with page.expect_download() as waiting:
        widget.get_by_label("export").select_option("html")
    assert "Content-Security-Policy" in Path(waiting.value.path()).read_text()
    assert page.evaluate("window.__xss") is None
    screenshot(page, f"table-{server.app}")


def test_a_text(server: Server, page: Any) -> None:
    widget = started(server, page, "text.ipynb", cells.TEXT)
    assert widget.locator(".word").count() == 8  # pieces of one word are merged
    widget.locator(".word").first.focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert widget.locator(".text .readout").inner_text() == "film: +0.200, baseline [PAD]"
    assert page.evaluate("document.querySelectorAll('.jp-Notebook b').length") == page.evaluate(
        "document.querySelectorAll('.jp-Notebook .pyig > p > b').length + document.querySelectorAll('.head b').length"
    )


def test_a_long_run_is_cancelled(server: Server, page: Any) -> None:
    widget = started(server, page, "slow.ipynb", cells.SLOW)
    widget.get_by_label("steps").wait_for()
    enter(widget, "steps", "20000")
    cancel = widget.get_by_role("button", name="cancel")
    cancel.wait_for()
    page.wait_for_timeout(700)
    clock = time.perf_counter()
    cancel.click()
    widget.locator(".progress").wait_for(state="hidden")
    spent = time.perf_counter() - clock
    print(json.dumps({"cancel, s": round(spent, 3), "app": server.app}))  # noqa: T201
    assert spent < 3  # the run itself would take minutes
    said = f"{widget.locator('.chip').inner_text()} {widget.locator('.error').inner_text()}"
    assert "stopped" in said


def test_the_python_side_sees_what_the_browser_does(server: Server, page: Any) -> None:
    show = "import ipywidgets\nw = e.widget()\nipywidgets.VBox([ipywidgets.Label('boxed'), w])"
    widget = started(
        server, page, "python.ipynb", cells.TABLE + "\ne = None if 'e' not in globals() else e", show, cells.SEEN
    )
    boxed = page.locator(".jupyter-widgets.widget-box .pyig-widget")
    boxed.get_by_label("target", exact=True).wait_for()
    assert widget.is_visible()
    enter(boxed, "target", "0")
    boxed.get_by_role("heading", name="target 0").wait_for()
    boxed.get_by_role("radio", name="waterfall").click()
    page.wait_for_timeout(400)
    page.locator(".jp-CodeCell").nth(3).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    page.get_by_text("SEEN [0] waterfall", exact=True).wait_for(timeout=20_000)


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_in_both_themes(browser: Any, tmp_path: Path, dark: bool) -> None:
    with serving("lab", tmp_path / "themed", dark=dark) as server:
        context = browser.new_context(viewport={"width": 1200, "height": 1400})
        page, seen = browsers.watched(context, (server.origin, server.origin.replace("http", "ws")))
        widget = started(server, page, "theme.ipynb", cells.TABLE, cells.TEXT)
        widget.get_by_label("target", exact=True).wait_for()
        page.locator(".pyig-widget .words").first.wait_for()
        page.evaluate("document.querySelectorAll('.pyig-widget details').forEach((d) => { d.open = true; })")
        assert ("dark" in (widget.get_attribute("class") or "").split()) is dark
        for each in page.locator(".pyig-widget").all():
            assert each.evaluate(CONTRAST) == []
        screenshot(page, f"theme-{'dark' if dark else 'light'}")
        context.close()
        seen.check()
