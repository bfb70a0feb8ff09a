"""`%ig_explain` and its widget, driven through real JupyterLab and Notebook 7."""

from __future__ import annotations

from typing import Any

from e2e import cells
from e2e.browser import screenshot
from e2e.servers import Server


def pixels(widget: Any) -> str:
    return str(widget.locator(".main canvas").first.evaluate("c => c.toDataURL()"))


def test_an_image(server: Server, page: Any) -> None:
    server.write("image.ipynb", [cells.SETUP, cells.IMAGE])
    server.open(page, "image.ipynb")
    server.run_all(page)
    widget = page.locator(".pyig-widget").first
    widget.locator("canvas").first.wait_for(timeout=90_000)
    widget.get_by_label("target", exact=True).wait_for()  # the kernel has answered
    before = pixels(widget)
    widget.get_by_label("opacity", exact=True).focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert widget.get_by_label("opacity", exact=True).input_value() == "75"
    changed = pixels(widget)
    assert changed != before
    count = page.locator(".jp-Cell").count()
    for key in ("b", "d", "d", "m"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.locator(".jp-Cell").count() == count
    target = widget.get_by_label("target", exact=True)
    target.fill("3")
    target.press("Enter")
    widget.get_by_role("heading", name="target 3").wait_for()
    assert pixels(widget) != changed
    screenshot(page, f"image-{server.app}")
