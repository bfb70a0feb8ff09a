"""The affine prefix of tf-keras models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
from keras_cases import Case, gap

from pyig.calling import PrefixForward
from pyig.structure import keras_prefix as prefixes
from pyig.structure.keras_prefix import Prefix, cuts, prefix_at
from pyig.structure.keras_record import Recording
from pyig.structure.refusal import Refusal

tf_keras = pytest.importorskip("tf_keras")
layers = tf_keras.layers


def _sequential(shape: tuple[int, ...], *items: Any) -> Any:
    return tf_keras.Sequential([layers.InputLayer(shape), *items])


def _operations() -> Any:
    x = tf_keras.Input((6,))
    left, right = layers.Dense(4)(x[:, :3]), layers.Dense(4)(x[:, 3:] / 2.0)
    hidden = tf.concat([left, -right], axis=1) * 0.5 - 0.1
    return tf_keras.Model(x, layers.Dense(3)(tf.nn.silu(hidden)))


def _images() -> Any:
    front = [layers.Rescaling(0.5), layers.ZeroPadding2D(), layers.Conv2D(4, 3), layers.BatchNormalization()]
    back = [layers.ReLU(), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3)]
    return _sequential((6, 6, 1), *front, *back)


def _nested() -> Any:
    inner = _sequential((6,), layers.Dense(8), layers.Dropout(0.5), layers.Dense(7, "tanh"))
    return _sequential((6,), inner, layers.Dense(3))


def _mlp() -> Any:
    return _sequential((6,), layers.Dense(9, activation="tanh"), layers.Dense(3))


# name: the model, the shape of its input behind the first axis, floats at the last cut
HOISTED: dict[str, tuple[Callable[[], Any], tuple[int, ...], int]] = {
    "mlp": (_mlp, (6,), 9),
    "operations": (_operations, (6,), 8),
    "images": (_images, (6, 6, 1), 144),
    "nested": (_nested, (6,), 7),
}


def check(case: Case, close: float) -> list[Prefix]:
    """Compare every cut with the model and return them."""
    recording = case.record()
    assert isinstance(recording, Recording), recording
    found = [prefix_at(recording, frontier, place) for frontier, place in cuts(recording)]
    plain = case.integral(case.forward, case.points, case.starts)
    for prefix in found:
        assert case.verify(prefix) is prefix
        stop, start = prefix.forward(case.points), prefix.forward(case.starts)
        assert gap([prefix.suffix(stop)], [case.forward(case.points, [])]) < close
        (total,) = case.integral(PrefixForward(prefix), [stop], [start])
        assert gap(prefix.pullback(case.points, [], total), plain) < close
    return found


@pytest.mark.parametrize("name", HOISTED)
def test_tf_keras_models_have_a_prefix_too(name: str) -> None:
    make, shape, size = HOISTED[name]
    found = check(Case(make, (shape,)), 1e-6)
    assert found
    assert found[-1].frontier_floats == size


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (lambda: layers.Lambda(lambda x: 2 * x), "Lambda"),
        (lambda: layers.Activation("tanh"), "Activation"),
        (lambda: layers.LayerNormalization(), "LayerNormalization"),
    ],
)
def test_tf_keras_models_without_one(first: Callable[[], Any], reason: str) -> None:
    case = Case(lambda: _sequential((6,), first(), layers.Dense(3)))
    recording = case.record()
    assert isinstance(recording, Recording), recording
    found = prefixes.find_prefix(recording)
    assert isinstance(found, Refusal)
    assert f"does not begin with an affine layer ({reason}" in found.reason


@pytest.mark.parametrize("masked", [True, False])
def test_a_mask_does_not_cross_the_cut(masked: bool) -> None:
    x, ids = tf_keras.Input((5, 6), name="x"), tf_keras.Input((5,), dtype="int32", name="ids")
    both = layers.Concatenate(name="both")([layers.Dense(3)(x), layers.Embedding(9, 3, mask_zero=masked)(ids)])
    case = Case(lambda: tf_keras.Model([x, ids], layers.Dense(3)(layers.LSTM(4)(both))), ((5, 6), (5,)))
    found = case.find(explicit="both")
    if masked:
        assert isinstance(found, Refusal)
        assert "without a mask" in found.reason
    else:
        assert isinstance(found, Prefix), found
