"""The differentiable part of a first-generation package that holds a Keras model and keys its tensors by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyig.artifacts.package_template import behind, model_class, short
from pyig.errors import InputError

Table = Any


class KerasGraph:
    """A Keras model, cut at the tensors that the package takes gradients to.

    Parameters
    ----------
    package : object
        With ``model``, and by key ``differentiable_tensors`` or ``input_tensor_to_differentiable_layer_mapping``.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, package: Any) -> None:
        self._package, keras = package, package.model
        tensors = _tensors(package)
        inputs = list(keras.inputs)
        self._keys = {_name(tensor): key for key, tensor in tensors.items()}
        self._inputs = [_name(tensor) for tensor in inputs]
        known = dict(zip(self._inputs, inputs, strict=True))
        only = inputs[0] if len(inputs) == 1 else None

        def behind_key(key: Any, tensor: Any) -> Any:
            """Return the input that a tensor stands for, as far as its key tells."""
            return known.get(_name(key), only if only is not None else tensor)

        self._ranks = {_name(tensor): len(behind_key(key, tensor).shape) for key, tensor in tensors.items()}
        self._lone = len(inputs) == 1 and list(tensors.values()) == inputs
        if self._lone:  # as it is, so that its structure is seen
            self.model, self._front = keras, None
            return
        at_inputs = all(any(tensor is one for one in inputs) for tensor in tensors.values())
        back, names = (keras, self._inputs) if at_inputs else behind(keras, {_name(t): t for t in tensors.values()})
        self._front = None if at_inputs else model_class(keras)(inputs, list(tensors.values()))
        self.model = _Named(back, names)

    def encode(self, transformed: Table) -> tuple[Any, dict[str, Any], dict[str, int]]:
        """Return the tensors at the cut, and the inputs that bypass it."""
        given = self._feed(transformed)
        if self._lone:
            return given[self._inputs[0]], {"": self._keys[self._inputs[0]]}, {"": self._ranks[self._inputs[0]]}
        found = dict(given)
        if self._front is not None:
            made = self._front([given[name] for name in self._inputs], training=False)
            made = made if isinstance(made, (list, tuple)) else [made]
            found |= {name: np.asarray(value) for name, value in zip(self._keys, made, strict=True)}
        found = {name: found[name] for name in self.model.names}
        return (
            found,
            {name: self._keys.get(name, name) for name in found},
            {name: self._ranks.get(name, found[name].ndim) for name in found},
        )

    def held(self) -> tuple[str, ...]:
        """Name the inputs that no gradient is taken to."""
        return () if self._lone else tuple(name for name in self.model.names if name not in self._keys)

    def differentiable(self) -> dict[str, str]:
        """Return the tensor that gradients are taken to, by the name of the input."""
        return {_name(key): name for name, key in self._keys.items()}

    def _feed(self, transformed: Table) -> dict[str, Any]:
        inputs = list(self._package.model.inputs)
        if callable(getattr(self._package, "get_feed_dict", None)):
            fed = {_name(key): value for key, value in self._package.get_feed_dict(transformed).items()}
        elif len(inputs) == 1:
            fed = {self._inputs[0]: transformed.to_numpy()}
        else:
            fed = {name: np.array(transformed[name].tolist()) for name in self._inputs if name in transformed.columns}
        absent = [name for name in self._inputs if name not in fed]
        if absent:
            raise InputError(f"expected values for the inputs {', '.join(absent)}; got {', '.join(fed) or 'none'}")
        return {
            name: np.asarray(fed[name]).astype(str(tensor.dtype))
            for name, tensor in zip(self._inputs, inputs, strict=True)
        }


class _Named:
    """A Keras model of several tensors as a function of their names."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        self._model, self.names = model, names

    def __call__(self, **values: Any) -> Any:
        given = [values[name] for name in self.names]
        return self._model(given if len(given) > 1 else given[0], training=False)


def _tensors(package: Any) -> dict[Any, Any]:
    """Return the tensors to differentiate by the package's keys; layers may be named."""
    for attribute in ("differentiable_tensors", "input_tensor_to_differentiable_layer_mapping"):
        found = getattr(package, attribute, None)
        if found:
            named = {key: package.model.get_layer(t).output if isinstance(t, str) else t for key, t in found.items()}
            return named
    return {tensor: tensor for tensor in package.model.inputs}


def _name(tensor: Any) -> str:
    return tensor if isinstance(tensor, str) else short(tensor)
