"""A first metadata file from a Keras model, with the names that it has once it is exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyig.artifacts.metadata_build import Known, encoding
from pyig.artifacts.metadata_schema import Input, Metadata
from pyig.errors import InputError, unknown


def from_keras(model: Any, known: Known, output: str | None) -> Metadata:
    """Build metadata for a Sequential or Functional model; see `metadata_build.build`.

    ``model.export`` of Keras 3 names outputs ``output_0``, ``output_1``; tf-keras names them by their layers.
    """
    tensors = list(getattr(model, "inputs", None) or ())
    if not tensors:
        raise InputError(
            f"expected a Sequential or Functional model, which knows its inputs; got {type(model).__qualname__}. "
            "Export it, and build from the directory"
        )
    encoded = _encoded(model, tensors)
    inputs = tuple(_input(tensor, encoded.get(_name(tensor)), known) for tensor in tensors)
    outputs = _outputs(model)
    if output is not None and output not in outputs:
        raise unknown("output", output, outputs)
    if output is None and len(outputs) > 1:
        raise InputError(f"expected output= as one of {', '.join(outputs)}; got none")
    name = output or outputs[0]
    return Metadata(framework="tensorflow2", inputs=inputs, outputs=(known.output(name, output_tensor_name=name),))


def _input(tensor: Any, layer: tuple[str, int] | None, known: Known) -> Input:
    name, dtype = _name(tensor), _dtype(tensor)
    keys: dict[str, Any] = {"input_tensor_name": name, "input_tensor_dtype": dtype}
    if "float" in dtype:
        return known.input(name, **keys)
    keys["modality"] = "text" if dtype == "string" and len(tensor.shape) > 1 else "categorical"
    if layer is not None:
        keys |= {"encoded_tensor_name": layer[0], "encoding": encoding(len(tensor.shape), layer[1])}
    return known.input(name, **keys)


def _encoded(model: Any, tensors: list[Any]) -> Mapping[str, tuple[str, int]]:
    """Return the first layer behind each input whose output is of floats: its name, and the rank of its output."""
    behind: dict[int, set[str]] = {id(tensor): {_name(tensor)} for tensor in tensors}
    found: dict[str, tuple[str, int]] = {}
    for layer in model.layers:
        try:
            taken, made = _flat(layer.input), _flat(layer.output)
        except (AttributeError, ValueError, RuntimeError):  # a layer that is called several times has no one output
            continue
        own = {name for tensor in taken for name in behind.get(id(tensor), ())}
        for tensor in made:
            behind.setdefault(id(tensor), set()).update(own)
        if len(own) == 1 and "float" in _dtype(made[0]):
            found.setdefault(next(iter(own)), (str(layer.name), len(made[0].shape)))
    return found


def _outputs(model: Any) -> list[str]:
    structure = getattr(model, "output", None)
    if isinstance(structure, Mapping):
        return [str(name) for name in structure]
    if any(cls.__module__.partition(".")[0] == "tf_keras" for cls in type(model).__mro__):
        return [str(name) for name in model.output_names]
    return [f"output_{i}" for i in range(len(model.outputs))]


def _flat(structure: Any) -> list[Any]:
    if isinstance(structure, Mapping):
        return list(structure.values())
    return list(structure) if isinstance(structure, (list, tuple)) else [structure]


def _name(tensor: Any) -> str:
    return str(tensor.name).partition(":")[0]


def _dtype(tensor: Any) -> str:
    return str(getattr(tensor.dtype, "name", tensor.dtype))
