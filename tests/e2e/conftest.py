"""One browser for all tests, one server of each kind, and a page that has to behave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e import browser as browsers
from e2e import servers


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with browsers.started() as started:
        yield started


@pytest.fixture(scope="session", params=["lab", "notebook"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.serving(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """Give a JupyterLab that saves the state of widgets."""
    with servers.serving("lab", tmp_path_factory.mktemp("saving"), save_state=True) as running:
        yield running


@pytest.fixture
def page(browser: Any, server: servers.Server, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give a page in which no request leaves the server and no error is logged."""
    context = browser.new_context(viewport={"width": 1200, "height": 1400})
    opened, seen = browsers.watched(context, (server.origin, server.origin.replace("http", "ws")))
    yield opened
    browsers.screenshot(opened, f"end-{request.node.name}")
    context.close()
    seen.check()
