"""Keras models for the prefix tests: what an affine prefix may look like, and what must be refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

Shapes = tuple[tuple[int, ...], ...]


def _sequential(shape: tuple[int, ...], *items: Any) -> Any:
    return keras.Sequential([layers.Input(shape), *items])


def _functional(shape: tuple[int, ...], call: Callable[[Any], Any]) -> Any:
    x = keras.Input(shape, name="x")
    return keras.Model(x, call(x))


def between(*items: Any) -> Any:
    """Return a function that makes a wide dense layer, then these, then a head."""
    return lambda: keras.Sequential([layers.Input((6,)), layers.Dense(8), *items, layers.Dense(3)])


def trained(model: Any) -> Any:
    """Give weights that start as zeros or ones other values: biases, statistics of batch norms."""
    generator = np.random.default_rng(7)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(generator.uniform(0.5, 1.5, size=weight.shape))
    return model


def _images() -> Any:
    return _sequential(
        (8, 8, 3),
        layers.RandomFlip(),
        layers.Rescaling(0.5, offset=-1.0),
        layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
        layers.ZeroPadding2D(1),
        layers.Conv2D(4, 3, strides=2, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    )


def _convolutional() -> Any:
    body = [layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()]
    return _sequential((6, 6, 1), *body, layers.Flatten(), layers.Dense(3))


def _resampled() -> Any:
    front = [layers.AveragePooling2D(2), layers.UpSampling2D(2), layers.Cropping2D(1)]
    front += [layers.Conv2DTranspose(3, 2, activation="tanh"), layers.GlobalAveragePooling2D()]
    return _sequential((6, 6, 1), *front, layers.Dense(3))


def _separable() -> Any:
    front = [layers.Permute((2, 1, 3)), layers.DepthwiseConv2D(3), layers.SeparableConv2D(5, 2, activation="relu6")]
    return _sequential((6, 6, 2), *front, layers.Flatten(), layers.Dense(3))


def _nested() -> Any:
    inner = _sequential((6,), layers.Dense(8), layers.Identity(), layers.Dropout(0.5), layers.BatchNormalization())
    outer = _functional((6,), lambda x: layers.ELU()(inner(x)))
    return _sequential((6,), outer, layers.Dense(8, activation="gelu"), layers.Dense(3))


def _branches() -> Any:
    """Operations of Keras: slices, factors and quotients that are constant."""

    def call(x: Any) -> Any:
        left, right = layers.Dense(4)(x[:, :3]), layers.Dense(4)(x[:, 3:] / 2.0)
        hidden = ops.concatenate([left, -right], axis=1) * 0.5 - 0.1
        return layers.Dense(3)(ops.silu(hidden))

    return _functional((6,), call)


def _affine_skip() -> Any:
    return _functional((6,), lambda x: layers.Dense(3)(ops.tanh(layers.Add()([x, layers.Dense(6)(x)]))))


def _tied() -> Any:
    layer = layers.Dense(6)
    return _functional((6,), lambda x: layers.Dense(3)(layer(ops.tanh(layer(x)))))


def _recurrent() -> Any:
    return _sequential((4, 5), layers.Dense(4), layers.LSTM(6), layers.Dense(3))


def _step_by_step() -> Any:
    front = [layers.TimeDistributed(layers.Dense(4)), layers.TimeDistributed(layers.Reshape((2, 2)))]
    return _sequential(
        (4, 5), *front, layers.TimeDistributed(layers.Dense(3, "tanh")), layers.Flatten(), layers.Dense(3)
    )


def _patches() -> Any:
    def call(x: Any) -> Any:
        tokens = layers.Reshape((9, 8))(layers.Conv2D(8, 2, strides=2)(x)) + np.linspace(-1, 1, 72).reshape(1, 9, 8)
        normed = layers.LayerNormalization()(tokens)
        mixed = layers.MultiHeadAttention(2, 4)(normed, normed)
        return layers.Dense(3)(ops.mean(tokens + mixed, axis=1))

    return _functional((6, 6, 1), call)


def _einsum() -> Any:
    return _sequential(
        (4, 5), layers.EinsumDense("abc,cd->abd", (4, 7), activation="selu"), layers.Flatten(), layers.Dense(3)
    )


def _layer_activation() -> Any:
    return _sequential((6,), layers.Dense(9, activation=layers.LeakyReLU()), layers.Dense(3, activation="softmax"))


def _pair() -> Any:
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((3,), name="b")}
    hidden = layers.Dense(8, activation="sigmoid")(layers.Concatenate()([inputs["b"], inputs["a"]]))
    return keras.Model(inputs, layers.Dense(3)(hidden))


def _gated() -> Any:
    """A tensor that does not move, in the prefix and behind it."""
    inputs = [keras.Input((6,), name="x"), keras.Input((6,), name="gate")]
    hidden = ops.tanh(layers.Dense(6)(layers.Multiply()(inputs)))
    return keras.Model(inputs, layers.Dense(3)(hidden * inputs[1]))


def _with_tokens() -> Any:
    """Token ids beside numbers; their mask stays behind the cut."""
    x, ids = keras.Input((6,), name="x"), keras.Input((5,), dtype="int32", name="ids")
    text = layers.LSTM(4)(layers.Embedding(9, 3, mask_zero=True)(ids))
    hidden = layers.Dense(7, activation="relu")(layers.Concatenate()([layers.Dense(5)(x), text]))
    return keras.Model([x, ids], layers.Dense(3)(hidden))


class Named(keras.Model):
    """A subclass of a graph that says nothing about its call."""


def _named() -> Any:
    x = keras.Input((6,))
    return Named(x, layers.Dense(3)(layers.Dense(9, activation="tanh")(x)))


def _two_heads() -> Any:
    """Two outputs, of which the second is explained; the first uses the input itself."""
    x = keras.Input((6,), name="x")
    hidden = layers.Dense(9, activation="tanh")(x)
    return keras.Model(x, [layers.Dense(3)(layers.Concatenate()([x, hidden])), layers.Dense(3)(hidden)])


# name: the model, the shapes of its inputs behind the first axis, how many of them move, floats at the last cut
HOISTED: dict[str, tuple[Callable[[], Any], Shapes, int, int]] = {
    "mlp": (
        lambda: _sequential((6,), layers.Dense(9, activation="gelu"), layers.Dense(3, activation="softmax")),
        ((6,),),
        1,
        9,
    ),
    "unbuilt": (lambda: keras.Sequential([layers.Dense(9, activation="gelu"), layers.Dense(3)]), ((6,),), 1, 9),
    "images": (_images, ((8, 8, 3),), 1, 64),
    "convolution, norm, relu": (_convolutional, ((6, 6, 1),), 1, 64),
    "resampled": (_resampled, ((6, 6, 1),), 1, 75),
    "separable": (_separable, ((6, 6, 2),), 1, 45),
    "nested": (_nested, ((6,),), 1, 8),
    "branches": (_branches, ((6,),), 1, 8),
    "affine skip": (_affine_skip, ((6,),), 1, 6),
    "tied": (_tied, ((6,),), 1, 6),
    "recurrent": (_recurrent, ((4, 5),), 1, 16),
    "step by step": (_step_by_step, ((4, 5),), 1, 16),
    "patches": (_patches, ((6, 6, 1),), 1, 72),
    "einsum": (_einsum, ((4, 5),), 1, 28),
    "activation that is a layer": (_layer_activation, ((6,),), 1, 9),
    "two inputs": (_pair, ((4,), (3,)), 2, 8),
    "two inputs, one fixed": (_pair, ((4,), (3,)), 1, 8),
    "gated": (_gated, ((6,), (6,)), 1, 6),
    "with tokens": (_with_tokens, ((6,), (5,)), 1, 7),
    "named": (_named, ((6,),), 1, 9),
    "two heads": (_two_heads, ((6,),), 1, 9),
}


class Squared(layers.Dense):
    """Says it is a dense layer."""

    def call(self, x: Any, training: Any = None) -> Any:
        return super().call(x) ** 2


class Scaled(layers.Layer):
    """A layer that is affine, which nobody knows."""

    def call(self, x: Any) -> Any:
        return 3.0 * x + 1.0


class Branching(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: 2.0 * x)


class Overridden(keras.Model):
    def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(x, training=training) ** 2


class Program(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = layers.Dense(9, activation="tanh"), layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.two(self.one(x))


def _masquerading() -> Any:
    """A class that gives Keras' own module as its own."""
    kind = type("Dense", (Squared,), {"__module__": layers.Dense.__module__})
    return _sequential((6,), kind(6), layers.Dense(3))


def _changed() -> Any:
    model = _sequential((6,), layers.Dense(6), layers.Dense(3))
    model.layers[0].call = lambda x, training=None: ops.tanh(x)
    return model


def _graph_with_own_call() -> Any:
    x = keras.Input((6,))
    return Overridden(x, layers.Dense(3)(layers.Dense(9)(x)))


def _half() -> Any:
    front = layers.Dense(9, activation="tanh", dtype="mixed_bfloat16")
    return _sequential((6,), front, layers.Dense(3))


def _masked_concatenation() -> Any:
    x, ids = keras.Input((5, 6), name="x"), keras.Input((5,), dtype="int32", name="ids")
    both = layers.Concatenate()([x, layers.Embedding(9, 3, mask_zero=True)(ids)])
    return keras.Model([x, ids], layers.Dense(3)(layers.LSTM(4)(both)))


def _first(layer: Any) -> Callable[[], Any]:
    return lambda: _sequential((6,), layer(), layers.Dense(6, activation="tanh"), layers.Dense(3))


# name: the model, and a part of the reason why it has no affine prefix
WITHOUT_PREFIX: dict[str, tuple[Callable[[], Any], str]] = {
    "lambda": (_first(lambda: layers.Lambda(lambda x: 2 * x)), "does not begin with an affine layer (Lambda"),
    "custom layer": (_first(Scaled), "does not begin with an affine layer (Scaled"),
    "custom dense": (_first(lambda: Squared(6)), "does not begin with an affine layer (Squared"),
    "masquerade": (_masquerading, "does not begin with an affine layer (Dense"),
    "changed by hand": (_changed, "does not begin with an affine layer (Dense"),
    "branches on values": (_first(Branching), "does not begin with an affine layer (Branching"),
    "activity": (
        _first(lambda: layers.Dense(6, activity_regularizer="l2")),
        "does not begin with an affine layer (Dense",
    ),
    "pooling by the maximum": (
        lambda: _sequential((6, 1), layers.MaxPooling1D(), layers.Flatten(), layers.Dense(3)),
        "does not begin with an affine layer (MaxPooling1D",
    ),
    "layer norm": (_first(layers.LayerNormalization), "does not begin with an affine layer (LayerNormalization"),
    "activation": (_first(lambda: layers.Activation("tanh")), "does not begin with an affine layer (Activation"),
    "rounded": (
        lambda: _functional((6,), lambda x: layers.Dense(3)(ops.cast(ops.cast(x, "int32"), x.dtype))),
        "does not begin with an affine layer (Cast",
    ),
    "product": (
        lambda: _functional((6,), lambda x: layers.Dense(3)(layers.Multiply()([x, x]))),
        "does not begin with an affine layer (Multiply",
    ),
    "reciprocal": (
        lambda: _functional((6,), lambda x: layers.Dense(3)(1.0 / x)),
        "does not begin with an affine layer (",
    ),
    "residual": (
        lambda: _functional((6,), lambda x: layers.Dense(3)(x + layers.Dense(6, activation="relu")(x))),
        "used again",
    ),
    "half precision": (_half, "used again"),
}
# name: the model, and a part of the reason why it is not walked
NO_GRAPH: dict[str, tuple[Callable[[], Any], str]] = {
    "program": (Program, "not a Sequential or Functional"),
    "own call": (_graph_with_own_call, "not a Sequential or Functional"),
    "function": (lambda: tf.function(_sequential((6,), layers.Dense(6), layers.Dense(3))), "is a function"),
    "method": (lambda: _sequential((6,), layers.Dense(6), layers.Dense(3)).call, "is a function"),
}
