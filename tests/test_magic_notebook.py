"""One notebook, run by a real kernel: the magics with a model of each framework that is installed."""

from __future__ import annotations

from typing import Any

import nbclient
import nbformat
import pytest

MODELS = {
    "torch": """
import torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
x = torch.rand(3, 4)
""",
    "tensorflow": """
import tensorflow as tf
tf.random.set_seed(0)
w = tf.random.normal((4, 3))
net = tf.function(lambda rows: tf.tanh(rows @ w), input_signature=[tf.TensorSpec((None, 4))])
x = tf.random.uniform((3, 4))
""",
    "jax": """
import jax, jax.numpy as jnp
w = jax.random.normal(jax.random.key(0), (4, 3))
net = jax.jit(lambda rows: jnp.tanh(rows @ w))
x = jax.random.uniform(jax.random.key(1), (3, 4))
jax.grad(lambda x: net(x).sum())(x)  # a first call of JAX may take seconds, which would show a bar
""",
    "callable": """
import numpy as np
x = np.array([[1.0, 2.0, 3.0, 4.0]] * 3)
import pyig, pyig.jupyter.magic as magic
net = lambda rows: (rows ** 2).sum(axis=1)
magic.IntegratedGradients = lambda model: pyig.IntegratedGradients(model, gradient=lambda rows: 2 * rows)
""",
}
CELLS = """
%load_ext pyig
# ---
%ig_explain net x
# ---
e = %ig_explain net x[0] -n 20 --names a,b,c,d --view text
# ---
e
# ---
e.plot("bars")
# ---
%%ig_explain net -q -o kept
x[:2]
# ---
%ig_explain net x;
# ---
assert len(kept) == 2 and len(e) == 1
"""


def run(cells: list[str]) -> Any:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    return nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()


@pytest.mark.slow
def test_a_notebook_runs_and_shows(backend: str) -> None:
    notebook = run([MODELS[backend], *CELLS.split("# ---\n")])
    outputs = [cell.outputs for cell in notebook.cells]
    assert outputs[1] == []  # %load_ext says nothing
    check_shown(outputs[2])
    (printed,) = outputs[3]
    assert printed.output_type == "stream"
    assert "feature" in printed.text
    check_shown(outputs[4])
    (picture,) = outputs[5]
    assert picture.data["image/png"]
    assert outputs[6] == outputs[7] == outputs[8] == []
    assert len(nbformat.writes(notebook)) < 200_000


def check_shown(outputs: list[Any]) -> None:
    """Check that there is a static copy, then the widget, and no third thing."""
    copy, live = outputs
    assert copy.output_type == live.output_type == "display_data"
    assert copy.data["text/html"].startswith('<div class="pyig pyig-static-')
    assert "Static copy" in copy.data["text/html"]
    assert live.data["application/vnd.jupyter.widget-view+json"]["model_id"]


@pytest.mark.slow
def test_widgets_of_ones_own_have_a_static_copy_too() -> None:
    cells = [
        MODELS["callable"],
        "%load_ext pyig\nig = pyig.IntegratedGradients(net, gradient=lambda rows: 2 * rows)",
        "e, f = ig.explain(x[:1]), ig.explain(x)",
        "w = e.widget(ig)\nw",
        "e.compare(f, labels=('one', 'other'))",
        "%ig_compare e f",
        "import ipywidgets\nipywidgets.VBox([w])",
    ]
    outputs = [cell.outputs for cell in run(cells).cells]
    for found in outputs[3:6]:
        check_shown(found)
    for found, labels in ((outputs[4], ("A: one", "B: other")), (outputs[5], ("A: e", "B: f"))):
        assert all(label in found[0].data["text/html"] for label in labels)
    (box,) = outputs[6]  # in a box it is a widget among others
    assert "text/html" not in box.data


@pytest.mark.slow
def test_lines_that_are_found_out_later_go_into_the_static_copy() -> None:
    cells = [
        MODELS["callable"],
        "%load_ext pyig\nig = pyig.IntegratedGradients(net, gradient=lambda rows: 2 * rows)",
        "w = ig.explain(x[:1]).widget(ig)\nw",
        "w.along()\nassert w.wait(20)\nw.cumulative[0]",
        "w.explain(n_steps=9)\nassert w.wait(20)\nw.along()\nassert w.wait(20)",
    ]
    outputs = [cell.outputs for cell in run(cells).cells]
    check_shown(outputs[2])
    (copy, _), (lines,) = outputs[2:4]
    assert copy.data["text/html"].count("<summary>Cumulative attribution</summary>") == 1
    assert "Static copy" in copy.data["text/html"]
    assert "CumulativeAttributions of sample 0" in lines.data["text/plain"]
    assert "<polyline" in lines.data["text/html"]
    assert "9 nodes" not in copy.data["text/html"]  # that of another result


@pytest.mark.slow
def test_a_mistake_stops_the_notebook_with_one_line() -> None:
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="UsageError: MODEL: name 'nett' is not defined"):
        run(["%load_ext pyig\nx = 1", "%ig_explain nett x"])
