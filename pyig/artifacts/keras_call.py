"""How a Keras model takes its inputs and gives its outputs, by name; the same for Keras 3 and Keras 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyig.artifacts.signatures import Tensor
from pyig.errors import InputError, ModelError, unknown

_PROBABILITIES = ("softmax", "sigmoid")


class KerasCall:
    """Named inputs and outputs of a loaded model.

    Attributes
    ----------
    model : keras.Model
    inputs : dict of Tensor
        By the names of its input layers.
    outputs : tuple of str
        Names of its outputs; one empty name where nothing says them.
    """

    def __init__(self, model: Any, config: Mapping[str, Any]) -> None:
        self.model = model
        self._structure = _structure(model)
        tensors = list(getattr(model, "inputs", None) or [])
        if tensors:
            self.inputs = {name: _described(name, tensor) for name, tensor in zip(_names(model), tensors, strict=True)}
        else:
            self.inputs = _from_build(config)
        self.outputs = tuple(getattr(model, "output_names", None) or ("",))

    @property
    def output_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """Shapes of the outputs by name; empty where the model does not say them."""
        tensors = list(getattr(self.model, "outputs", None) or [])
        return dict(zip(self.outputs, (tuple(tensor.shape) for tensor in tensors), strict=False))

    def output_kind(self, name: str | None) -> str | None:
        """Return ``"probabilities"`` where the layer that gives an output ends in a softmax or sigmoid."""
        layers = {layer.name: layer for layer in getattr(self.model, "layers", [])}
        last = layers.get(name) if name is not None else next(reversed(layers.values()), None)
        kind = getattr(getattr(last, "activation", None), "__name__", None) or type(last).__name__.lower()
        alone = name is not None or len(self.outputs) == 1
        return "probabilities" if alone and kind in _PROBABILITIES else None

    def arranged(self, values: Mapping[str, Any]) -> Any:
        """Return values by input name in the structure that the model takes; inputs without a value are None."""
        if isinstance(self._structure, dict):
            return {key: values.get(name) for key, name in self._structure.items()}
        if isinstance(self._structure, list):
            return [values.get(name) for name in self._structure]
        return values.get(next(iter(self.inputs)))

    def leaf(self, name: str) -> str:
        """Return the name of an input's place in that structure."""
        if isinstance(self._structure, dict):
            return next(str(key) for key, own in self._structure.items() if own == name)
        return str(self._structure.index(name)) if isinstance(self._structure, list) else ""

    def output_of(self, name: str | None) -> str | int | None:
        """Return which of the model's outputs a name means, as `pyig.IntegratedGradients` takes it."""
        if name is None:
            if len(self.outputs) > 1:
                raise InputError(f"expected output= as one of {', '.join(self.outputs)}")
            return None
        if name not in self.outputs:
            raise unknown("output", name, self.outputs)
        if isinstance(getattr(self.model, "output", None), dict):
            return name
        return self.outputs.index(name) if len(self.outputs) > 1 else None

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs by name, in inference mode."""
        raw = self.model(self.arranged(values), training=False)
        if isinstance(raw, Mapping):
            return dict(raw)
        several = list(raw) if isinstance(raw, (list, tuple)) else [raw]
        names = self.outputs if len(self.outputs) == len(several) else [str(number) for number in range(len(several))]
        return dict(zip(names, several, strict=True))


def _structure(model: Any) -> Any:
    """Return names in place of tensors in the structure of the input: a dict, a list, or None for a lone one."""
    try:
        given = model.input
    except (AttributeError, ValueError, RuntimeError):
        return None
    names = _names(model)
    if isinstance(given, dict):
        order = {id(tensor): name for tensor, name in zip(model.inputs, names, strict=True)}
        return {key: order[id(tensor)] for key, tensor in given.items()}
    return names if isinstance(given, (list, tuple)) else None


def _names(model: Any) -> list[str]:
    found = []
    for number, tensor in enumerate(model.inputs):
        history = getattr(tensor, "_keras_history", None)
        layer = getattr(history, "operation", None) or getattr(history, "layer", None)
        found.append(str(getattr(layer, "name", None) or f"input_{number}"))
    return found


def _described(name: str, tensor: Any) -> Tensor:
    dtype = tensor.dtype if isinstance(tensor.dtype, str) else tensor.dtype.name
    return Tensor(name, name, dtype, tuple(tensor.shape))


def _from_build(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the input of a subclassed model, which only says the shape that it was built with."""
    shape = (config.get("build_config") or {}).get("input_shape")
    if not isinstance(shape, (list, tuple)) or not all(n is None or isinstance(n, int) for n in shape):
        raise ModelError(
            "expected a model that says what it takes; this one has a call of its own and several inputs, or was never "
            "built. Export it, model.export('directory'), which writes their names, and open the directory"
        )
    return {"x": Tensor("x", "x", "float32", tuple(shape))}
