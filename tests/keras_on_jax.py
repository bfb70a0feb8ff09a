"""Run by test_backend_jax.py in a process of its own: Keras 3 models on the jax backend, each checked and named."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras import layers

import pyig
from pyig.backends import choose

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
B = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)


def state(model: Any) -> list[Any]:
    return [np.array(variable.value) for variable in model.variables]


def unchanged(before: list[Any], model: Any) -> None:
    for a, b in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(a, b)


def midpoints(function: Any, x: Any, n: int = 400) -> Any:
    gradient = jax.jit(jax.grad(lambda x: function(x).sum()))
    return sum(np.asarray(gradient(x * (k + 0.5) / n)) for k in range(n)) / n * x


def sequential() -> None:
    parts = [layers.Input((3,)), layers.Dense(5, activation="tanh"), layers.BatchNormalization(), layers.Dropout(0.5)]
    model = keras.Sequential([*parts, layers.Dense(2, activation="softmax")])
    before = state(model)
    assert choose(model, [X]).name == "jax"
    ig = pyig.IntegratedGradients(model)
    found = ig.explain(X.astype(np.float64), target=1, rtol=1e-4)
    assert found.attributions.dtype == np.float32
    assert found.meta["output_kind"] == "probabilities"
    wanted = midpoints(lambda x: model(x, training=False)[:, 1], X)
    np.testing.assert_allclose(found.attributions, wanted, rtol=0, atol=2e-5)
    drawn = ig.explain(X, target=1, n_steps=4, forward_kwargs={"training": True})
    assert np.abs(drawn.attributions - found.attributions).max() > 1e-3
    unchanged(before, model)
    compiled = programs(ig).compiled
    model.set_weights([1.5 * np.array(w.value) for w in model.weights])
    again = ig.explain(X, target=1, rtol=1e-4, n_steps=None)
    wanted = midpoints(lambda x: model(x, training=False)[:, 1], X)
    np.testing.assert_allclose(again.attributions, wanted, rtol=0, atol=5e-5)
    assert programs(ig).compiled <= compiled + 1, "new weights, old programs"


def functional() -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    hidden = layers.Dense(4, activation="gelu")(layers.Concatenate()([a, b]))
    model = keras.Model({"a": a, "b": b}, layers.Dense(1)(hidden))
    found = pyig.IntegratedGradients(model).explain({"b": B, "a": X}, n_steps=50)
    total = sum(leaf.sum(1) for leaf in found.attributions.values())
    difference = model({"a": X, "b": B}) - model({"a": 0 * X, "b": 0 * B})
    np.testing.assert_allclose(total, difference[:, 0], rtol=0, atol=1e-3)
    assert set(found.attributions) == {"a", "b"}
    assert np.abs(found.deltas).max() < 1e-3


class Writer(keras.Model):
    """Counts its calls in a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)
        self.dense = layers.Dense(2)

    def call(self, x: Any, training: bool = False) -> Any:
        self.calls.assign_add(1.0)
        return jnp.tanh(self.dense(x)) + (100.0 if training else 0.0)


def subclassed() -> None:
    model = Writer()
    model(X)
    before = state(model)
    assert before[0] == 1 or before[-1] == 1
    found = pyig.IntegratedGradients(model).explain(X, target=0, n_steps=20)
    np.testing.assert_allclose(found.attributions.sum(1), found.values - found.baseline_values, rtol=0, atol=1e-4)
    assert np.abs(found.values).max() < 2
    unchanged(before, model)
    assert all(isinstance(v.value, jax.Array) and not isinstance(v.value, jax.core.Tracer) for v in model.variables)


def unbuilt() -> None:
    model = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    found = pyig.IntegratedGradients(model).explain(X, target=0, n_steps=5)
    assert model.built
    np.testing.assert_allclose(found.values, model(X)[:, 0], rtol=1e-5)


def layered() -> None:
    parts = [layers.Embedding(7, 4, name="emb"), layers.Flatten(), layers.Dense(8, activation="tanh"), layers.Dense(2)]
    model = keras.Sequential([layers.Input((5,), dtype="int32"), *parts])
    ids = np.array([[1, 2, 3, 4, 5], [0, 6, 1, 1, 6]])
    before = state(model)
    found = pyig.IntegratedGradients(model).explain(ids, target=0, layer="emb", n_steps=40)
    start, stop = np.asarray(parts[0](np.zeros((1, 5), int))), np.asarray(parts[0](ids))

    def rest(values: Any) -> Any:
        for part in parts[1:]:
            values = part(values)
        return values[:, 0]

    gradient = jax.jit(jax.grad(lambda values: rest(values).sum()))
    total = sum(np.asarray(gradient(start + (stop - start) * (k + 0.5) / 400)) for k in range(400)) / 400
    np.testing.assert_allclose(found.attributions, total * (stop - start), rtol=0, atol=1e-5)
    unchanged(before, model)


def method() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2)])
    found = pyig.IntegratedGradients(model.call).explain(X, target=0, n_steps=2)
    np.testing.assert_allclose(found.attributions, X * np.asarray(model.layers[0].kernel)[:, 0], rtol=1e-4, atol=1e-6)


def trained() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    ig = pyig.IntegratedGradients(model)
    first = ig.explain(X, n_steps=20)
    model.fit(X, X[:, :1], epochs=2, verbose=0)
    second = ig.explain(X, n_steps=20)
    np.testing.assert_allclose(second.values, model(X)[:, 0], rtol=1e-5)
    assert np.abs(first.values - second.values).max() > 1e-5
    compiled = programs(ig).compiled
    model.fit(X, X[:, :1], epochs=1, verbose=0)
    third = ig.explain(X, n_steps=20)
    np.testing.assert_allclose(third.values, model(X)[:, 0], rtol=1e-5)
    assert programs(ig).compiled == compiled
    traced = programs(ig).traced
    model.set_weights([2 * np.array(w.value) for w in model.weights])
    np.testing.assert_allclose(ig.explain(X, n_steps=20).values, model(X)[:, 0], rtol=1e-5)
    assert programs(ig).traced == traced, "new values of variables are seen without a trace"


def changed() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    ig = pyig.IntegratedGradients(model)
    for _ in range(2):  # a first call of the model itself leaves its mark on the layers
        ig.explain(X, n_steps=20)
    before = programs(ig).traced, programs(ig).compiled
    ig.explain(X, n_steps=20)
    assert (programs(ig).traced, programs(ig).compiled) == before
    model.layers[0].activation = keras.activations.softplus
    found = ig.explain(X, n_steps=20)
    np.testing.assert_allclose(found.values, model(X)[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found.attributions.sum(1), found.values - found.baseline_values, rtol=0, atol=1e-4)
    assert programs(ig).compiled == before[1] + 2

    scale = [1.0]  # code of the user's own may change without a sign
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2), layers.Activation(lambda x: x * scale[0])])
    ig = pyig.IntegratedGradients(model)
    first = ig.explain(X, target=0, n_steps=5)
    scale[0] = 2.0
    np.testing.assert_allclose(ig.explain(X, target=0, n_steps=5).values, 2 * first.values, rtol=1e-5)


def programs(ig: pyig.IntegratedGradients) -> Any:
    return ig.backend_for(X)._programs  # type: ignore[attr-defined]


keras.utils.set_random_seed(0)
for part in (sequential, functional, subclassed, unbuilt, layered, method, trained, changed):
    part()
    sys.stdout.write(f"{part.__name__}\n")
