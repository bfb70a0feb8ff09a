"""Small Keras nets, the gradient through a backend, and the same gradient by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pyig.backends.tensorflow import TensorFlowBackend
from pyig.heads import TargetHead

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


@dataclass(frozen=True)
class Whole:
    """A Forward of one leaf that calls a backend's model."""

    backend: TensorFlowBackend

    def __call__(self, points: Any, fixed: Any) -> Any:
        return self.backend.call(points[0], {})


def net(*extra: Any, dtype: str = "float32", activation: str | None = None) -> Any:
    keras.utils.set_random_seed(1)
    hidden = layers.Dense(4, activation="tanh", dtype=dtype)
    return keras.Sequential(
        [
            layers.Input((3,), dtype=dtype.replace("mixed_bfloat16", "float32")),
            hidden,
            *extra,
            layers.Dense(2, dtype=dtype, activation=activation),
        ]
    )


def grads(backend: TensorFlowBackend, x: Any, target: int = 0, forward: Any = None) -> tuple[Any, Any]:
    points = [backend.asarray(x)]
    index = [tf.fill([len(x)], tf.constant(target, tf.int64))]
    values, found = backend.value_and_grad(forward or Whole(backend), points, [], TargetHead(), index)
    return values.numpy(), found[0].numpy()


def by_hand(model: Any, x: Any, target: int = 0) -> tuple[Any, Any]:
    points = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(points)
        column = model(points)[:, target]
    return column.numpy(), tape.gradient(column, points).numpy()
