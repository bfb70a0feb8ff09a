"""The attributions of a call, leaf by leaf: joined over the blocks, in the dtype of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Backend, Tensor
from pyig.explainer.session import Outcome
from pyig.rows import joined


def numpy_leaves(outcome: Outcome) -> list[NDArray[Any]]:
    """Return read-only numpy, (N, ...) or (N, K, ...): zeros off the path, NaN where a stopped run did not come."""
    return _filled(outcome, [block.attributions for block in outcome.blocks])


def standard_errors(outcome: Outcome) -> list[NDArray[Any]] | None:
    """Return the standard errors of `numpy_leaves`, in the same form; None where nothing was sampled."""
    blocks = [block.spreads for block in outcome.blocks if block.spreads is not None]
    return _filled(outcome, blocks) if blocks else None


def _filled(outcome: Outcome, blocks: list[list[Tensor]]) -> list[NDArray[Any]]:
    out = []
    for i, like in enumerate(outcome.template):
        parts = [block[outcome.moving.index(i)] for block in blocks] if i in outcome.moving else None
        dtype = np.dtype(np.float32) if parts is None else outcome.backend.to_numpy(like[:0]).dtype
        whole, shape = None if parts is None else _whole(outcome, parts, dtype), _shape(outcome, like)
        # A view that is read-only can still be written by its base, and so would be copied: made in its own shape.
        leaf = np.zeros(shape, dtype=dtype) if whole is None else whole
        leaf = leaf if leaf.shape == shape else leaf.reshape(shape)
        if whole is None and parts is not None:
            _fill(leaf.reshape(_rows(outcome), *map(int, like.shape[1:])), outcome, parts)
        leaf.flags.writeable = False
        out.append(leaf)
    return out


def _whole(outcome: Outcome, parts: list[Tensor], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return the only part as it lies in host memory, where it is all there is: nobody else holds it."""
    if len(parts) != 1 or len(parts[0]) != _rows(outcome):
        return None
    alone = parts[0] if isinstance(parts[0], np.ndarray) else outcome.backend.to_numpy(parts[0])
    return alone if alone.dtype == dtype and alone.flags.c_contiguous else None


def native_leaves(outcome: Outcome, widen: bool = False) -> list[Tensor]:
    """Return the framework's tensors on the device of the input, never by way of the host.

    `widen` makes float32 of half precision.
    """
    backend = outcome.backend
    out = []
    for i, like in enumerate(outcome.template):
        parts = [block.attributions[outcome.moving.index(i)] for block in outcome.blocks] if i in outcome.moving else []
        parts = [backend.from_numpy(part, like) if isinstance(part, np.ndarray) else part for part in parts]
        missing = _rows(outcome) - sum(int(part.shape[0]) for part in parts)
        if missing:
            hole = np.full(
                (missing, *map(int, like.shape[1:])), np.nan if i in outcome.moving else 0.0, dtype=np.float32
            )
            parts.append(backend.from_numpy(hole, like))
        target = like if i in outcome.moving else parts[-1]
        if widen:
            target = widened(backend, target)
        rows = joined(backend, [backend.cast_like(part, target) for part in parts])
        out.append(backend.reshape(rows, _shape(outcome, like)))
    return out


def widened(backend: Backend, like: Tensor) -> Tensor:
    """Return a tensor in float32 for one in half precision, and any other itself."""
    if not str(like.dtype).endswith("float16"):  # of both kinds
        return like
    return backend.from_numpy(np.zeros(1, dtype=np.float32), like)


def _fill(rows: NDArray[Any], outcome: Outcome, parts: list[Tensor]) -> None:
    done = 0
    for part in parts:
        rows[done : done + len(part)] = part if isinstance(part, np.ndarray) else outcome.backend.to_numpy(part)
        done += len(part)
    rows[done:] = np.nan


def _rows(outcome: Outcome) -> int:
    return outcome.inputs.samples * outcome.target.top


def _shape(outcome: Outcome, like: Tensor) -> tuple[int, ...]:
    top = outcome.target.top
    return (outcome.inputs.samples, *([top] if top > 1 else []), *map(int, like.shape[1:]))
