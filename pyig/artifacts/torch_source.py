"""A torch module as an artifact's source: named inputs, one of them perhaps explained at a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyig.artifacts.keras_source import typed
from pyig.artifacts.signatures import Tensor
from pyig.calling import select_output
from pyig.errors import ModelError, PyigError
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation

_BLOCK = 1024  # rows of one forward


class TorchPart:
    """What is explained of a module: its float inputs, or a layer that stands for an input of integers."""

    output_kind: str | None = None  # the backend sees it by itself

    def __init__(self, module: Any, inputs: Mapping[str, Tensor], layer: str | None, output: str | int | None) -> None:
        self._inputs = dict(inputs)
        self._layer = layer
        self._explainer = IntegratedGradients(module, output=output)
        self.notes: tuple[str, ...] = ()
        floats = {name: place for name, place in inputs.items() if place.floating}
        whole = [name for name in inputs if name not in floats]
        if layer is None:
            self.encoded: Mapping[str, Tensor] = floats
            self.behind: frozenset[str] = frozenset()
            if not floats:
                raise ModelError(
                    f"expected an input of floats; the model takes {', '.join(map(str, inputs.values()))}. Name the "
                    "layer whose output stands for it: layer='embedding'"
                )
            return
        if len(whole) > 1 or (not whole and len(inputs) > 1):
            takes = ", ".join(map(str, inputs.values()))
            raise ModelError(
                f"expected layer= with one input of whole numbers that it stands for; the model takes {takes}. Say of "
                "each what it holds: inputs={'ids': 'int64', 'price': 'float32'}"
            )
        name = (whole or list(inputs))[0]
        self.encoded = {name: Tensor(name, layer, "float32", None)}
        self.behind = frozenset([name])

    def explainer(self) -> Any:
        """Return the explainer; it keeps what it has learnt."""
        return self if self._layer is not None else self._explainer

    def explain(self, x: Any, baselines: Any, target: Any, **options: Any) -> Explanation:
        """Explain at the layer, for the one input that it stands for."""
        return self._explainer.explain(x, baselines, target, layer=self._layer, **options)

    def ends(self, arrays: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the inputs as the module takes them: one alone, or several in order."""
        return self.arranged(typed(arrays, self._inputs)), {}

    def arranged(self, values: Mapping[str, Any]) -> Any:
        """Return values by input name in that order; what is missing is None, which is zero for a baseline."""
        if self._layer is not None and not set(self._inputs) <= set(values):
            return next(iter(values.values()), None)
        several = tuple(values.get(name) for name in self._inputs)
        return several if len(several) > 1 else several[0]

    def encode_one(self, name: str, value: Any) -> Any:
        """Return the value as it is."""
        return value if isinstance(value, (str, int, float)) or callable(value) else np.asarray(value)

    def leaf(self, name: str) -> str:
        """Return the name of an input's place among several."""
        if self._layer is not None:
            return "" if name in self.encoded else name
        return str(list(self._inputs).index(name)) if len(self._inputs) > 1 else ""


class TorchSource:
    """The face of `pyig.artifacts.named.Source` for a torch module.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode; takes its inputs in order.
    inputs : dict of Tensor
    about : dict
        What `describe` says of the file.
    layer : str, optional
        Name of the submodule whose output stands for an input of integers.
    output : str or int, optional
        Which output, where there are several.
    """

    defaults: Mapping[str, Any] = {}

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: Mapping[str, Tensor],
        about: Mapping[str, Any],
        layer: str | None = None,
        output: str | int | None = None,
    ) -> None:
        self.module = module
        self.inputs = dict(inputs)
        self._about = dict(about)
        self._layer, self._output = layer, output

    @property
    def output_name(self) -> str:
        """Name of the output that is explained."""
        return "output" if self._output is None else str(self._output)

    @cached_property
    def output_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the output, from two rows of zeros; None where the inputs' shapes are not known or do not serve."""
        shapes = {name: place.shape for name, place in self.inputs.items()}
        if any(shape is None or None in shape[1:] for shape in shapes.values()):
            return None
        try:
            found = self.predict({name: np.zeros((2, *shape[1:])) for name, shape in shapes.items() if shape})
        except Exception:  # only a name depends on it; the user's own rows will say what is wrong
            return None
        return (None, *found.shape[1:])

    def predict(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the output that is explained, some rows at a time."""
        given = typed(arrays, self.inputs)
        backend = self._explainer.backend_for(torch.zeros(1))
        rows = len(next(iter(given.values())))
        parts = []
        with backend.session(), torch.no_grad():
            for first in range(0, rows, _BLOCK):
                tensors = [backend.asarray(given[name][first : first + _BLOCK]) for name in self.inputs]
                raw = backend.call(tuple(tensors) if len(tensors) > 1 else tensors[0], {})
                parts.append(backend.to_numpy(select_output(raw, self._output, backend)))
        return np.concatenate([part.reshape(-1) if part.ndim == 0 else part for part in parts])

    @cached_property
    def _explainer(self) -> IntegratedGradients:
        return IntegratedGradients(self.module, output=self._output)

    def part(self) -> TorchPart:
        """Return what is explained."""
        return self._part

    @cached_property
    def _part(self) -> TorchPart:
        return TorchPart(self.module, self.inputs, self._layer, self._output)

    def describe(self) -> dict[str, Any]:
        """Return inputs, layers, the number of parameters and what is differentiable."""
        about = dict(self._about)
        about["inputs"] = {name: place.data() for name, place in self.inputs.items()}
        about["parameters"] = sum(parameter.numel() for parameter in self.module.parameters())
        about["layers"] = [
            {"name": name, "class": str(getattr(module, "original_name", type(module).__name__))}
            for name, module in self.module.named_modules()
            if name
        ]
        try:
            part = self.part()
        except PyigError as error:
            return about | {"explained": None, "differentiable": [], "notes": [str(error)]}
        about["explained"] = {name: place.data() for name, place in part.encoded.items()}
        about["fixed"] = [name for name in self.inputs if name not in part.encoded]
        about["differentiable"] = [name for name, place in self.inputs.items() if place.floating]
        return about | {"notes": list(part.notes)}


def first_width(module: torch.nn.Module) -> tuple[int | None, ...] | None:
    """Return the input shape that the first layer with weights suggests; None where it suggests none."""
    for layer in module.modules():
        weight = dict(layer.named_parameters(recurse=False)).get("weight")
        if weight is None:
            continue
        kind = str(getattr(layer, "original_name", type(layer).__name__))
        if kind in ("Linear", "LazyLinear") and weight.ndim == 2:
            return (None, int(weight.shape[1]))
        return (None, int(weight.shape[0])) if kind == "BatchNorm1d" else None
    return None


def declared(names: Sequence[str], given: Any, shape: tuple[int | None, ...] | None = None) -> dict[str, Tensor]:
    """Return the inputs of a module by name.

    Parameters
    ----------
    names : sequence of str
        Names of the parameters of its forward.
    given : None, sequence of str, or dict
        What the user says: names, or dtypes by name, or ``(dtype, shape)`` by name.
    shape : tuple, optional
        Of a lone input that the user says nothing of.
    """
    if given is None:
        given = dict.fromkeys(names)
    table = given if isinstance(given, Mapping) else dict.fromkeys([given] if isinstance(given, str) else given)
    found = {}
    for name, said in table.items():
        dtype, own = said if isinstance(said, (tuple, list)) else (said, None)
        own = (None, *own) if own is not None else shape if len(table) == 1 and dtype in (None, "float32") else None
        found[str(name)] = Tensor(str(name), str(name), str(dtype or "float32").removeprefix("torch."), own)
    return found
