"""Floats beside ids in Keras: functional, subclassed, one table for two inputs; against integrals written by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyig

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="these models are TensorFlow's")

N, T = 3, 4
RNG = np.random.default_rng(0)
IDS = RNG.integers(1, 20, (N, T))
OTHER = IDS[::-1].copy()
FLOATS = RNG.normal(size=(N, 5)).astype(np.float32)
SHOPS = np.array([1, 1, 0])
DAYS = np.array([1, 2, 0])


class Joined:
    """What all models do with what their tables give."""

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        keras.utils.set_random_seed(1)
        self.tables = [keras.layers.Embedding(*size, embeddings_initializer="normal") for size in sizes]
        self.flat, self.join = keras.layers.Flatten(), keras.layers.Concatenate()
        self.hidden, self.last = keras.layers.Dense(7, activation="tanh"), keras.layers.Dense(3)

    def tail(self, *parts: Any) -> Any:
        return self.last(self.hidden(self.join([self.flat(part) for part in parts])) * 2.0)


def by_hand(tail: Callable[..., Any], stop: Sequence[Any], start: Sequence[Any]) -> list[Any]:
    """Return the attributions of the parts of a tail to output 1: 64 Gauss nodes, one after the other."""
    places, weights = np.polynomial.legendre.leggauss(64)
    totals = [np.zeros(part.shape) for part in stop]
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        points = [tf.constant(a + place * (b - a)) for a, b in zip(start, stop, strict=True)]
        with tf.GradientTape() as tape:
            tape.watch(points)
            out = tf.reduce_sum(tail(*points)[:, 1])
        for total, grad in zip(totals, tape.gradient(out, points), strict=True):
            total += weight * np.asarray(grad, np.float64)
    return [t * np.asarray(b - a) for t, a, b in zip(totals, start, stop, strict=True)]


def priced(subclassed: bool) -> tuple[Any, Any, list[Any]]:
    """A text, two columns of categories and numbers."""
    parts = Joined([(20, 6), (2, 3), (7, 3)])
    x = {"ids": IDS, "shop": SHOPS, "day": DAYS, "numbers": FLOATS}
    if subclassed:

        class Priced(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.held = [*parts.tables, parts.flat, parts.join, parts.hidden, parts.last]

            def call(self, given: Any) -> Any:
                names = ("ids", "shop", "day")
                found = [table(given[name]) for name, table in zip(names, parts.tables, strict=True)]
                return parts.tail(*found, given["numbers"])

        model = Priced()
        model(x)
    else:
        inputs = {name: keras.Input(leaf.shape[1:], dtype=str(leaf.dtype), name=name) for name, leaf in x.items()}
        found = [table(inputs[name]) for name, table in zip(inputs, parts.tables, strict=False)]
        model = keras.Model(inputs, parts.tail(*found, inputs["numbers"]))
    stop = [table(x[name]) for name, table in zip(x, parts.tables, strict=False)]
    start = [table(x[name] * 0) for name, table in zip(x, parts.tables, strict=False)]
    *phi, last = by_hand(parts.tail, [*stop, FLOATS], [*start, FLOATS * 0])
    return model, x, [*(part.sum(-1) for part in phi), last]


def towers(subclassed: bool) -> tuple[Any, Any, list[Any]]:
    """Two texts through one table."""
    parts = Joined([(20, 6)])
    (table,) = parts.tables
    if subclassed:

        class Towers(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.held = [table, parts.flat, parts.join, parts.hidden, parts.last]

            def call(self, given: Any) -> Any:
                return parts.tail(table(given[0]), table(given[1]))

        model = Towers()
        model([IDS, OTHER])
    else:
        inputs = [keras.Input((T,), dtype="int64", name=name) for name in ("question", "answer")]
        model = keras.Model(inputs, parts.tail(table(inputs[0]), table(inputs[1])))
    stop, start = [table(IDS), table(OTHER)], [table(IDS * 0), table(IDS * 0)]
    return model, [IDS, OTHER], [part.sum(-1) for part in by_hand(parts.tail, stop, start)]


@pytest.mark.parametrize("subclassed", [False, True])
@pytest.mark.parametrize("case", [priced, towers])
def test_one_path_for_all_against_the_integral_by_hand(case: Callable[..., Any], subclassed: bool) -> None:
    model, x, wanted = case(subclassed)
    ig = pyig.IntegratedGradients(model)
    found = ig.explain(x, target=1, n_steps=32)
    leaves, _ = pyig.tree.flatten(found.attributions)
    for leaf, expected in zip(leaves, wanted, strict=True):
        np.testing.assert_allclose(leaf, expected, atol=1e-5)
    total = sum(leaf.reshape(N, -1).sum(1) for leaf in leaves)
    np.testing.assert_allclose(total, found.values - found.baseline_values, atol=1e-5)
    assert np.abs(total).max() > 0.01
    native = ig.attribute(pyig.tree.tree_map(tf.constant, x), target=1, n_steps=32, batch_size=2)
    for leaf, expected in zip(pyig.tree.flatten(native)[0], leaves, strict=True):
        np.testing.assert_allclose(np.asarray(leaf), expected, atol=1e-6)
    for row in range(N):
        one = pyig.tree.tree_map(lambda leaf, row=row: leaf[row : row + 1], x)
        for fresh in (ig, pyig.IntegratedGradients(model)):
            alone, _ = pyig.tree.flatten(fresh.explain(one, target=1, n_steps=32).attributions)
            for leaf, expected in zip(alone, leaves, strict=True):
                np.testing.assert_allclose(leaf[0], expected[row], atol=1e-6)
    assert not any("call" in layer.__dict__ for layer in model._flatten_layers())


def test_masks_that_a_table_makes_are_those_of_the_text() -> None:
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((T,), dtype="int64"), keras.Input((5,))]
    words = keras.layers.Embedding(20, 6, mask_zero=True)(inputs[0])
    read = keras.layers.LSTM(4)(words)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([read, inputs[1]])))
    padded = IDS * np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    found = pyig.IntegratedGradients(model).explain([padded, FLOATS], target=1, n_steps=32)
    text, numbers = found.attributions
    assert (text[padded == 0] == 0).all()
    assert (np.abs(text[padded != 0]) > 0).all()
    np.testing.assert_allclose(text.sum(1) + numbers.sum(1), found.values - found.baseline_values, atol=1e-5)
    short = keras.Model(inputs, model.outputs)
    np.testing.assert_allclose(found.values, short([padded, FLOATS])[:, 1], atol=1e-6)


def test_later_calls_are_of_other_data() -> None:
    """What was traced for one call serves the next, with the next one's ids."""
    model, x, wanted = priced(False)
    ig = pyig.IntegratedGradients(model)
    for _ in range(3):
        ig.explain(pyig.tree.tree_map(lambda leaf: leaf[::-1].copy(), x), target=1, n_steps=32)
        found = ig.explain(x, target=1, n_steps=32)
        for leaf, expected in zip(found.attributions.values(), wanted, strict=True):
            np.testing.assert_allclose(leaf, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_ids_of_any_dtype(dtype: str) -> None:
    """Keras takes floats for ids; they are ids all the same."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Embedding(20, 6), keras.layers.LSTM(4), keras.layers.Dense(2)])
    model(IDS)
    found = pyig.IntegratedGradients(model).explain(IDS.astype(dtype), target=1, n_steps=32)
    wanted = pyig.IntegratedGradients(model).explain(IDS, target=1, n_steps=32, layer=model.layers[0])
    np.testing.assert_allclose(found.attributions, wanted.attributions.sum(-1), atol=1e-6)
    assert any("floats of the input are looked up" in note for note in found.meta["notes"]) == (dtype == "float32")


def test_categories_that_are_looked_up_twice() -> None:
    """First their index in a vocabulary, then its vector."""
    keras.utils.set_random_seed(0)
    kind, numbers = keras.Input((1,), dtype="int64", name="kind"), keras.Input((5,), name="numbers")
    index = keras.layers.IntegerLookup(vocabulary=[3, 6, 7])(kind)
    vector = keras.layers.Flatten()(keras.layers.Embedding(5, 4)(index))
    hidden = keras.layers.Dense(8, activation="tanh")(keras.layers.Concatenate()([vector, numbers]))
    model = keras.Model({"kind": kind, "numbers": numbers}, keras.layers.Dense(1)(hidden))
    x = {"kind": np.array([[3], [7], [6]]), "numbers": FLOATS}
    found = pyig.IntegratedGradients(model).explain(x, {"kind": 3, "numbers": 0.0}, n_steps=32)
    assert found.attributions["kind"][0] == 0
    assert (found.attributions["kind"][1:] != 0).all()
    total = found.attributions["kind"].sum(1) + found.attributions["numbers"].sum(1)
    np.testing.assert_allclose(total, found.values - found.baseline_values, atol=1e-5)


@pytest.mark.parametrize("other", ["torch", "jax"])
def test_keras_on_another_backend(other: str) -> None:
    """Keras belongs to one backend per process."""
    pytest.importorskip(other)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("keras_ids.py"))],
        env=os.environ | {"KERAS_BACKEND": other},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == other
