"""The operations that heads and device rows need, said in TensorFlow; they run eagerly and inside a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from pyig.errors import ModelError


class TensorFlowOps:
    """A part of `pyig.backends.tensorflow.TensorFlowBackend`; tensors are `tf.Tensor`."""

    # --- operations for heads ----------------------------------------------------------------------------------------
    def flat(self, outputs: Any) -> Any:
        """Reshape to (R, C)."""
        columns = outputs.shape[1:].num_elements()
        return tf.reshape(outputs, (tf.shape(outputs)[0], -1) if columns is None else (-1, columns))

    def reshape_like(self, flat: Any, outputs: Any) -> Any:
        """Undo `flat`."""
        return tf.reshape(flat, tf.shape(outputs))

    def pick(self, flat: Any, index: Any) -> Any:
        """Return ``flat[r, index[r]]``."""
        return tf.gather(flat, index, batch_dims=1)

    def one_hot(self, index: Any, like: Any) -> Any:
        """Return zeros with a one at ``[r, index[r]]``."""
        return tf.one_hot(index, like.shape[1] or tf.shape(like)[1], dtype=like.dtype)

    def softmax(self, flat: Any) -> Any:
        """Softmax over the last axis."""
        return tf.nn.softmax(flat)

    def logsumexp(self, flat: Any) -> Any:
        """Log-sum-exp over the last axis."""
        return tf.reduce_logsumexp(flat, axis=-1)

    def with_zero_column(self, flat: Any) -> Any:
        """Return ``[0, z]``."""
        return tf.concat([tf.zeros_like(flat), flat], axis=1)

    def log(self, tensor: Any) -> Any:
        """Natural logarithm."""
        return tf.math.log(tensor)

    def custom_head(self, function: Callable[[Any], Any], outputs: Any) -> tuple[Any, Any]:
        """Return ``function(outputs)`` (R,) and its gradient."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(outputs)
            values = function(outputs)
        rows = outputs.shape[0] if outputs.shape.rank else 1
        count = values.shape.num_elements() if isinstance(values, tf.Tensor) else 0
        if count not in (rows, None):  # None: inside a graph, where the eager call before it has checked
            got = tuple(values.shape) if isinstance(values, tf.Tensor) else type(values).__qualname__
            raise ModelError(f"expected the target function to return one number per row, shape ({rows},); got {got}")
        cotangent = tape.gradient(values, outputs)
        if cotangent is None:
            raise ModelError(
                "expected a target function that depends on the outputs by differentiable operations; got one without "
                "a gradient. Look for stop_gradient, argmax, rounding or a way through numpy in it"
            )
        return tf.reshape(values, (-1,)), tf.convert_to_tensor(cotangent)

    # --- operations for device rows ----------------------------------------------------------------------------------
    def wide_zeros(self, shape: tuple[int, ...], like: Any) -> Any:
        """Return float64 zeros."""
        with tf.device(like.device):
            return tf.zeros(shape, tf.float64)

    def scatter_add(self, total: Any, slots: Any, rows: Any) -> Any:
        """Return a new total with the rows added to their slots."""
        return tf.tensor_scatter_nd_add(total, slots[:, None], tf.cast(rows, total.dtype))

    def put(self, total: Any, slots: Any, rows: Any) -> Any:
        """Return a new total with the rows in their slots."""
        return tf.tensor_scatter_nd_update(total, slots[:, None], tf.cast(rows, total.dtype))

    def concat(self, tensors: Sequence[Any]) -> Any:
        """Join along the first axis."""
        return tf.concat(list(tensors), axis=0)

    def reshape(self, tensor: Any, shape: tuple[int, ...]) -> Any:
        """Return the tensor in another shape."""
        return tf.reshape(tensor, shape)

    def row_sum(self, tensor: Any) -> Any:
        """Sum over all axes but the first, in float64."""
        return tf.reduce_sum(tf.cast(tensor, tf.float64), axis=list(range(1, tensor.shape.rank)))

    def cast_like(self, tensor: Any, like: Any) -> Any:
        """Return the tensor in the dtype of `like`."""
        return tf.cast(tensor, like.dtype)
