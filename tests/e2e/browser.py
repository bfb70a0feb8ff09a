"""Headless Chromium that loads nothing from outside, and tells what went wrong in the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Playwright, sync_playwright

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")
HARMLESS = ("favicon.ico",)
OF_NOTEBOOK = "Cannot read properties of undefined (reading 'schema')"
"""Notebook 7.6 itself while it loads its settings, with or without a widget on the page."""


def chromium() -> str:
    """Return the path of the browser; a missing one is an error, never a skip."""
    found = os.environ.get("PYIG_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise RuntimeError("expected Chromium: install it (apt-get install chromium), or name it in PYIG_CHROMIUM")
    return found


@dataclass
class Seen:
    """What a page did that it should not have done."""

    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Fail when a request left the machine, or the console holds an error."""
        assert not self.foreign, self.foreign
        assert not self.errors, self.errors


@contextmanager
def started() -> Iterator[Any]:
    """Start the browser; it is closed at the end."""
    with sync_playwright() as playwright:
        browser = _launch(playwright)
        try:
            yield browser
        finally:
            browser.close()


def _launch(playwright: Playwright) -> Any:
    return playwright.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS, chromium_sandbox=False)


def watched(context: Any, allowed: tuple[str, ...]) -> tuple[Page, Seen]:
    """Open a page whose requests beyond `allowed` are refused and noted."""
    seen = Seen()

    def gate(route: Any) -> None:
        url = route.request.url
        if url.startswith((*allowed, "data:", "blob:")):
            route.continue_()
        else:
            seen.foreign.append(url)
            route.abort()

    context.route("**/*", gate)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("console", lambda m: seen.errors.append(m.text) if m.type == "error" and not _harmless(m) else None)
    page.on("pageerror", lambda error: None if _of_notebook(error) else seen.errors.append(f"{error}\n{error.stack}"))
    return page, seen


def _of_notebook(error: Any) -> bool:
    return OF_NOTEBOOK in str(error) and "/static/notebook/" in str(error.stack) and "blob:" not in str(error.stack)


def _harmless(message: Any) -> bool:
    return any(word in f"{message.text} {message.location}" for word in HARMLESS)


def screenshot(page: Page, name: str) -> None:
    """Keep a picture of the page where PYIG_SHOTS names a folder."""
    folder = os.environ.get("PYIG_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
