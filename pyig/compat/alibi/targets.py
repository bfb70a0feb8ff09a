"""Which output is explained, in the peer's words: never from the end, and class 0 of one column is 1 - p."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.compat.alibi.failures import TargetError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """A target, read.

    Attributes
    ----------
    engine : None, array or callable
        The target for the engine.
    signs : float64 array (N,), optional
        -1 where 1 - p is explained: the gradients of p with the other sign.
    index : int64 array (N,) or (N, rank - 1), optional
        As the result reports it.
    """

    engine: Any
    signs: NDArray[np.float64] | None
    index: Ints | None


def read_target(target: Any, target_fn: Callable[[Any], Any] | None, outputs: Any, values: NDArray[Any]) -> Asked:
    """Read the target for outputs that are known.

    Parameters
    ----------
    target : None, int, tuple, list or array
        As the user gave it.
    target_fn : callable, optional
        Gives the target from `outputs`, the framework's tensor.
    values : array (N, ...)
        The outputs as numpy.
    """
    if target_fn is not None:
        target = _asked_of(target_fn, target, outputs, values)
    one_column = values.ndim == 1 or values.shape[1:] == (1,)
    if target is None:
        if not one_column and values.shape[-1] != 1:
            raise _missing(values)
        return Asked(None if one_column else _total, None, None)
    index = _whole(target, values)
    sizes = (2,) if one_column else values.shape[1:]
    _check_range(index, sizes, values.shape)
    if one_column:
        return Asked(None, np.where(index == 0, -1.0, 1.0), index)
    return Asked(index, None, index)


def _asked_of(function: Callable[[Any], Any], target: Any, outputs: Any, values: NDArray[Any]) -> Any:
    if target is not None:
        raise TargetError("expected either target= or the explainer's target_fn=; got both")
    found = np.asarray(function(outputs))
    if found.shape != (len(values),):
        raise TargetError(f"expected target_fn= to return one class per sample, ({len(values)},); got {found.shape}")
    if found.dtype.kind not in "fiub" or np.any(found != found.astype(np.int64)):
        raise TargetError(f"expected target_fn= to return whole numbers; got {found.dtype} {found[:3]}")
    if values.size == len(values) and not found.any() and (values > 0.5).any():
        warnings.warn(
            "target_fn= gives class 0 for every sample of a model with one output column, so 1 - p is explained, also "
            "where p > 0.5. An argmax of one column is always 0: say target_fn=lambda p: p[:, 0] > 0.5, or leave it "
            "out",
            UserWarning,
            stacklevel=4,
        )
    return found.astype(np.int64)


def _missing(values: NDArray[Any]) -> TargetError:
    return TargetError(
        f"expected target= for outputs of shape (N, {', '.join(map(str, values.shape[1:]))}): the class of every "
        "sample, for example model(X).numpy().argmax(axis=1); got None"
    )


def _whole(target: Any, values: NDArray[Any]) -> Ints:
    """Return (N,), or (N, rank - 1) for outputs of higher rank."""
    samples, rank = len(values), max(values.ndim - 1, 1)
    try:
        index = np.asarray(target)
    except ValueError as error:
        raise TargetError(f"expected target= with entries of one length; got ragged {target!r}") from error
    if index.dtype.kind not in "iu":
        raise TargetError(
            f"expected target= as whole numbers; got {type(target).__qualname__} of dtype {index.dtype}. Say int(...), "
            "or .astype(int) for an array"
        )
    if index.ndim == 0:
        index = np.full(samples, index)
    elif isinstance(target, tuple) and rank > 1 and index.shape == (rank,):
        index = np.tile(index, (samples, 1))
    if rank == 1 and index.ndim == 2 and index.shape[1] == 1:
        index = index[:, 0]
    wanted = (samples,) if rank == 1 else (samples, rank)
    if index.shape != wanted:
        raise TargetError(
            f"expected target= of shape {wanted} for outputs of shape {values.shape}; got {index.shape}: one row per "
            "sample, and one column per axis of the outputs behind the first"
        )
    return index.astype(np.int64)


def _check_range(index: Ints, sizes: tuple[int, ...], shape: tuple[int, ...]) -> None:
    wide = index.reshape(len(index), -1)
    bad = (wide < 0) | (wide >= np.array(sizes))
    if bad.any():
        row, axis = (int(i) for i in np.argwhere(bad)[0])
        raise TargetError(
            f"target {int(wide[row, axis])} of sample {row} is out of range: outputs of shape {shape} have 0 to "
            f"{sizes[axis] - 1}{'' if wide.shape[1] == 1 else f' on axis {axis + 1}'}"
        )


def _total(outputs: Any) -> Any:
    """Return the sum of a sample's outputs: what the peer explains where the last axis has one entry."""
    import tensorflow as tf

    return tf.reduce_sum(outputs, axis=list(range(1, outputs.shape.rank)))
