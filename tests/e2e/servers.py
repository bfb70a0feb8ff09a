"""JupyterLab and Notebook 7 with folders, a port and a token of their own; ended by process id."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page

KERNEL_READY = """() => { const w = window.jupyterapp.shell.currentWidget, k = w?.sessionContext?.session?.kernel;
    return k && k.connectionStatus === 'connected' && k.status === 'idle'; }"""


@dataclass
class Server:
    """A running server.

    Attributes
    ----------
    app : str
        ``"lab"`` or ``"notebook"``.
    root : Path
        Where its notebooks are.
    """

    app: str
    port: int
    token: str
    root: Path
    process: subprocess.Popen[bytes]

    @property
    def origin(self) -> str:
        """Return the only address that a page may talk to."""
        return f"http://127.0.0.1:{self.port}/"

    def write(self, name: str, cells: list[str]) -> Path:
        """Write a notebook."""
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.root / name
        nbformat.write(book, path)
        return path

    def open(self, page: Page, name: str, kernel: bool = True) -> None:
        """Open a notebook, and wait for its kernel: the toolbar says idle before there is one."""
        place = f"lab/tree/{name}?reset&" if self.app == "lab" else f"notebooks/{name}?"
        page.goto(f"{self.origin}{place}token={self.token}")
        page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        if kernel:
            page.wait_for_function(KERNEL_READY, timeout=60_000)

    def run_all(self, page: Page) -> None:
        """Run all cells; does not wait, since a command's promise lasts as long as the cells do."""
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")

    def save(self, page: Page) -> None:
        """Save, and wait until it is done; a notebook that is not dirty would not be written again."""
        model = "window.jupyterapp.shell.currentWidget.context.model"
        page.evaluate(f"{model}.dirty = true; void window.jupyterapp.commands.execute('docmanager:save')")
        page.wait_for_function(f"!{model}.dirty", timeout=30_000)


@contextmanager
def serving(app: str, folder: Path, save_state: bool = False, dark: bool = False) -> Iterator[Server]:
    """Start a server that nothing of the user's settings reaches."""
    root = folder / "root"
    root.mkdir(parents=True)
    port, token = _free_port(), secrets.token_hex(16)
    if app == "lab":
        _settings(folder, save_state, dark)
    command = [
        sys.executable, "-m", "jupyterlab" if app == "lab" else "notebook", "--no-browser", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={root}", "--ServerApp.allow_root=True",
        *(f"--{name}.expose_app_in_browser=True" for name in ("LabApp", "JupyterNotebookApp")),
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment(folder), start_new_session=True)
    # A stop from outside would skip the finally below, and leave the server and its kernels behind.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("SIGTERM"))
    try:
        _wait(f"http://127.0.0.1:{port}/api/status?token={token}", process, folder / "server.log")
        yield Server(app, port, token, root, process)
    finally:
        signal.signal(signal.SIGTERM, before)
        process.terminate()  # the server ends its kernels
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def _environment(folder: Path) -> dict[str, str]:
    names = {
        "HOME": "home", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib", "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    for name in names.values():
        (folder / name).mkdir(exist_ok=True)
    return {**os.environ, **{key: str(folder / name) for key, name in names.items()}, "OMP_NUM_THREADS": "1"}


def _settings(folder: Path, save_state: bool, dark: bool) -> None:
    def setting(plugin: str, name: str, value: dict[str, Any]) -> None:
        place = folder / "settings" / plugin
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.jupyterlab-settings").write_text(json.dumps(value), encoding="utf-8")

    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    setting("@jupyterlab/apputils-extension", "notification", quiet)
    # Otherwise cells out of sight are not in the page.
    setting("@jupyterlab/notebook-extension", "tracker", {"windowingMode": "none"})
    setting("@jupyter-widgets/jupyterlab-manager", "plugin", {"saveState": save_state})
    if dark:
        setting("@jupyterlab/apputils-extension", "themes", {"theme": "JupyterLab Dark"})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, limit: float = 90) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended early:\n{log.read_text()[-3000:]}"
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the server did not answer:\n{log.read_text()[-3000:]}")
