"""Keras models to cut, as graphs and as Python programs, and the integral taken by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import pyig

RNG = np.random.default_rng(5)
X = RNG.normal(size=(5, 4)).astype(np.float32)
START = RNG.normal(size=(1, 4)).astype(np.float32)
IDS = RNG.integers(1, 9, size=(5, 6))
IDS[:, 4:] = 0


def skip() -> Any:
    """first -> second, whose sum with first goes on; an operation, a nested model, and silu's own gradient."""
    keras.utils.set_random_seed(2)
    inner_in = keras.Input((4,))
    inner = keras.Model(
        inner_in,
        layers.Dense(3, name="conv")(layers.Dense(4, activation="silu", name="pre")(inner_in)) + 1.0,
        name="block",
    )
    x = keras.Input((4,), name="x")
    first = layers.Dense(4, activation="tanh", name="first")(x)
    second = layers.Dense(4, name="second")(first)
    return keras.Model(
        x, layers.Dense(2, activation="tanh", name="last")(inner(layers.Add(name="sum")([first, second]) * 2.0))
    )


class Program(keras.Model):
    """The same kind of net as a Python program, with an output that is a dict and a call with more arguments."""

    def __init__(self) -> None:
        super().__init__()
        keras.utils.set_random_seed(2)
        self.one, self.two = layers.Dense(4, activation="tanh"), layers.Dense(4)
        self.three, self.last = layers.Dense(4, activation="silu"), layers.Dense(2, activation="tanh")

    def call(self, x: Any, scale: Any = 1.0, factor: float = 1.0) -> Any:
        first = self.one(x)
        hidden = self.two(tf.square(first) * 0.5)
        return {"logits": self.last(self.three(hidden) * scale + first * factor), "hidden": hidden}


def tokens() -> Any:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            layers.Input((6,), dtype="int32"),
            layers.Embedding(9, 3, mask_zero=True, name="embedding"),
            layers.LSTM(4, return_sequences=True, name="lstm"),
            layers.LSTM(4, name="rest"),
            layers.Dense(2),
        ]
    )


class TokenProgram(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        keras.utils.set_random_seed(2)
        self.embedding, self.lstm = layers.Embedding(9, 3, mask_zero=True), layers.LSTM(4, return_sequences=True)
        self.rest, self.last = layers.LSTM(4), layers.Dense(2)

    def call(self, ids: Any) -> Any:
        return self.last(self.rest(self.lstm(self.embedding(ids))))


def explain(model: Any, x: Any, layer: Any, backend: str | None = None, **options: Any) -> pyig.Explanation:
    return pyig.IntegratedGradients(model, backend=backend).explain(
        x, target=1, layer=layer, n_steps=32, batch_size=50, **options
    )


def reference(head: Callable[[Any], Any], tail: Callable[[Any, Any], Any], x: Any, start: Any) -> list[Any]:
    """Integrate by hand between head(start) and head(x); what bypasses the layer is held at x."""
    ends = [[tf.cast(leaf, tf.float64) for leaf in tf.nest.flatten(head(tf.constant(side)))] for side in (start, x)]
    nodes, weights = np.polynomial.legendre.leggauss(32)
    total: list[Any] = [0.0] * len(ends[0])
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        points = [tf.cast(a + node * (b - a), tf.float32) for a, b in zip(*ends, strict=True)]
        with tf.GradientTape() as tape:
            tape.watch(points)
            column = tail(points[0] if len(points) == 1 else points, tf.constant(x))[:, 1]
        for i, grad in enumerate(tape.gradient(column, points)):
            total[i] += weight * grad.numpy()
    return [t * (b - a).numpy() for t, a, b in zip(total, *ends, strict=True)]
