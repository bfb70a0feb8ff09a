"""An artifact of our own: a small numpy model in a JSON file, `toy.json`, for the command line and for jobs.

``{"columns": ["age", ...], "weights": [...], "slow": 0, "text": "zip"}``; F = tanh(x @ weights), smooth and cheap.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pyig
from pyig.artifacts import Problem
from pyig.errors import InputError

COLUMNS = ("age", "chol", "thalach", "oldpeak")


class Opener:
    """What a row of `pyig.artifacts.OPENERS` names."""

    @staticmethod
    def recognises(path: Path) -> bool:
        return path.suffix == ".toy"

    @staticmethod
    def open(path: Path, *, trust: bool = False, **options: Any) -> Toy:
        del trust
        return Toy(path, json.loads(path.read_text()) | options)


def write_toy(path: Path, **options: Any) -> Path:
    path.write_text(json.dumps({"columns": COLUMNS, "weights": [0.02, -0.003, 0.01, -0.4], **options}))
    return path


class Toy:
    kind = "toy"
    outputs = ("risk",)

    def __init__(self, path: Path, options: Mapping[str, Any]) -> None:
        self.path, self._options = path, options
        self.columns = tuple(options["columns"])
        self.defaults: dict[str, Any] = dict(options.get("defaults", {}))
        self.live = self.most_live = self.calls = 0
        weights = np.array(options["weights"])

        def model(x: np.ndarray) -> np.ndarray:
            return np.tanh(x @ weights)

        def gradient(x: np.ndarray) -> np.ndarray:
            return (1 - np.tanh(x @ weights) ** 2)[:, None] * weights

        self._model = model
        self._explainer = pyig.IntegratedGradients(model, gradient=gradient)

    def _numbers(self, rows: Any) -> np.ndarray:
        for name in self.columns:
            if rows[name].dtype.kind not in "if":
                raise InputError(f"expected numbers in column {name!r}; got {rows[name].dtype}")
        return np.stack([rows[name] for name in self.columns], axis=1).astype(np.float64)

    def predict(self, rows: Any) -> np.ndarray:
        return self._model(self._numbers(rows))

    def explain(self, rows: Any, target: Any = None, **options: Any) -> pyig.Explanation:
        x = self._numbers(rows)
        self.calls += 1
        time.sleep(self._options.get("slow", 0))
        self.most_live = max(self.most_live, len(x))
        refused = self._options.get("refuses")
        if refused is not None and (x[:, 0] == refused).any():
            raise ZeroDivisionError("the model divides by age")
        leaves = {name: x[:, i] for i, name in enumerate(self.columns)}
        found = self._explainer.explain(x, target=target, **{**self.defaults, **options})
        parts = {name: found.attributions[:, i] for i, name in enumerate(self.columns)}
        start = {name: found.baselines[:, i] for i, name in enumerate(self.columns)}
        return pyig.Explanation(
            attributions=parts, inputs=leaves, baselines=start, feature_names=self.columns,
            **{name: getattr(found, name) for name in (
                "values", "baseline_values", "deltas", "error", "n_evals", "converged", "path_offsets", "path_alphas",
                "path_values", "path_slopes", "path_weights", "targets", "meta",
            )},
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        return {
            "inputs": {name: {"dtype": "float64", "differentiable": True} for name in self.columns},
            "outputs": ["risk"],
        }

    def problems(self, rows: Any = None) -> Iterator[Problem]:
        if self._options.get("broken"):
            yield Problem("error", "weights", "expected 4 weights; got 3", "Write one per column.")
        if rows is None:
            yield Problem("warning", "rows", "expected real rows; got none", "Pass a file of rows.")
        elif (rows["age"] > 150).any():
            yield Problem("error", "age", "expected at most 150; got more", "Correct the rows.")
