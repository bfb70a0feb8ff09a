"""What can be asked of a model that TensorFlow made: its variables, dtype and device, and how it wants to be called."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tensorflow as tf

_PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "Softmax")


class Model:
    """A Keras or tf-keras model or layer, a `tf.function`, a `tf.Module`, a restored object, or a plain function."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._owner = owner(model)
        self._keras = bool(made_by(model) & {"keras", "tf_keras"})
        self._signature = _signature(model.call if self._keras else model)

    def __call__(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call in inference mode: a Keras model takes its structure whole, a function the way its signature fits."""
        parameters = {} if self._signature is None else self._signature.parameters
        if self._keras or "training" in parameters:
            kwargs = {"training": False, **kwargs}
        if isinstance(x, dict) and self._fits((), {**x, **kwargs}):
            return self._model(**x, **kwargs)
        if isinstance(x, (list, tuple)) and self._fits(x, kwargs):
            return self._model(*x, **kwargs)
        return self._model(x, **kwargs)

    def variables(self) -> list[Any]:
        """Return the variables; a Keras 3 variable wraps TensorFlow's own, the one that a write changes."""
        found = getattr(self._owner, "variables", ())
        return [] if callable(found) else [v if isinstance(v, tf.Variable) else v.value for v in found]

    def placed(self) -> AbstractContextManager[Any]:
        """Work on the device of the variables where that is not the default one, which needs no saying."""
        devices = {variable.device for variable in self.variables() if variable.dtype.is_floating}
        elsewhere = len(devices) == 1 and tf.zeros(()).device not in devices
        scope: AbstractContextManager[Any] = tf.device(devices.pop()) if elsewhere else nullcontext()
        return scope

    def dtype(self) -> Any:
        """Return the first floating dtype among the declared inputs, the variables, and Keras' policy."""
        declared = [*(getattr(self._owner, "inputs", None) or ()), *self._declared()]
        policy = [self._owner] if self._keras else []
        for known in (*declared, *self.variables(), *policy):
            dtype = tf.as_dtype(known.dtype)
            if dtype.is_floating:
                return dtype
        return None

    def runs_eagerly(self) -> bool:
        """Tell whether the user asked for eager execution, for all functions or for this model."""
        return bool(tf.config.functions_run_eagerly() or getattr(self._owner, "run_eagerly", False))

    def gives_probabilities(self) -> bool | None:
        """Look at the activation of the last layer of a Sequential or Functional model."""
        last = self._model
        while getattr(last, "layers", None):
            outputs, end = getattr(last, "outputs", None), last.layers[-1]
            if not outputs or len(outputs) != 1 or not _ends_in(end, outputs[0]):
                return None
            last = end
        if last is self._model:
            return None
        if type(last).__name__ in _PROBABILITIES:
            return True
        activation = getattr(getattr(last, "activation", None), "__name__", None)
        return None if activation is None else activation in _PROBABILITIES

    def _declared(self) -> list[Any]:
        if self._keras or self._signature is None:
            return []
        specs = tf.nest.flatten([parameter.annotation for parameter in self._signature.parameters.values()])
        specs += tf.nest.flatten(getattr(self._model, "input_signature", None) or ())
        return [spec for spec in specs if isinstance(spec, tf.TensorSpec)]

    def _fits(self, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Tell whether a structure spreads over the parameters; one parameter for everything means it stays whole."""
        if self._signature is None:
            return True
        if self._keras:  # takes one structure, unless call() asks for several arguments; takes `training` in any case
            known = self._signature.parameters
            if sum(p.default is p.empty and p.kind < p.VAR_POSITIONAL for p in known.values()) < 2:
                return False
            kwargs = {name: value for name, value in kwargs.items() if name in known}
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError:
            return False
        return True


def made_by(thing: object) -> set[str]:
    """Return the packages whose classes an object is made of; a Keras 3 layer inherits from its backend's framework."""
    return {cls.__module__.partition(".")[0] for cls in type(thing).__mro__}


def owner(model: Any) -> Any:
    """Return the object behind a bound method or a `tf.function`, where it has the variables."""
    function = getattr(model, "python_function", model)
    found = getattr(function, "__self__", function)
    return found if hasattr(found, "variables") else model


def _signature(model: Any) -> inspect.Signature | None:
    for function in (model, getattr(model, "__call__", None)):  # noqa: B004 - not a test: the tf.function in an object
        known = getattr(function, "function_type", None)
        if isinstance(known, inspect.Signature):
            return known
    try:
        return inspect.signature(model)
    except (TypeError, ValueError):
        return None


def _ends_in(layer: Any, output: Any) -> bool:
    try:
        return layer.output is output
    except (AttributeError, ValueError, RuntimeError):  # a layer that was called several times has no one output
        return False
