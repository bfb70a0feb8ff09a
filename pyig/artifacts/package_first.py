"""The first generation of packages: transformed rows, a graph with named tensors, and a projection of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig import tree
from pyig.artifacts.package_contract import Encodings
from pyig.artifacts.package_keras import KerasGraph
from pyig.artifacts.package_loading import Loaded
from pyig.artifacts.package_rows import REST, collect, read_first
from pyig.artifacts.package_wrapper import TFSavedModelWrapper
from pyig.errors import InputError, ModelError
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation
from pyig.explanation.table import targets_each

Table = Any
METHODS = ("transform_input", "generate_baseline", "predict", "project_attributions")


class Graph(Protocol):
    """The differentiable part of a package."""

    model: Any
    notes: tuple[str, ...]

    def encode(self, transformed: Table) -> tuple[Any, dict[str, Any], dict[str, int]]:
        """Return the model's input, the package's key of each leaf, and the rank of the input behind it."""
        ...

    def held(self) -> tuple[str, ...]:
        """Name the leaves that do not move."""
        ...

    def differentiable(self) -> dict[str, str]:
        """Return the tensor that gradients are taken to, by the name of the input."""
        ...


class FirstGeneration:
    """A package with `transform_input`, `generate_baseline`, `predict` and `project_attributions`."""

    kind = "generation 1"
    columns: tuple[str, ...] = ()

    def __init__(self, loaded: Loaded) -> None:
        self._loaded, self._model = loaded, loaded.model
        self._with_rest = False  # once there, it stays
        self.outputs = tuple(map(str, getattr(self._model, "output_columns", ()) or ()))
        self.limit = limit_of(getattr(self._model, "max_allowed_error", None))
        self._explainer: IntegratedGradients | None = None
        self._graph: Graph | None = None

    @property
    def graph(self) -> Graph:
        """The differentiable part, found when it is first needed: a package that only predicts needs none."""
        if self._graph is None:
            self._graph = _graph(self._model)
        return self._graph

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the outputs, (N, C)."""
        with self._loaded.running("predict()"):
            return matrix(self._model.predict(rows), len(rows))

    def encode(self, rows: Table, start: Table | None = None) -> Encodings:
        """Transform the rows, and encode them and their baseline."""
        with self._loaded.running("transform_input()"):
            transformed = _table(self._model.transform_input(rows), "transform_input")
        with self._loaded.running("generate_baseline()"):
            find = self._model.generate_baseline if start is None else self._model.transform_input
            start = _table(find(rows if start is None else start), "generate_baseline")
        if len(transformed) != len(rows) or len(start) not in (1, len(rows)):
            raise ModelError(
                f"expected transform_input() to give {len(rows)} rows and generate_baseline() as many or 1; they give "
                f"{len(transformed)} and {len(start)}"
            )
        graph = self.graph
        with self._loaded.running("the input of the model"):
            x, keys, ranks = graph.encode(transformed)
            baselines, _, _ = graph.encode(start)
        if isinstance(x, dict):
            baselines = {name: x[name] if name in graph.held() else baselines[name] for name in x}
        return Encodings(rows, x, baselines, transformed, start, keys, ranks)

    def integrate(self, encodings: Encodings, target: Any, options: Mapping[str, Any]) -> Explanation:
        """Explain the encoded rows; a binary classification with two columns is explained by the second."""
        if target is None and getattr(self._model, "is_binary_classification", False):
            target = self._positive(encodings)
        if self._explainer is None:
            self._explainer = IntegratedGradients(self.graph.model, backend="tensorflow")
        return self._explainer.explain(encodings.x, encodings.baselines, target, **options)

    def project(self, encodings: Encodings, explanation: Explanation) -> Explanation:
        """Ask the package for each row."""
        n, k = len(explanation), targets_each(explanation)
        leaves = {
            leaf.name: np.asarray(leaf.attributions, np.float64).reshape(n, k, *leaf.inputs.shape[1:])
            for leaf in explanation.leaves()
        }
        held = self.graph.held()
        answers = []
        with self._loaded.running("project_attributions()"):
            for i in range(n):
                row = encodings.rows.iloc[i : i + 1].reset_index(drop=True)
                transformed = encodings.transformed.iloc[i : i + 1].reset_index(drop=True)
                given = [
                    {
                        encodings.keys[name]: _flat(phi[i : i + 1, j], encodings.ranks[name])
                        for name, phi in leaves.items()
                        if name not in held
                    }
                    for j in range(k)
                ]
                answers.append(
                    [
                        read_first(
                            self._model.project_attributions(row, transformed, one), self._output(explanation, i, j)
                        )
                        for j, one in enumerate(given)
                    ]
                )
        start = _unpacked(encodings)
        start = start if len(start) == n else start.iloc[[0] * n]
        found = collect(explanation, answers, encodings.rows, start, self._with_rest)
        self._with_rest = REST in found.attributions
        return found

    def options(self) -> dict[str, Any]:
        """Return the tolerance that the package asks for."""
        return {} if self.limit is None else {"rtol": min(self.limit / 100, 0.99)}

    def describe(self) -> dict[str, Any]:
        """Return what the package says of itself."""
        return {
            "outputs": list(self.outputs),
            "max_allowed_error": self.limit,
            "batch_size": getattr(self._model, "batch_size", None),
            "differentiable": self.graph.differentiable(),
            "notes": list(self.graph.notes),
        }

    @property
    def steps(self) -> int:
        """Nodes of a package that sets no limit."""
        return int(getattr(self._model, "steps", 10) or 10)

    def missing(self) -> list[str]:
        """Name the methods that are not there."""
        return [name for name in METHODS if not callable(getattr(self._model, name, None))]

    def _positive(self, encodings: Encodings) -> Any:
        one = tree.tree_map(lambda leaf: np.asarray(leaf)[:1], encodings.x)
        shape = tuple(self.graph.model(**one).shape if isinstance(one, dict) else self.graph.model(one).shape)
        return 1 if len(shape) == 2 and shape[1] == 2 else None

    def _output(self, explanation: Explanation, i: int, j: int) -> str:
        if explanation.targets is None or len(self.outputs) == 1:
            return self.outputs[0] if self.outputs else ""
        target = int(explanation.targets.reshape(len(explanation), -1)[i, j])
        return self.outputs[target] if target < len(self.outputs) else str(target)


class SavedModelGraph:
    """The cut SavedModel of a wrapper."""

    def __init__(self, wrapper: TFSavedModelWrapper) -> None:
        if wrapper.cut is None:
            raise InputError("expected get_model() to call load_model() of the wrapper; the SavedModel is not open")
        self._wrapper, self._cut = wrapper, wrapper.cut
        self.model = wrapper.cut.model()
        self.notes = tuple(wrapper.cut.notes)

    def encode(self, transformed: Table) -> tuple[Any, dict[str, Any], dict[str, int]]:
        """Return the tensors at the cut, and the inputs that bypass it."""
        feed = self._wrapper.feed(transformed)
        found = {**self._cut.encode(feed), **self._cut.still(feed)}
        arrays = {name: np.asarray(value) for name, value in found.items()}
        return arrays, {name: name for name in arrays}, {name: feed[name].ndim for name in arrays}

    def held(self) -> tuple[str, ...]:
        """Name the inputs that the package's mapping does not have, and those that are no floats."""
        mapping = self._wrapper.input_tensor_to_differentiable_layer_mapping
        left_out = [name for name in self._cut.encoded if mapping and name not in mapping]
        return (*left_out, *self._cut.fixed)

    def differentiable(self) -> dict[str, str]:
        """Return the tensor that gradients are taken to, by the name of the input."""
        held = self.held()
        return {name: tensor.tensor_name for name, tensor in self._cut.encoded.items() if name not in held}


def _graph(model: Any) -> Graph:
    if isinstance(model, TFSavedModelWrapper):
        return SavedModelGraph(model)
    if hasattr(getattr(model, "model", None), "inputs"):
        return KerasGraph(model)
    raise InputError(
        "expected a package that derives from TFSavedModelWrapperIg, or has a Keras model as .model; got "
        f"{type(model).__qualname__} without either. Derive from pyig.artifacts.ModelPackage for any other model"
    )


def _unpacked(encodings: Encodings) -> Table:
    """Return the baseline by column, also where the package packs all columns, as they are, into one list."""
    rows, transformed, start = encodings.rows, encodings.transformed, encodings.start
    if len(start.columns) != 1 or list(start.columns) != list(transformed.columns):
        return start
    packed, begin = (np.array(table.iloc[:, 0].tolist(), dtype=object) for table in (transformed, start))
    if packed.shape != rows.shape or begin.shape[1:] != packed.shape[1:]:
        return start
    if not all(kind.kind in "fiub" for kind in rows.dtypes if hasattr(kind, "kind")):
        return start
    import pandas as pd

    same = np.allclose(packed.astype(np.float64), rows.to_numpy(np.float64), rtol=1e-6, equal_nan=True)
    return pd.DataFrame(begin.astype(np.float64), columns=rows.columns) if same else start


def limit_of(value: Any) -> float | None:
    """Return a limit in percent as a number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value > 0:
        raise InputError(f"expected max_allowed_error as a percentage above 0, or None; got {value!r}")
    return float(value)


def matrix(outputs: Any, rows: int) -> NDArray[Any]:
    """Return what `predict` gave as (N, C)."""
    array = np.asarray(outputs.to_numpy() if hasattr(outputs, "to_numpy") else outputs)
    if array.ndim == 0 or len(array) != rows:
        raise ModelError(f"expected predict() to give one row per row ({rows}); got shape {array.shape}")
    return array.reshape(rows, -1) if rows else array.reshape(0, 1)


def _table(found: Any, method: str) -> Table:
    if not hasattr(found, "iloc"):
        raise ModelError(f"expected {method}() to return a DataFrame; got {type(found).__qualname__}")
    return found.reset_index(drop=True)


def _flat(phi: Any, rank: int) -> Any:
    """Sum over the axis that an encoding has behind those of its input."""
    return phi.sum(axis=-1) if phi.ndim == rank + 1 else phi
