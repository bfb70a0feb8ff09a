"""Mean slopes of functions of one number, in TensorFlow; the reasons are those of `pyig.structure.torch_secant`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from pyig import _core

_EPS = float(np.finfo(np.float64).eps)


def mean_slope(curve: Callable[[Any], Any], start: Any, stop: Any) -> Any:
    """Return (sigma(stop) - sigma(start)) / (stop - start), entry by entry, in float64.

    Where the ends are close the slope is averaged over four Gauss nodes instead, unless the two differ by more than
    what the difference of values has lost: then there is a kink between them.

    Parameters
    ----------
    curve : callable
        A continuous function that acts entry by entry.
    start, stop : tensor (1 or R, ...), (R, ...)
        The ends; the digits of their dtype are kept.
    """
    wanted = float(np.finfo(start.dtype.as_numpy_dtype).eps) / 16
    stop = tf.cast(stop, tf.float64)
    start = tf.cast(start, tf.float64)  # a shared start stays one row: its curve is evaluated once
    step = stop - start
    low, high = (tf.cast(curve(end), tf.float64) for end in (start, stop))
    loss = _EPS * (tf.abs(low) + tf.abs(high))  # of the difference; over |step| it is that of the slope
    still = tf.equal(step, 0)
    slope = (high - low) / tf.where(still, tf.ones_like(step), step)
    close = (loss > wanted * tf.abs(step)) | still
    if not bool(tf.reduce_any(close)):
        return slope
    mean = _averaged_slope(curve, tf.broadcast_to(start, tf.shape(stop)), step)
    agree = tf.abs(slope - mean) * tf.abs(step) <= 8 * loss
    return tf.where(close & (agree | still), mean, slope)


def _averaged_slope(curve: Callable[[Any], Any], start: Any, step: Any) -> Any:
    nodes, weights, _ = _core.rule("gausslegendre", 4)
    total = tf.zeros_like(start)
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        point = start + node * step
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            found = curve(point)
        total += weight * tape.gradient(found, point, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return total
