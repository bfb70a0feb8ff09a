"""The operations that heads and device rows need, said in numpy; also for a framework whose arrays lie on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Ints

Array = NDArray[Any]


class NumpyOps:
    """A part of `pyig.backends.callable.CallableBackend`; tensors are numpy arrays."""

    def take(self, tensor: Array, rows: Ints) -> Array:
        """Return the given rows."""
        return tensor[rows]

    def flat(self, outputs: Array) -> Array:
        """Reshape to (R, C)."""
        return outputs.reshape(outputs.shape[0] if outputs.ndim else 1, -1)

    def reshape_like(self, flat: Array, outputs: Array) -> Array:
        """Undo `flat`."""
        return flat.reshape(outputs.shape)

    def pick(self, flat: Array, index: Array) -> Array:
        """Return ``flat[r, index[r]]``."""
        return flat[np.arange(len(flat)), index]

    def one_hot(self, index: Array, like: Array) -> Array:
        """Return zeros with a one at ``[r, index[r]]``."""
        out = np.zeros_like(like)
        out[np.arange(len(like)), index] = 1
        return out

    def softmax(self, flat: Array) -> Array:
        """Softmax over the last axis."""
        shifted: Array = np.exp(flat - flat.max(axis=-1, keepdims=True))
        out: Array = shifted / shifted.sum(axis=-1, keepdims=True)
        return out

    def logsumexp(self, flat: Array) -> Array:
        """Log-sum-exp over the last axis."""
        top = flat.max(axis=-1)
        out: Array = top + np.log(np.exp(flat - top[:, None]).sum(axis=-1))
        return out

    def with_zero_column(self, flat: Array) -> Array:
        """Return ``[0, z]``."""
        return np.concatenate([np.zeros_like(flat), flat], axis=1)

    def log(self, tensor: Array) -> Array:
        """Logarithm; log(0) is -inf without a warning, as in the frameworks."""
        with np.errstate(divide="ignore"):
            out: Array = np.log(tensor)
        return out

    def wide_zeros(self, shape: tuple[int, ...], like: Array) -> Array:
        """Return float64 zeros."""
        del like
        return np.zeros(shape)

    def scatter_add(self, total: Array, slots: Array, rows: Array) -> Array:
        """Add rows to their slots in place."""
        np.add.at(total, slots, rows)
        return total

    def put(self, total: Array, slots: Array, rows: Array) -> Array:
        """Set rows in place."""
        total[slots] = rows
        return total

    def concat(self, tensors: Sequence[Array]) -> Array:
        """Join along the first axis."""
        return np.concatenate(list(tensors))

    def reshape(self, tensor: Array, shape: tuple[int, ...]) -> Array:
        """Return the array in another shape."""
        return tensor.reshape(shape)

    def row_sum(self, tensor: Array) -> Array:
        """Sum over all axes but the first, in float64."""
        out: Array = tensor.reshape(len(tensor), -1).sum(axis=1, dtype=np.float64)
        return out

    def cast_like(self, tensor: Array, like: Array) -> Array:
        """Return the tensor in the dtype of `like`."""
        return tensor.astype(like.dtype, copy=False)
