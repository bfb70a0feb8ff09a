"""Packages that derive from `ModelPackage`: their model goes through the engine as any other does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.package import ModelPackage
from pyig.artifacts.package_contract import Encodings
from pyig.artifacts.package_first import limit_of
from pyig.artifacts.package_loading import Loaded
from pyig.calling import InputForward
from pyig.errors import InputError
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation
from pyig.integrate.inputs import read_inputs
from pyig.projections import project

Table = Any
METHODS = ("load", "encode", "baselines", "projections")


class OwnGeneration:
    """A package of pyig's own form."""

    kind = "ModelPackage"
    steps = 50

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._package: ModelPackage = loaded.model
        self.columns: tuple[str, ...] = tuple(map(str, self._package.columns))
        self.outputs: tuple[str, ...] = tuple(map(str, self._package.outputs))
        self.limit = limit_of(self._package.max_allowed_error)
        self._engine: IntegratedGradients | None = None
        self._cut: Any = None

    @property
    def engine(self) -> IntegratedGradients:
        """The explainer of the package's model, loaded once."""
        if self._engine is None:
            with self._loaded.running("load()"):
                model = self._package.load()
            if hasattr(model, "tail") and hasattr(model, "encode"):  # a SavedModel that was cut
                self._cut = model
                model = model.model()
            if hasattr(model, "training") and callable(getattr(model, "eval", None)):
                model.eval()  # it was made a moment ago, to be asked and not to be trained
            backend = "tensorflow" if self._cut is not None else None
            self._engine = IntegratedGradients(model, gradient=self._package.gradient, backend=backend)
        return self._engine

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the outputs, (N, C)."""
        engine = self.engine
        x = self._input(rows)
        backend = engine.backend_for(x)
        inputs = read_inputs(backend, x, None)
        every = tuple(range(len(inputs.leaves)))
        forward = InputForward(backend, inputs.spec, every, output=engine.output)
        with self._loaded.running("predict()"), backend.session():
            found = backend.to_numpy(backend.value(forward, inputs.leaves, []))
        return np.asarray(found).reshape(len(rows), -1)

    def encode(self, rows: Table, start: Table | None = None) -> Encodings:
        """Return both ends of the paths."""
        x = self._input(rows)
        if start is not None:
            return Encodings(rows, x, self._input(start))
        with self._loaded.running("baselines()"):
            found = self._package.baselines(rows)
        if self._cut is not None and (isinstance(found, dict) or hasattr(found, "shape")):
            found = self._cut_input(found)
        return Encodings(rows, x, found)

    def integrate(self, encodings: Encodings, target: Any, options: Mapping[str, Any]) -> Explanation:
        """Explain the encoded rows."""
        names = {"output_names": self.outputs} if len(self.outputs) > 1 and "output_names" not in options else {}
        engine = self.engine
        with self._loaded.running("the model"):  # it may import on its way
            return engine.explain(encodings.x, encodings.baselines, target, **names, **options)

    def project(self, encodings: Encodings, explanation: Explanation) -> Explanation:
        """Apply the package's projections."""
        with self._loaded.running("projections()"):
            found = self._package.projections(encodings.rows)
        if not isinstance(found, Mapping) or found:
            explanation = project(explanation, found)
        else:
            explanation = project(explanation, {})
        return explanation

    def options(self) -> dict[str, Any]:
        """Return what the package asks for."""
        limit = {} if self.limit is None else {"rtol": min(self.limit / 100, 0.99)}
        return limit | dict(self._package.options)

    def describe(self) -> dict[str, Any]:
        """Return what the package says of itself."""
        model = self.engine.model
        return {
            "outputs": list(self.outputs),
            "columns": list(self.columns),
            "max_allowed_error": self.limit,
            "model": type(model).__qualname__,
        }

    def missing(self) -> list[str]:
        """Name the methods that are not there; the base class has them all."""
        return [name for name in METHODS if not callable(getattr(self._package, name, None))]

    def _input(self, rows: Table) -> Any:
        _ = self.engine  # a SavedModel's input is known once it is open
        with self._loaded.running("encode()"):
            plain = type(self._package).encode is ModelPackage.encode
            if self._cut is not None and plain and len(self._cut.inputs) > 1:
                return self._cut_input({name: np.array(rows[name].tolist()) for name in self._cut.inputs})
            x = self._package.encode(rows)
            return self._cut_input(x) if self._cut is not None else x

    def _cut_input(self, x: Any) -> dict[str, Any]:
        from pyig.artifacts.package_wrapper import shaped

        if not isinstance(x, dict):
            if len(self._cut.inputs) != 1:
                raise InputError(f"expected encode() to give {', '.join(self._cut.inputs)}; it gives one array")
            x = {next(iter(self._cut.inputs)): x}
        feed = {
            name: shaped(np.asarray(value), self._cut.inputs[name]) if name in self._cut.inputs else value
            for name, value in x.items()
        }
        return {**self._cut.encode(feed), **self._cut.still(feed)}
