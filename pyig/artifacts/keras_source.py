"""A loaded Keras model as an artifact's source: explained whole, or from the output of a layer on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.keras_call import KerasCall
from pyig.artifacts.signatures import Signature, Tensor
from pyig.errors import InputError, ModelError, PyigError
from pyig.explainer import IntegratedGradients

_BLOCK = 1024  # rows of one forward


class WholePart:
    """The whole model, whose float inputs are explained: the face of `pyig.artifacts.named.Part`."""

    behind: frozenset[str] = frozenset()

    def __init__(self, call: KerasCall, output: str | None, notes: tuple[str, ...]) -> None:
        self._call = call
        self.notes = notes
        self.output_kind = call.output_kind(output)
        self.encoded: Mapping[str, Tensor] = {name: place for name, place in call.inputs.items() if place.floating}
        self._explainer = IntegratedGradients(call.model, output=call.output_of(output))

    def explainer(self) -> IntegratedGradients:
        """Return the explainer; it keeps what it compiled."""
        return self._explainer

    def ends(self, arrays: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the inputs in the model's structure."""
        return self._call.arranged(typed(arrays, self._call.inputs)), {}

    def arranged(self, values: Mapping[str, Any]) -> Any:
        """Return values in the model's structure."""
        return self._call.arranged(values)

    def encode_one(self, name: str, value: Any) -> Any:
        """Return the value as it is."""
        return value if isinstance(value, (str, int, float)) or callable(value) else np.asarray(value)

    def leaf(self, name: str) -> str:
        """Return the name of an input's place in the structure."""
        return self._call.leaf(name)


class KerasSource:
    """The face of `pyig.artifacts.named.Source` for a loaded Keras model.

    Parameters
    ----------
    call : KerasCall
    about : dict
        What `describe` says of the file.
    layer : str, optional
        The layer whose output stands for the input in front of it: an Embedding.
    encoded : dict of str, optional
        Layers or tensors by input name, where there are several.
    output : str, optional
        Which output, where there are several.
    notes : tuple of str
        What to know of how the file was read.
    """

    defaults: Mapping[str, Any] = {}

    def __init__(
        self,
        call: KerasCall,
        about: Mapping[str, Any],
        layer: str | None = None,
        encoded: Mapping[str, str] | None = None,
        output: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.inputs = call.inputs
        self._call = call
        self._about = dict(about)
        self._layer = layer
        self._encoded = encoded or {}
        self._output = output
        self._notes = notes

    @property
    def output_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the output that is explained, where the model says it."""
        shapes = self._call.output_shapes
        if self._output is not None:
            return shapes.get(self._output)
        return next(iter(shapes.values())) if len(shapes) == 1 else None

    @property
    def output_name(self) -> str:
        """Name of the output that is explained; of all while several could be."""
        return self._output or ", ".join(self._call.outputs) or "output"

    def predict(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the output that is explained, some rows at a time."""
        given = typed(arrays, self.inputs)
        rows = len(next(iter(given.values())))
        name = self._call.outputs[0] if self._output is None and self._call.output_of(None) is None else self._output
        parts = []
        for first in range(0, rows, _BLOCK):
            found = _called(self._call, {name: values[first : first + _BLOCK] for name, values in given.items()})
            parts.append(_numpy(found[name] if name in found else next(iter(found.values()))))
        return np.concatenate(parts)

    def part(self) -> Any:
        """Return what is explained: from the layers that were named, else from the float inputs on."""
        return self._part

    @cached_property
    def _part(self) -> Any:
        if self._layer is not None or self._encoded:
            return self._cut()
        if not any(place.floating for place in self.inputs.values()):
            kinds = ", ".join(map(str, self.inputs.values()))
            raise ModelError(
                f"expected an input of floats; the model takes {kinds}. Name the layer whose output stands for it: "
                f"layer={self._embedding()!r}"
            )
        if any(place.dtype == "string" for place in self.inputs.values()):
            return self._cut()
        return WholePart(self._call, self._output, self._notes)

    def _cut(self) -> Any:
        from pyig.artifacts.cut_part import CutPart
        from pyig.artifacts.saved_model_cutting import Cutting

        graph, signature = self._traced
        aliases = {name: tensor.tensor_name for name, tensor in (*signature.inputs.items(), *signature.outputs.items())}
        encoded = self._encoded if not isinstance(self._encoded, Mapping) else dict(self._encoded)
        if self._layer is not None:
            encoded[self._in_front(graph, signature, self._layer)] = self._layer
        output = self._output if self._output is not None else next(iter(signature.outputs))
        if self._output is None and len(signature.outputs) > 1:
            self._call.output_of(None)
        cut = Cutting(graph, signature, None, aliases, self._call).cut(encoded, output)
        return CutPart(replace(cut, notes=(*self._notes, *cut.notes)))

    @cached_property
    def _traced(self) -> tuple[Any, Signature]:
        """Return the model as one graph, whose tensors carry the names of the layers."""
        from pyig.artifacts.keras_trace import trace

        return trace(self._call)

    def _in_front(self, graph: Any, signature: Signature, layer: str) -> str:
        """Return the one input without floats that a layer's output depends on, or the one with floats."""
        from pyig.artifacts.tensor_names import find

        ends = [tensor.tensor_name for tensor in signature.outputs.values()]
        sources = {tensor.tensor_name: name for name, tensor in signature.inputs.items()}
        way = list(dict.fromkeys(name for end in ends for name in graph.between(list(sources), end)))
        full = find(layer, way, {}, lambda scope: graph.leaving(scope, way), "layer")
        depends = [name for tensor, name in sources.items() if tensor in graph.reached([full])]
        chosen = [name for name in depends if not self.inputs[name].floating] or depends
        if len(chosen) != 1:
            raise InputError(
                f"expected a layer behind one input; {layer!r} is behind {', '.join(depends) or 'none'}. Name the "
                f"input that it stands for: encoded={{{(depends or list(self.inputs))[0]!r}: {layer!r}}}"
            )
        return chosen[0]

    def _embedding(self) -> str:
        layers = getattr(self._call.model, "layers", [])
        return next((layer.name for layer in layers if "Embedding" in type(layer).__name__), "an Embedding")

    def describe(self) -> dict[str, Any]:
        """Return inputs, outputs, layers and what is differentiable."""
        about = dict(self._about)
        about["inputs"] = {name: tensor.data() for name, tensor in self.inputs.items()}
        about["outputs_of_the_model"] = [name for name in self._call.outputs if name]
        layers = getattr(self._call.model, "layers", [])
        about["layers"] = [{"name": layer.name, "class": type(layer).__name__} for layer in layers]
        try:
            part = self.part()
            about["explained"] = {name: tensor.data() for name, tensor in part.encoded.items()}
            about["fixed"] = [name for name in self.inputs if name not in part.encoded]
            about["notes"] = list(part.notes)
        except PyigError as error:
            about |= {"explained": None, "notes": [str(error)]}
        try:
            graph, signature = self._traced
            sources = [tensor.tensor_name for tensor in signature.inputs.values()]
            found = {n for out in signature.outputs.values() for n in graph.between(sources, out.tensor_name)}
            about["differentiable"] = [name for name in graph.by_name if name in found]
        except PyigError:
            about["differentiable"] = None
        return about


def typed(arrays: Mapping[str, Any], inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return arrays in the dtypes of the inputs.

    Raises
    ------
    InputError
        For text where numbers are expected, and fractions where whole numbers are.
    """
    found = {}
    for name, values in arrays.items():
        place, array = inputs[name], np.asarray(values)
        if place.dtype == "string":
            found[name] = array.astype(object)
            continue
        if array.dtype.kind not in "fiub":
            raise InputError(f"expected numbers for {place}; got {array.dtype}")
        if (
            not place.floating
            and place.dtype != "bool"
            and array.dtype.kind == "f"
            and (array != np.floor(array)).any()
        ):
            raise InputError(f"expected whole numbers for {place}; got {array.dtype} with fractions")
        narrow = "float32" if place.dtype in ("float16", "bfloat16") else place.dtype
        found[name] = array.astype(narrow)
    return found


def _called(call: KerasCall, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return call(values)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:  # of a layer, whatever it finds wrong
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"expected rows that the model can take; it raised {type(error).__name__}: {said}") from error


def _numpy(tensor: Any) -> NDArray[Any]:
    detached = tensor.detach().cpu() if hasattr(tensor, "detach") else tensor
    return np.asarray(detached)
