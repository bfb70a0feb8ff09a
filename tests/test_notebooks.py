"""Every notebook runs from top to bottom in a fresh kernel, and is stored without outputs."""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def leftovers(notebook: dict[str, object]) -> list[str]:
    """Name the code cells that carry an output or a count."""
    cells = notebook["cells"]
    assert isinstance(cells, list)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    return [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None]


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
def test_stored_without_outputs(path: Path) -> None:
    assert leftovers(json.loads(path.read_text(encoding="utf-8"))) == []


def test_an_output_is_found() -> None:
    clean = {"cell_type": "code", "id": "a", "outputs": [], "execution_count": None}
    run_cell = {"cell_type": "code", "id": "b", "outputs": [], "execution_count": 3}
    assert leftovers({"cells": [clean, run_cell, {"cell_type": "markdown", "id": "c"}]}) == ["b"]


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
