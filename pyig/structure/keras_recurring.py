"""A function of tensors that runs eagerly at first, and as a graph when it keeps coming back.

An eager call of a small layer takes TensorFlow and Keras longer in Python than the layer takes in arithmetic. A trace
takes as long as about ten such calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pyig.structure.keras_check import close

_PATIENCE = 10


class Recurring:
    """Calls a function of rows; its graphs serve any number of them.

    A graph shows the Python of the day it was traced, so whoever keeps this compares it with the model now and then.

    Parameters
    ----------
    function : callable
        ``function(tensors) -> list of tensor``, without side effects.
    eager : bool
        Whether to leave it at eager calls.
    """

    def __init__(self, function: Callable[[Sequence[Any]], list[Any]], eager: bool) -> None:
        self._function, self._eager = function, eager
        self._calls: dict[Any, int] = {}
        self._graphs: dict[Any, Any] = {}

    def __call__(self, tensors: Sequence[Any]) -> list[Any]:
        """Return what the function returns."""
        key = tuple((tensor.dtype, tuple(tensor.shape[1:])) for tensor in tensors)
        graph = self._graphs.get(key)
        if graph is not None:
            return list(graph(*tensors))
        found = self._function(tensors)
        self._calls[key] = self._calls.get(key, 0) + 1
        if self._calls[key] == _PATIENCE and not self._eager:
            self._trace(key, tensors, found)
        return found

    def _trace(self, key: Any, tensors: Sequence[Any], wanted: list[Any]) -> None:
        specs = [tf.TensorSpec([None, *shape], dtype) for dtype, shape in key]
        try:
            traced = tf.function(lambda *given: self._function(given), input_signature=specs, autograph=False)
            graph = traced.get_concrete_function()
            if all(close(a, b) for a, b in zip(graph(*tensors), wanted, strict=True)):
                self._graphs[key] = graph
        except tf.errors.ResourceExhaustedError:
            raise
        except Exception:
            return  # what cannot be traced stays eager
