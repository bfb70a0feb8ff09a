"""An IPython shell with the magics, a numpy model that carries its gradient, and a spy in the engine's place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import samples
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import RichOutput, capture_output

from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation

W = np.array([1.0, -2.0, 0.5])


def linear(x: Any) -> Any:
    """Two outputs per row: one, and half its opposite."""
    if x.ndim != 2:
        raise RuntimeError("the model wants rows")
    score = x @ W
    return np.stack([score, -score / 2], axis=1)


linear.gradient = lambda x, cotangent: cotangent @ np.stack([W, -W / 2])  # type: ignore[attr-defined]


class Numpy(IntegratedGradients):
    """The engine itself, for numpy models that carry their gradient."""

    def __init__(self, model: Any) -> None:
        super().__init__(model, gradient=getattr(model, "gradient", None))


class Spy:
    """Stands for the engine: keeps what it was asked, answers from the samples."""

    calls: list[dict[str, Any]]

    def __init__(self, model: Any) -> None:
        self.model = model

    def explain(self, x: Any, **options: Any) -> Explanation:
        type(self).calls.append({"model": self.model, "x": x, **options})
        self.model(np.asarray(x))
        return samples.table()


@pytest.fixture
def ip(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """Give a shell with the extension loaded; what it defines is gone afterwards."""
    monkeypatch.setattr("pyig.jupyter.magic.IntegratedGradients", Numpy)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()  # display() asks for the one instance
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "pyig")
    shell.push({"np": np, "net": linear, "x": np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]), "W": W})
    shell.events.trigger("pre_execute")
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.fixture
def spy(ip: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> type[Spy]:
    Spy.calls = []
    monkeypatch.setattr("pyig.jupyter.magic.IntegratedGradients", Spy)
    return Spy


def shown(ip: InteractiveShell, line: str) -> tuple[Any, list[RichOutput], str]:
    """Run a line magic; return its result, the rich outputs, and what was printed."""
    with capture_output() as captured:
        result = ip.run_line_magic("ig_explain", line)
    return result, captured.outputs, captured.stdout
