"""Comparisons of a found structure with a TensorFlow model itself, before the structure is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pyig.contracts import Forward
from pyig.structure.agreement import OR_MIXED, SHARE, gradients_agree, values_agree
from pyig.structure.refusal import Refusal

T = TypeVar("T")

Evaluate = Callable[[list[Any], list[Any]], Any]


def compared(
    compare: Callable[[Forward, Sequence[Any], Sequence[Any], Sequence[Any]], T],
    forward: Forward,
    points: Sequence[Any],
    starts: Sequence[Any],
    fixed: Sequence[Any],
) -> T | Refusal:
    """Return ``compare(forward, points, starts, fixed)``; where the layers cannot be called, a refusal."""
    try:
        return compare(forward, points, starts, fixed)
    except Exception as error:  # a layer may be another than when it was recorded, or not take float64
        return Refusal(f"its layers cannot be called one by one ({type(error).__name__}: {error})")


def ends_and_middle(points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return baseline, input and a point between of the first sample as three rows, and the fixed tensors for them."""
    ends = [(stop[:1], start[:1]) for stop, start in zip(points, starts, strict=True)]
    rows = [tf.concat([start, stop, start + SHARE * (stop - start)], axis=0) for stop, start in ends]
    return rows, [tf.repeat(leaf[:1], 3, axis=0) for leaf in fixed]


def gradients(
    call: Evaluate, points: Sequence[Any], fixed: Sequence[Any], along: Any = None
) -> tuple[Any, list[Any], Any]:
    """Return values, the VJP with a cotangent, and the cotangent: by default one that no symmetry hides from."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for point in points:
            tape.watch(point)
        outputs = call(list(points), list(fixed))
    if along is None:
        along = wave(outputs)
    elif along.shape != outputs.shape:
        return outputs, [], along
    found = tape.gradient(outputs, list(points), output_gradients=along)
    return outputs, [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in found], along


def wave(like: Any) -> Any:
    """Return a tensor of that shape from which no symmetry hides."""
    return tf.cast(np.cos(1.0 + 1.7 * np.arange(like.shape.num_elements())).reshape(like.shape), like.dtype)


def same_product(values: Sequence[Any], along: Sequence[Any], points: Sequence[Any], pulled: Sequence[Any]) -> bool:
    """Tell whether a VJP belongs to an affine map: ``along . (J d) = (along J) . d``, with d from row 0 to row 1."""
    steps = [[_wide(leaf[1:2] - leaf[:1]) for leaf in part] for part in (values, points)]
    cotangents = [[_wide(leaf) for leaf in part] for part in (along, pulled)]
    left, right = (
        sum(float((a * b).sum()) for a, b in zip(*part, strict=True)) for part in zip(steps, cotangents, strict=True)
    )
    size = sum(float(np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(steps[0], cotangents[0], strict=True))
    return values_agree(np.array([left, size]), np.array([right, size]), values[0].dtype.size)


def close(a: Any, b: Any) -> bool:
    """Tell whether values agree to what their dtype gives; what is not finite never agrees."""
    return values_agree(_wide(a), _wide(b), a.dtype.size)


def gradient_gap(expected: Sequence[Any], found: Sequence[Any]) -> str | None:
    """Compare gradients leaf by leaf, by the norm of their last row; return the complaint, or None."""
    for a, b in zip(expected, found, strict=True):
        wanted, got = (None if gradient is None else _wide(gradient[-1:]) for gradient in (a, b))
        if not gradients_agree(got, wanted, 8 if a is None else a.dtype.size):
            return f"its gradient is not the model's, {OR_MIXED}"
    return None


def _wide(tensor: Any) -> NDArray[np.float64]:
    found: NDArray[np.float64] = tf.cast(tensor, tf.float64).numpy()
    return found
