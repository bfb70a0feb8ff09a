"""A Keras model with the ends of a few paths, as the prefix tests need it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras_prefixes import HOISTED, trained

from pyig import tree
from pyig.backends.tensorflow import TensorFlowBackend
from pyig.calling import InputForward
from pyig.heads import TargetHead
from pyig.structure import find_prefix
from pyig.structure.keras_record import record

CLOSE = {"float32": 1e-6, "float64": 1e-12}


@contextmanager
def floats(dtype: str) -> Iterator[None]:
    """Make this the dtype of Keras' inputs and layers for a while."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


class Case:
    """A model, how the engine calls it, and the ends of four paths."""

    def __init__(
        self, make: Any, shapes: Sequence[tuple[int, ...]] = ((6,),), moving: int = 1, train: bool = True
    ) -> None:
        keras.utils.set_random_seed(3)
        self.model = make()
        generator, dtype = np.random.default_rng(5), keras.config.floatx()
        symbols = getattr(self.model, "inputs", None) or [None] * len(shapes)
        leaves: list[Any] = []
        for symbol, shape in zip(symbols, shapes, strict=True):
            if symbol is not None and tf.as_dtype(symbol.dtype).is_integer:
                leaves.append(tf.constant(generator.integers(0, 9, size=(4, *shape))))
            else:
                leaves.append(tf.constant(generator.normal(size=(4, *shape)), dtype))
        x: Any = leaves[0] if len(leaves) == 1 else leaves
        if isinstance(getattr(self.model, "input", None), dict):
            x = dict(zip(self.model.input, leaves, strict=True))
        output = 1 if len(getattr(self.model, "outputs", None) or ()) > 1 else None
        self.backend = TensorFlowBackend(self.model)
        self.forward = InputForward(self.backend, tree.flatten(x)[1], tuple(range(moving)), output=output)
        self.points, self.fixed = leaves[:moving], leaves[moving:]
        self.starts = [tf.constant(0.1 * generator.normal(size=leaf.shape), leaf.dtype) for leaf in self.points]
        self.forward(self.points, self.fixed)
        if train and hasattr(self.model, "weights"):
            trained(self.model)

    def record(self) -> Any:
        return record(self.model, self.forward, self.points, self.fixed)

    def verify(self, prefix: Any) -> Any:
        return prefix.verified(self.forward, self.points, self.starts, self.fixed)

    def find(self, evaluations: float = 1e9, **options: Any) -> Any:
        given = (self.points, self.starts, self.fixed)
        return find_prefix(self.backend, self.model, self.forward, *given, evaluations, **options)

    def integral(self, forward: Any, points: Sequence[Any], starts: Sequence[Any]) -> list[Any]:
        """Return the mean gradients of one output per sample over five Gauss nodes."""
        nodes, weights = np.polynomial.legendre.leggauss(5)
        index, totals = [tf.range(4, dtype=tf.int64) % 3], [0.0] * len(points)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            here = [a + node * (b - a) for a, b in zip(starts, points, strict=True)]
            _, found = self.backend.value_and_grad(forward, here, self.fixed, TargetHead(), index)
            totals = [total + weight * gradient for total, gradient in zip(totals, found, strict=True)]
        return totals


def hoisted(name: str) -> Case:
    make, shapes, moving, _ = HOISTED[name]
    return Case(make, shapes, moving)


def wide() -> Any:
    return Case(lambda: keras.Sequential([layers.Input((200,)), layers.Dense(8, "gelu"), layers.Dense(3)]), ((200,),))


def gap(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    """Return the largest relative L1 distance of a sample, over all leaves."""
    pairs = [(np.asarray(a, float), np.asarray(b, float)) for a, b in zip(found, wanted, strict=True)]
    far = sum(np.abs(a - b).reshape(len(a), -1).sum(1) for a, b in pairs)
    size = sum(np.abs(b).reshape(len(b), -1).sum(1) for _, b in pairs)
    return float((far / size).max())
