"""What is left of an explanation when its notebook is saved, opened again, handed on or converted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from e2e import browser as browsers
from e2e import cells
from e2e.servers import Server, serving

BUDGET = 300_000  # bytes of one explanation of a 224 x 224 picture in a saved file


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Give a JupyterLab as it comes: it does not save the state of widgets."""
    with serving("lab", tmp_path_factory.mktemp("forgetful")) as running:
        yield running


def opened(browser: Any, server: Server) -> tuple[Any, Any, Any]:
    context = browser.new_context(viewport={"width": 1100, "height": 1200})
    page, seen = browsers.watched(context, (server.origin, server.origin.replace("http", "ws")))
    return context, page, seen


def made(browser: Any, server: Server, name: str, runs: int = 1) -> Path:
    """Run an explanation of a 224 x 224 picture, save it, and end its kernel."""
    path = server.write(name, [cells.setup(224), cells.IMAGE])
    context, page, seen = opened(browser, server)
    server.open(page, name)
    server.run_all(page)
    page.locator(".pyig-widget .asks input").first.wait_for(timeout=90_000)
    for _ in range(runs - 1):
        page.locator(".jp-CodeCell").nth(1).locator(".cm-content").click()
        page.evaluate("window.before = document.querySelector('.pyig-widget')")
        page.keyboard.press("Control+Enter")
        page.wait_for_function(
            "!document.contains(window.before) && document.querySelector('.pyig-widget .asks input')"
        )
        page.wait_for_timeout(500)
    server.save(page)
    page.evaluate("void window.jupyterapp.serviceManager.sessions.shutdownAll()")
    page.wait_for_timeout(1500)
    context.close()
    seen.check()
    return path


def sizes(path: Path) -> dict[str, int]:
    book = json.loads(path.read_text(encoding="utf-8"))
    states = book["metadata"].get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    own = [state for state in states.values() if state["model_name"] == "AnyModel"]
    return {
        "file": path.stat().st_size,
        "static": len(json.dumps(book["cells"][1]["outputs"])),
        "widgets": len(own),
        "state": len(json.dumps(states)),
    }


def test_with_its_state_it_lives_without_a_kernel(browser: Any, lab: Server) -> None:
    path = made(browser, lab, "kept.ipynb")
    once = sizes(path)
    print(json.dumps(once))  # noqa: T201
    assert once["widgets"] == 1
    assert once["static"] + once["state"] <= BUDGET
    context, page, seen = opened(browser, lab)
    lab.open(page, "kept.ipynb", kernel=False)
    widget = page.locator(".pyig-widget").first
    widget.locator(".main canvas").first.wait_for()
    assert not page.locator(".pyig:not(.pyig-widget)").first.is_visible()
    before = widget.locator(".main canvas").first.evaluate("c => c.toDataURL()")
    widget.get_by_role("radio", name="heat").click()
    assert widget.locator(".main canvas").first.evaluate("c => c.toDataURL()") != before
    assert not widget.locator(".asks").is_visible()  # there is nobody to ask
    widget.locator(".main canvas").first.focus()
    page.keyboard.press("ArrowUp")
    assert "approximate" in widget.locator(".readout").first.inner_text()
    context.close()
    seen.check()


def test_running_a_cell_again_does_not_grow_the_file(browser: Any, lab: Server) -> None:
    path = made(browser, lab, "again.ipynb", runs=4)
    found = sizes(path)
    assert found["widgets"] == 1
    assert found["static"] + found["state"] <= BUDGET


def test_without_its_state_the_copy_is_seen(browser: Any, forgetful: Server) -> None:
    path = made(browser, forgetful, "lost.ipynb")
    assert sizes(path)["widgets"] == 0
    context, page, _ = opened(browser, forgetful)  # Lab itself logs that the model is not there
    forgetful.open(page, "lost.ipynb", kernel=False)
    copy = page.locator(".jp-OutputArea .pyig:not(.pyig-widget)").first
    copy.wait_for()
    assert copy.is_visible()
    assert copy.locator("img").first.evaluate("i => i.naturalWidth") > 0
    assert "Re-run the cell" in copy.inner_text()
    browsers.screenshot(page, "reopened")
    context.close()


@pytest.mark.parametrize("state", [True, False])
def test_from_somebody_else_the_copy_is_seen(browser: Any, lab: Server, forgetful: Server, state: bool) -> None:
    server, name = (lab, "kept.ipynb") if state else (forgetful, "lost.ipynb")
    if not (server.root / name).exists():
        made(browser, server, name)
    book = nbformat.read(server.root / name, as_version=4)
    book.metadata["author"] = "somebody else"  # no longer what this user has signed
    nbformat.write(book, server.root / f"strange-{name}")
    context, page, _ = opened(browser, server)
    server.open(page, f"strange-{name}", kernel=False)
    picture = page.locator(".jp-OutputArea img").first
    picture.wait_for()
    assert picture.is_visible()
    assert picture.evaluate("i => i.naturalWidth") > 0
    assert page.evaluate("window.__xss") is None
    context.close()


@pytest.mark.parametrize("state", [True, False])
@pytest.mark.parametrize("form", ["html", "markdown"])
def test_converted_the_copy_is_seen(
    browser: Any, lab: Server, forgetful: Server, state: bool, form: str, tmp_path: Path
) -> None:
    server, name = (lab, "kept.ipynb") if state else (forgetful, "lost.ipynb")
    if not (server.root / name).exists():
        made(browser, server, name)
    command = [sys.executable, "-m", "nbconvert", "--to", form, "--output-dir", str(tmp_path), str(server.root / name)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    if form == "markdown":
        assert "data:image/png" in (tmp_path / name.replace("ipynb", "md")).read_text() or list(tmp_path.rglob("*.png"))
        return
    context = browser.new_context(viewport={"width": 1100, "height": 1200})
    page, _ = browsers.watched(context, (tmp_path.as_uri(),))  # nbconvert's own page asks for scripts from outside
    page.goto((tmp_path / name.replace("ipynb", "html")).as_uri(), wait_until="load")
    picture = page.locator(".pyig img").first
    assert picture.is_visible()
    assert picture.evaluate("i => i.naturalWidth") > 0
    context.close()
