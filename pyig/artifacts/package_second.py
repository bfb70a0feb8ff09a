"""The second generation of packages: they give gradients at encoded rows, and attributions in nested nodes.

F is known at the ends of a path alone, so the nodes are summed up here, with more of them until the estimate of the
error and the completeness gap are both within the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.package_contract import Encodings
from pyig.artifacts.package_first import limit_of, matrix
from pyig.artifacts.package_gradients import Gradients
from pyig.artifacts.package_loading import Loaded
from pyig.artifacts.package_rows import REST, collect, read_second
from pyig.errors import InputError, ModelError, unknown
from pyig.explanation import Explanation
from pyig.explanation.table import targets_each
from pyig.targets import parse

Table = Any
METHODS = (
    "predict",
    "get_ig_baseline",
    "transform_to_attributable_input",
    "compute_gradients",
    "project_attributions",
)
SETTINGS = {"ig_start_steps": 32, "ig_max_steps": 2048, "ig_min_error_pct": 1.0}
OPTIONS = ("rtol", "max_evals", "n_steps", "method", "batch_size")
_IDLE = ("progress", "rng", "repeatable")  # nothing is drawn, and no batch has a part in its rows' results


class SecondGeneration:
    """A package with `compute_gradients`."""

    kind = "generation 2"
    columns: tuple[str, ...] = ()
    steps = 32

    def __init__(self, loaded: Loaded) -> None:
        self._loaded, self._model = loaded, loaded.model
        self._with_rest = False  # once there, it stays
        names = getattr(self._model, "output_columns", None) or getattr(self._model, "output_col", None) or ()
        self.outputs: tuple[str, ...] = tuple(map(str, names))
        self.settings = dict(SETTINGS)
        if callable(getattr(self._model, "get_settings", None)):
            with loaded.running("get_settings()"):
                self.settings |= dict(self._model.get_settings())
        self.limit = limit_of(self.settings["ig_min_error_pct"])

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the outputs, (N, C); the names of the outputs are those of the table."""
        with self._loaded.running("predict()"):
            found = self._model.predict(rows)
        if not self.outputs and hasattr(found, "columns"):
            self.outputs = tuple(map(str, found.columns))
        return matrix(found, len(rows))

    def encode(self, rows: Table, start: Table | None = None) -> Encodings:
        """Return both ends of the paths."""
        if start is None:
            with self._loaded.running("get_ig_baseline()"):
                start = self._model.get_ig_baseline(rows)
        if not hasattr(start, "iloc") or len(start) not in (1, len(rows)):
            raise ModelError(f"expected get_ig_baseline() to return a DataFrame of 1 or {len(rows)} rows")
        start = (start if len(start) == len(rows) else start.iloc[[0] * len(rows)]).reset_index(drop=True)
        ends = []
        for table in (rows, start):
            with self._loaded.running("transform_to_attributable_input()"):
                found = self._model.transform_to_attributable_input(table)
            ends.append({str(name): _floats(name, value, len(rows)) for name, value in dict(found).items()})
        return Encodings(rows, ends[0], ends[1], None, start)

    def integrate(self, encodings: Encodings, target: Any, options: Mapping[str, Any]) -> Explanation:
        """Sum up the package's gradients."""
        for name in options:
            if name not in (*OPTIONS, *_IDLE):
                raise unknown("option of a package that computes its own gradients", name, OPTIONS)
        values, starts = self.predict(encodings.rows), self.predict(encodings.start)
        rows = np.arange(len(encodings.rows))
        index = parse(target, len(rows)).resolve(rows, values.shape, lambda: values)
        gradients = Gradients(
            self._gradients, encodings.x, encodings.baselines, index, int(options.get("batch_size") or 0)
        )
        return gradients.explain(
            np.take_along_axis(values, index, 1),
            np.take_along_axis(starts, index, 1),
            None if values.shape[1] == 1 else index,
            {**self.options(), "first": int(self.settings["ig_start_steps"]), **options},
            self.outputs if len(self.outputs) == values.shape[1] else None,
        )

    def project(self, encodings: Encodings, explanation: Explanation) -> Explanation:
        """Ask the package for each row; of the outputs that were not asked for, it is given zeros."""
        n, k = len(explanation), targets_each(explanation)
        leaves = {
            leaf.name: np.asarray(leaf.attributions, np.float64).reshape(n, k, *leaf.inputs.shape[1:])
            for leaf in explanation.leaves()
        }
        targets = np.zeros((n, k), np.int64) if explanation.targets is None else explanation.targets.reshape(n, k)
        count = max(len(self.outputs), int(targets.max(initial=0)) + 1)
        answers = []
        with self._loaded.running("project_attributions()"):
            for i in range(n):
                row = encodings.rows.iloc[i : i + 1].reset_index(drop=True)
                found = []
                for j in range(k):
                    own = {name: phi[i, j] for name, phi in leaves.items()}
                    none = {name: np.zeros_like(value) for name, value in own.items()}
                    given = [own if output == targets[i, j] else none for output in range(count)]
                    answer = self._model.project_attributions(row, given)
                    name = self.outputs[targets[i, j]] if self.outputs else str(targets[i, j])
                    found.append(read_second(answer, name))
                answers.append(found)
        projected = collect(explanation, answers, encodings.rows, encodings.start, self._with_rest)
        self._with_rest = REST in projected.attributions
        return projected

    def options(self) -> dict[str, Any]:
        """Return the tolerance and the cap of the package's settings."""
        limit = self.limit or SETTINGS["ig_min_error_pct"]
        return {"rtol": min(limit / 100, 0.99), "max_evals": int(self.settings["ig_max_steps"])}

    def describe(self) -> dict[str, Any]:
        """Return what the package says of itself."""
        return {"outputs": list(self.outputs), "settings": dict(self.settings)}

    def missing(self) -> list[str]:
        """Name the methods that are not there."""
        return [name for name in METHODS if not callable(getattr(self._model, name, None))]

    def _gradients(self, points: Mapping[str, NDArray[Any]]) -> Sequence[Mapping[str, NDArray[Any]]]:
        with self._loaded.running("compute_gradients()"):
            found = self._model.compute_gradients(dict(points))
        if not isinstance(found, (list, tuple)):
            raise ModelError(
                f"expected compute_gradients() to return a list, a dict for each output; got {type(found).__qualname__}"
            )
        return found


def _floats(name: Any, value: Any, rows: int) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.ndim == 0 or len(array) != rows:
        raise InputError(
            f"expected transform_to_attributable_input() to give numbers for {str(name)!r}, one row per row ({rows}); "
            f"got {array.dtype} of shape {array.shape}"
        )
    return array if array.dtype.kind == "f" else array.astype(np.float32)
