"""What can be asked of a model that TensorFlow made: its variables, dtype and device, and how it wants to be called."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import tensorflow as tf

from pyig.backends.arguments import ends_in_probabilities, made_by, spread


class Model:
    """A Keras or tf-keras model or layer, a `tf.function`, a `tf.Module`, a restored object, or a plain function."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._owner = owner(model)
        self._keras = bool(made_by(model) & {"keras", "tf_keras"})
        self._signature = _signature(model.call if self._keras else model)

    def __call__(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call in inference mode: a Keras model takes its structure whole, a function the way its signature fits."""
        args, keywords = spread(self._signature, self._keras, x, kwargs)
        return self._model(*args, **keywords)

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
        return ends_in_probabilities(self._model)

    def _declared(self) -> list[Any]:
        if self._keras or self._signature is None:
            return []
        specs = tf.nest.flatten([parameter.annotation for parameter in self._signature.parameters.values()])
        specs += tf.nest.flatten(getattr(self._model, "input_signature", None) or ())
        return [spec for spec in specs if isinstance(spec, tf.TensorSpec)]


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
