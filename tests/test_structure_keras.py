"""Keras models cut at a layer give the numbers of the integral taken by hand between the layer's values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras_cuts import IDS, RNG, START, Program, TokenProgram, X, explain, reference, skip, tokens

import pyig
from pyig.errors import InputTypeError


def skip_cases(m: Any) -> dict[tuple[str, bool], tuple[Any, Any]]:
    """Return what lies before and behind each layer of `skip`, for its outputs and for its inputs (True)."""
    part = {layer.name: layer for layer in (*m.layers, *m.get_layer("block").layers)}
    first, second, last, pre, conv = (part[name] for name in ("first", "second", "last", "pre", "conv"))

    def total(x: Any) -> Any:
        return first(x) + second(first(x))

    def block(v: Any) -> Any:
        return conv(pre(v)) + 1.0

    return {
        ("first", False): (first, lambda v, x: last(block((v + second(v)) * 2.0))),
        ("first", True): (tf.identity, lambda v, x: m(v)),
        ("second", False): (lambda x: second(first(x)), lambda v, x: last(block((first(x) + v) * 2.0))),
        ("second", True): (first, lambda v, x: last(block((first(x) + second(v)) * 2.0))),
        ("sum", False): (total, lambda v, x: last(block(v * 2.0))),
        ("sum", True): (lambda x: [first(x), second(first(x))], lambda v, x: last(block((v[0] + v[1]) * 2.0))),
        ("block", False): (lambda x: block(total(x) * 2.0), lambda v, x: last(v)),
        ("block", True): (lambda x: total(x) * 2.0, lambda v, x: last(block(v))),
        ("block/pre", False): (lambda x: pre(total(x) * 2.0), lambda v, x: last(conv(v) + 1.0)),
        ("block/conv", True): (lambda x: pre(total(x) * 2.0), lambda v, x: last(conv(v) + 1.0)),
        ("last", True): (lambda x: block(total(x) * 2.0), lambda v, x: last(v)),
    }


@pytest.mark.parametrize("case", list(skip_cases(skip())))
def test_a_functional_model_is_cut(case: tuple[str, bool]) -> None:
    model = skip()
    head, tail = skip_cases(model)[case]
    name, to_inputs = case
    explained = explain(model, X, name, baselines=START, attribute_to_layer_inputs=to_inputs)
    wanted = reference(head, tail, X, np.repeat(START, len(X), axis=0))
    found = explained.attributions if isinstance(explained.attributions, tuple) else (explained.attributions,)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)
    assert explained.meta["notes"] == []


def program_cases(m: Any) -> dict[tuple[str, bool], tuple[Any, Any]]:
    def hidden(x: Any) -> Any:
        return m.two(tf.square(m.one(x)) * 0.5)

    return {
        ("one", False): (m.one, lambda v, x: m.last(m.three(m.two(tf.square(v) * 0.5)) + v)),
        ("two", False): (hidden, lambda v, x: m.last(m.three(v) + m.one(x))),
        ("two", True): (lambda x: tf.square(m.one(x)) * 0.5, lambda v, x: m.last(m.three(m.two(v)) + m.one(x))),
        ("three", False): (lambda x: m.three(hidden(x)), lambda v, x: m.last(v + m.one(x))),
        ("three", True): (hidden, lambda v, x: m.last(m.three(v) + m.one(x))),
    }


@pytest.mark.parametrize("case", [("one", False), ("two", False), ("two", True), ("three", False), ("three", True)])
def test_a_python_program_is_cut(case: tuple[str, bool]) -> None:
    model = Program()
    model(X)
    head, tail = program_cases(model)[case]
    name, to_inputs = case
    explained = explain(model, X, name, baselines=START, attribute_to_layer_inputs=to_inputs)
    (wanted,) = reference(head, tail, X, np.repeat(START, len(X), axis=0))
    np.testing.assert_allclose(explained.attributions, wanted, rtol=0, atol=2e-6)
    assert explained.meta["notes"] == []


@pytest.mark.parametrize("make", [tokens, TokenProgram])
def test_masks_follow_their_tokens_across_the_cut(make: Callable[[], Any]) -> None:
    model = make()
    model(IDS)
    for name in ("embedding", "lstm"):
        explained = explain(model, IDS, name)
        assert explained.attributions.shape == (5, 6, 3 if name == "embedding" else 4)
        assert np.abs(explained.deltas).max() < 1e-6
        np.testing.assert_array_equal(explained.attributions[:, 4:], 0.0)
        assert np.abs(explained.attributions[:, :4]).min() > 0
        assert explained.meta["notes"] == []


def test_token_ids_themselves_cannot_move() -> None:
    with pytest.raises(InputTypeError, match="floating values; got <dtype: 'int32'>"):
        explain(tokens(), IDS, "embedding", attribute_to_layer_inputs=True)


def test_a_layer_with_several_outputs_gives_a_tuple() -> None:
    x = keras.Input((6, 3))
    sequence, state, _ = layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    model = keras.Model(x, layers.Dense(2)(layers.Concatenate()([layers.Flatten()(sequence), state])))
    explained = explain(model, RNG.normal(size=(3, 6, 3)), "lstm", allow_unused=True)
    assert [leaf.shape for leaf in explained.attributions] == [(3, 6, 4), (3, 4), (3, 4)]
    assert np.abs(explained.deltas).max() < 1e-6
    np.testing.assert_array_equal(explained.attributions[2], 0.0)


@pytest.mark.parametrize("name", ["two", "three"])
def test_keyword_arguments_follow_their_samples_or_are_shared(name: str) -> None:
    model, scale = Program(), RNG.normal(size=(5, 4)).astype(np.float32)
    model(X)
    whole = explain(model, X, name, forward_kwargs={"scale": scale, "factor": pyig.static(0.5)})
    for i in range(5):
        one = explain(model, X[i : i + 1], name, forward_kwargs={"scale": scale[i : i + 1], "factor": pyig.static(0.5)})
        np.testing.assert_allclose(whole.attributions[i], one.attributions[0], rtol=0, atol=1e-6)
    other = explain(model, X, name, forward_kwargs={"factor": pyig.static(0.5)})
    assert np.abs(other.attributions - whole.attributions).max() > 1e-2


def test_tf_keras_models_are_cut_too() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    x = tf_keras.Input((4,))
    first = tf_keras.layers.Dense(4, activation="tanh", name="first")(x)
    second = tf_keras.layers.Dense(4, activation="silu", name="second")
    last = tf_keras.layers.Dense(2, activation="tanh")
    model = tf_keras.Model(x, last(second(first) * 2.0 + first))
    one = model.get_layer("first")
    explained = explain(model, X, "second", baselines=START)
    (wanted,) = reference(
        lambda x: second(one(x)), lambda v, x: last(v * 2.0 + one(x)), X, np.repeat(START, len(X), axis=0)
    )
    np.testing.assert_allclose(explained.attributions, wanted, rtol=0, atol=2e-6)
    assert explained.meta["notes"] == []
