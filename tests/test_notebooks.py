"""Every notebook runs from top to bottom in a fresh kernel, and is stored with what it shows, but no widget."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


MOST = 500_000  # bytes of one notebook
WIDGET = "application/vnd.jupyter.widget-view+json"
FOR_EYES = ("image/png", "text/html")


def faults(notebook: dict[str, Any]) -> list[str]:
    """Say what a stored notebook should not have, or lacks: `tools/notebooks.py` stores it as it should be."""
    cells: list[dict[str, Any]] = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    text = json.dumps(notebook)
    counts = [cell["execution_count"] for cell in cells]
    found = {
        "was not run from top to bottom": counts != list(range(1, len(cells) + 1)),
        "holds the state of widgets": "widgets" in notebook["metadata"]
        or any("widgets" in c["metadata"] for c in cells),
        "holds a widget": any(WIDGET in output.get("data", {}) for output in outputs),
        "shows no picture and no table": not any(kind in o.get("data", {}) for o in outputs for kind in FOR_EYES),
        "stopped at an error": any(output["output_type"] == "error" for output in outputs),
        "holds what was logged": any(output.get("name") == "stderr" for output in outputs),
        "names a place on a machine": re.search(r"(/home/|/root/|/opt/|/tmp/|/Users/|site-packages)", text) is not None,
        "is larger than half a megabyte": len(text) > MOST,
    }
    return [name for name, holds in found.items() if holds]


def run(path: Path, folder: Path) -> None:
    """Execute a notebook in `folder`; an exception in a cell is raised here."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client: this tests the notebook, whose kernel has filters of its own
        client = NotebookClient(
            notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        asyncio.run(client.async_execute())


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_with_what_it_shows(path: Path) -> None:
    assert faults(json.loads(path.read_text(encoding="utf-8"))) == []


def test_every_fault_is_found() -> None:
    def stored(output: dict[str, Any], count: int | None = 1, metadata: Any = None) -> list[str]:
        shown = {"output_type": "display_data", "data": {"text/html": "<p>"}}
        cell = {"cell_type": "code", "outputs": [shown, output], "execution_count": count, "metadata": {}}
        return faults({"cells": [cell, {"cell_type": "markdown"}], "metadata": metadata or {}})

    plain = {"output_type": "stream", "name": "stdout", "text": "1"}
    assert stored(plain) == []
    assert stored(plain, count=None) == ["was not run from top to bottom"]
    assert stored(plain, metadata={"widgets": {}}) == ["holds the state of widgets"]
    assert stored({"output_type": "display_data", "data": {WIDGET: {}}}) == ["holds a widget"]
    assert stored({"output_type": "error"}) == ["stopped at an error"]
    assert stored(plain | {"name": "stderr"}) == ["holds what was logged"]
    assert stored(plain | {"text": "/tmp/x"}) == ["names a place on a machine"]
    assert stored(plain | {"text": "x" * MOST}) == ["is larger than half a megabyte"]
    assert faults({"cells": [], "metadata": {}}) == ["shows no picture and no table"]


def test_the_tool_takes_away_what_a_reader_does_not_need() -> None:
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    still = runpy.run_path(str(ROOT / "tools" / "notebooks.py"))["still"]
    pixel = b"\x89PNG\r\n\x1a\n" + base64.b64decode(
        "AAAADUlIRFIAAAABAAAAAQgCAAAAkHdT3gAAAAxJREFUeJxjYGBgAAAABAABJzQnCgAAAABJRU5ErkJggg=="
    )
    picture = base64.b64encode(pixel).decode()
    outputs = [
        new_output("stream", name="stderr", text="logged"),
        new_output("stream", name="stdout", text="one "),
        new_output("stream", name="stdout", text="line"),
        new_output("display_data", data={"text/html": "<p>", "image/png": picture}),
        new_output("display_data", data={WIDGET: {"model_id": "1"}, "text/plain": "Widget()"}),
        new_output("display_data", data={"image/png": picture, "image/jpeg": picture}),
    ]
    notebook = new_notebook(cells=[new_code_cell("1", outputs=outputs, execution_count=1)])
    notebook.metadata = nbformat.from_dict({"kernelspec": {"name": "python3"}, "widgets": {"state": {}}})
    still(notebook)
    assert faults(json.loads(nbformat.writes(notebook))) == []
    text, table, drawn = notebook.cells[0].outputs
    assert text.text == "one line"
    assert set(table.data) == {"text/html"}
    assert set(drawn.data) == {"image/png"}


def test_the_notebooks_of_the_notebook_face_are_there() -> None:
    """First explanation, image classifier, convergence, baselines, what-if; each shows a widget's static copy."""
    for name in ("01_first", "02_image", "08_reading", "09_baselines", "10_what_if"):
        (path,) = [path for path in NOTEBOOKS if path.stem.startswith(name)]
        assert "Static copy. Re-run the cell" in path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "error::DeprecationWarning:pyig")
    run(path, tmp_path)


@pytest.mark.slow
def test_a_failing_cell_is_found(tmp_path: Path) -> None:
    import nbformat
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(tmp_path / "broken.ipynb", tmp_path)
