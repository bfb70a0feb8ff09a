"""Where the calls of Keras layers and operations have kinks, for those that are linear between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pyig.contracts import Ints
from pyig.structure.keras_curves import activation_curve, curve_of
from pyig.structure.keras_graph import Call
from pyig.structure.keras_rules import own_name
from pyig.structure.keras_tools import flavour
from pyig.structure.regions import Kinks

Winners = Callable[[NDArray[Any]], Ints]
_FUNCTIONS: dict[str, Kinks] = {
    **dict.fromkeys(["relu", "leaky_relu"], (0.0,)),
    "relu6": (0.0, 6.0),
    "hard_sigmoid": (-3.0, 3.0),
    "hard_tanh": (-1.0, 1.0),
    "soft_shrink": (-0.5, 0.5),
}
_OPERATIONS: dict[str, Kinks] = {
    **dict.fromkeys(["PReLU", "LeakyReLU", "LeakyRelu", "Relu", "Absolute", "Abs"], (0.0,)),
    **{name: _FUNCTIONS[function] for name, function in (
        ("Relu6", "relu6"), ("HardSigmoid", "hard_sigmoid"), ("HardTanh", "hard_tanh"),
    )},
}  # fmt: skip
_POOLS = ("MaxPooling1D", "MaxPooling2D", "MaxPooling3D")
_GLOBAL = ("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")


def kinks_of(call: Call, moving: list[bool]) -> Kinks | None:
    """Return the points where a piecewise-linear function of one tensor changes its slope; None for any other call."""
    if len(moving) != 1 or curve_of(call, moving) is None:
        return None
    layer, name = call.operation, own_name(call.operation)
    if name == "Activation":
        return activation_kinks(layer)
    if name == "ReLU":
        return _relu(layer)
    if name == "SoftShrink":
        return -float(layer.threshold), float(layer.threshold)
    if name == "Clip":
        return _numbers(getattr(layer, "x_min", None), getattr(layer, "x_max", None))
    if name in ("Maximum", "Minimum"):  # of a tensor and a number
        return _numbers(*(item for item in call.args if not hasattr(item, "_keras_history")))
    return _OPERATIONS.get(name)


def activation_kinks(layer: Any) -> Kinks | None:
    """Return the kinks of a layer's activation; None where it is none of Keras', or bends in between."""
    if activation_curve(layer) is None:
        return None
    activation = layer.activation
    if hasattr(activation, "call"):
        return _relu(activation) if own_name(activation) == "ReLU" else _OPERATIONS.get(own_name(activation))
    name = activation.__name__
    if name == "hard_sigmoid" and getattr(flavour(layer), "__name__", "") == "tf_keras":  # rises by 0.2, not by a sixth
        return -2.5, 2.5
    return _FUNCTIONS.get(name)


def winners_of(call: Call) -> Winners | None:
    """Return the function that finds the winners of a pooling layer; None for any other call.

    The function takes the layer's input (R, ...), and returns int64 (R, outputs): which entry of the flattened row each
    output is.
    """
    layer, name = call.operation, own_name(call.operation)
    if name in _GLOBAL:
        return lambda values: _largest(values, _is_first(layer))
    if name not in _POOLS:
        return None

    def pooled(values: NDArray[Any]) -> Ints:
        sizes, strides = (np.atleast_1d(numbers).tolist() for numbers in (layer.pool_size, layer.strides))
        return _largest(values, _is_first(layer), sizes, strides, layer.padding == "same")

    return pooled


def _relu(layer: Any) -> Kinks:
    if layer.max_value is None:
        return (0.0,)
    return 0.0, float(np.float32(layer.max_value))  # Keras makes a tensor of it before it casts that


def _numbers(*limits: Any) -> Kinks | None:
    whole = limits and all(isinstance(limit, (int, float, np.number)) for limit in limits)
    return tuple(map(float, limits)) if whole else None


def _is_first(layer: Any) -> bool:
    return getattr(layer, "data_format", None) == "channels_first"


def _largest(
    values: NDArray[Any],
    channels_first: bool,
    sizes: Any = None,
    strides: Any = None,
    same: bool = False,
) -> Ints:
    """Return which entry of its row is the largest in each window; one window over all places without sizes."""
    numbers = np.arange(values[0].size).reshape(1, *values.shape[1:])
    if channels_first:
        values, numbers = np.moveaxis(values, 1, -1), np.moveaxis(numbers, 1, -1)
    places = values.shape[1:-1]
    sizes, strides = sizes or places, strides or places
    if same:
        pads = [_padding(*each) for each in zip(places, sizes, strides, strict=True)]
        values = np.pad(values, [(0, 0), *pads, (0, 0)], constant_values=-np.inf)
        numbers = np.pad(numbers, [(0, 0), *pads, (0, 0)])
    axes = tuple(range(1, 1 + len(places)))
    every = (slice(None), *(slice(None, None, stride) for stride in strides))
    found, which = (sliding_window_view(array, tuple(sizes), axis=axes)[every] for array in (values, numbers))
    flat = found.reshape(*found.shape[: len(axes) + 2], -1)
    best = flat.argmax(axis=-1)[..., None]
    spread = np.broadcast_to(which.reshape(*which.shape[: len(axes) + 2], -1), flat.shape)
    winners: Ints = np.take_along_axis(spread, best, axis=-1).reshape(len(values), -1)
    return winners


def _padding(places: int, size: int, stride: int) -> tuple[int, int]:
    """Return what TensorFlow puts in front and behind, so that there is one window for each stride."""
    total = max((-(-places // stride) - 1) * stride + size - places, 0)
    return total // 2, total - total // 2
