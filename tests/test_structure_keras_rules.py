"""Every layer and operation that is taken as affine is affine between two points, and others are not taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from keras_prefixes import trained

from pyig.structure.keras_graph import calls_of
from pyig.structure.keras_rules import _ACTIVATED, _MAPS, _PRODUCTS, _QUOTIENTS, is_affine, linear_part, own_name

Make = Callable[[Any], Any]
_LINE, _IMAGE, _BLOCK = (4, 6), (6, 6, 2), (4, 4, 4, 2)
_TABLE = np.arange(12.0).reshape(6, 2)


def layer(*args: Any, **options: Any) -> Callable[[str], Make]:
    """Return what makes a layer of that name and calls it."""
    return lambda name: lambda x: getattr(layers, name)(*args, **options)(x)


def joined(name: str) -> Make:
    return lambda x: getattr(layers, name)()([x, layers.Rescaling(3.0)(x)])


def operation(call: Make) -> Callable[[str], Make]:
    return lambda name: call


def _by_rank(one: Callable[[str], Make], names: str) -> dict[str, tuple[Any, tuple[int, ...]]]:
    shapes = {"1": _LINE, "2": _IMAGE, "3": _BLOCK}
    return {name: (one(name), shapes[next(c for c in name if c in shapes)]) for name in names.split()}


# name: what builds the call, and the shape of its input behind the first axis
CALLS: dict[str, tuple[Make, tuple[int, ...]]] = {
    **{name: (joined(name), _LINE) for name in ("Add", "Subtract", "Average", "Concatenate")},
    **_by_rank(layer(1), "Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D"),
    **_by_rank(layer(2), "AveragePooling1D AveragePooling2D AveragePooling3D UpSampling1D UpSampling2D UpSampling3D"),
    **_by_rank(layer(2), "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D"),
    **_by_rank(layer(), "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D"),
    **_by_rank(layer(0.5), "SpatialDropout1D SpatialDropout2D SpatialDropout3D"),
    **_by_rank(layer(3, 2), "Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose"),
    **_by_rank(layer(3, 2), "SeparableConv1D SeparableConv2D"),
    **_by_rank(layer(2), "DepthwiseConv1D DepthwiseConv2D"),
    **{name: (layer(0.3)(name), _LINE) for name in ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise")},
    **{name: (layer(0.2)(name), _IMAGE) for name in ("RandomRotation", "RandomZoom", "RandomContrast")},
    "RandomFlip": (layer()("RandomFlip"), _IMAGE),
    "RandomBrightness": (layer(0.2)("RandomBrightness"), _IMAGE),
    "RandomTranslation": (layer(0.2, 0.2)("RandomTranslation"), _IMAGE),
    "CenterCrop": (layer(4, 4)("CenterCrop"), _IMAGE),
    "Resizing": (layer(4, 8)("Resizing"), _IMAGE),
    "Flatten": (layer()("Flatten"), _LINE),
    "Identity": (layer()("Identity"), _LINE),
    "Reshape": (layer((6, 4))("Reshape"), _LINE),
    "Permute": (layer((2, 1))("Permute"), _LINE),
    "RepeatVector": (layer(3)("RepeatVector"), (4,)),
    "Rescaling": (layer(2.0, offset=1.0)("Rescaling"), _LINE),
    "Normalization": (layer(mean=1.0, variance=4.0)("Normalization"), _LINE),
    "BatchNormalization": (layer()("BatchNormalization"), _LINE),
    "Dense": (layer(3)("Dense"), _LINE),
    "EinsumDense": (layer("abc,cd->abd", (4, 3), bias_axes="d")("EinsumDense"), _LINE),
    "Cast": (lambda x: ops.cast(x, "float32"), _LINE),
    "ExpandDims": (lambda x: ops.expand_dims(x, 1), _LINE),
    "Flip": (lambda x: ops.flip(x, 1), _LINE),
    "GetItem": (lambda x: x[:, 1:3], _LINE),
    "Mean": (lambda x: ops.mean(x, 1), _LINE),
    "Moveaxis": (lambda x: ops.moveaxis(x, 1, 2), _LINE),
    "Negative": (lambda x: -x, _LINE),
    "Pad": (lambda x: ops.pad(x, [(0, 0), (1, 2), (0, 0)], constant_values=3.0), _LINE),
    "Ravel": (lambda x: ops.ravel(x), _LINE),
    "Repeat": (lambda x: ops.repeat(x, 2, 1), _LINE),
    "Roll": (lambda x: ops.roll(x, 1, 1), _LINE),
    "Slice": (lambda x: ops.slice(x, (0, 1, 1), (1, 2, 2)), _LINE),
    "Split": (lambda x: ops.split(x, 2, axis=1)[1], _LINE),
    "Squeeze": (lambda x: ops.squeeze(x, 2), (4, 1)),
    "Stack": (lambda x: ops.stack([x, x], 1), _LINE),
    "Sum": (lambda x: ops.sum(x, 1), _LINE),
    "Swapaxes": (lambda x: ops.swapaxes(x, 1, 2), _LINE),
    "Tile": (lambda x: ops.tile(x, (1, 2, 1)), _LINE),
    "Transpose": (lambda x: ops.transpose(x, (0, 2, 1)), _LINE),
    "Multiply": (lambda x: x * 3.0, _LINE),
    "Matmul": (lambda x: ops.matmul(x, _TABLE), _LINE),
    "Dot": (lambda x: ops.dot(x, _TABLE), _LINE),
    "Einsum": (lambda x: ops.einsum("abc,cd->ad", x, _TABLE), _LINE),
    "Divide": (lambda x: ops.divide(x, 3.0), _LINE),
    "TrueDivide": (lambda x: x / 3.0, _LINE),
}
NO_LONGER_THERE = {"LocallyConnected1D", "LocallyConnected2D"}  # of tf-keras alone


def test_the_table_is_covered() -> None:
    assert set(CALLS) == (_MAPS | _ACTIVATED | _PRODUCTS | _QUOTIENTS) - NO_LONGER_THERE


@pytest.mark.parametrize("name", CALLS)
def test_what_is_taken_as_affine_is(name: str) -> None:
    make, shape = CALLS[name]
    x = keras.Input(shape)
    model = trained(keras.Model(x, make(x)))
    (call,) = [call for call in calls_of(model) if own_name(call.operation) == name]
    assert is_affine(call, [True] * len(call.inputs))
    generator = np.random.default_rng(1)
    a, b = (tf.constant(generator.normal(size=(1, *shape)), "float32") for _ in range(2))
    left, right, between = (model(leaf, training=False).numpy() for leaf in (a, b, a + 0.3 * (b - a)))
    np.testing.assert_allclose(between, left + 0.3 * (right - left), rtol=1e-4, atol=1e-5)
    assert np.abs(left - right).max() > 0


@pytest.mark.parametrize("name", sorted(_ACTIVATED - NO_LONGER_THERE))
def test_a_layer_without_its_activation_is_its_linear_part(name: str) -> None:
    make, shape = CALLS[name]
    x = keras.Input(shape)
    model = trained(keras.Model(x, make(x)))
    whole = model.layers[-1]
    assert linear_part(whole) is None
    data = tf.constant(np.random.default_rng(1).normal(size=(2, *shape)), "float32")
    wanted = whole(data)
    whole.activation = keras.activations.tanh
    twin = linear_part(whole)
    assert type(twin) is type(whole)
    assert twin.kernel is whole.kernel if hasattr(whole, "kernel") else True
    assert np.array_equal(twin(data), wanted)
    assert np.array_equal(whole(data), ops.tanh(wanted))


@pytest.mark.parametrize(
    "make",
    [
        layers.ReLU(),
        layers.MaxPooling1D(2),
        layers.UnitNormalization(),
        layers.GroupNormalization(2),
        lambda x: layers.Maximum()([x, 2.0 * x]),
        lambda x: layers.Dot(1, normalize=True)([x, np.ones((1, 4, 6), "float32")]),
        lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))),
        lambda x: x / x,
        lambda x: 2.0 / x,
        lambda x: ops.cast(x, "int32"),
        layers.TimeDistributed(layers.Dense(3, "relu")),
        layers.TimeDistributed(layers.UnitNormalization()),
    ],
)
def test_others_are_not_taken_as_affine(make: Make) -> None:
    x = keras.Input(_LINE)
    last = calls_of(keras.Model(x, make(x)))[-1]
    assert not is_affine(last, [True] * len(last.inputs))
