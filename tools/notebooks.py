"""Run notebooks, and store them with pictures that need no kernel: ``python tools/notebooks.py [NAME ...]``.

Widgets go, with their state: their static copies stand in the same cells. Then look at each notebook.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

FOLDER = Path(__file__).parents[1] / "notebooks"
VIEW = "application/vnd.jupyter.widget-view+json"
COLOURS = 224


def run(path: Path) -> None:
    """Execute a notebook in a folder of its own, and write it back."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
        still(notebook)
        text = nbformat.writes(notebook).replace(folder, ".")  # nobody else has this folder
    path.write_text(text + "\n", encoding="utf-8")


def still(notebook: Any) -> None:
    """Take away what needs a kernel, what a picture says already, and what differs from run to run."""
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = joined([output for output in cell.outputs if wanted(output)])
            for output in cell.outputs:
                lighten(output.get("data", {}))


def wanted(output: Any) -> bool:
    """Tell whether an output is for readers: neither a widget nor what a library logged."""
    logged = output.get("name") == "stderr" or output.get("text", "").startswith(("WARNING:", "INFO:"))
    return VIEW not in output.get("data", {}) and not logged


def joined(outputs: list[Any]) -> list[Any]:
    """Join neighbouring lines of text: how they were cut depends on the moment."""
    kept: list[Any] = []
    for output in outputs:
        if kept and output.output_type == kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def lighten(data: Any) -> None:
    """Keep one picture of each, with no more colours than it takes to read it."""
    if "text/html" in data:
        data.pop("image/png", None)  # the same picture, for converters that read no HTML
    if "image/png" in data:
        data.pop("image/jpeg", None)
        picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
        buffer = io.BytesIO()
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
        data["image/png"] = base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    for name in sys.argv[1:] or [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]:
        print(name, flush=True)
        run(FOLDER / f"{name}.ipynb")
