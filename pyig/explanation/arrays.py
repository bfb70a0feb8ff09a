"""Arrays of an explanation: made read-only, checked against one another, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Ints
from pyig.errors import InputError
from pyig.tree import Spec, flatten, unflatten

Array = NDArray[Any]


class Leaf(NamedTuple):
    """One array of the input, with what belongs to it.

    Attributes
    ----------
    name : str
        Path of the leaf in the structure; ``""`` for a lone array.
    attributions : array
        (N, ...), or (N, K, ...) when K targets were asked per sample.
    inputs, baselines : array
        (N, ...); a baseline shared by all samples is broadcast, not copied.
    """

    name: str
    attributions: Array
    inputs: Array
    baselines: Array


def freeze(array: Any, dtype: Any = None) -> Array:
    """Return a read-only array; one that somebody else can still write to is copied first."""
    result = np.asarray(array, dtype=dtype)
    if _writable(result):
        if result is array or result.base is not None:
            result = result.copy()
        result.flags.writeable = False
    return result


def freeze_tree(tree: Any) -> tuple[Any, list[Array], Spec]:
    """Make every leaf read-only: the structure again, its leaves, its spec."""
    leaves, spec = flatten(tree)
    frozen = [freeze(leaf) for leaf in leaves]
    return rebuild(spec, frozen), frozen, spec


def rebuild(spec: Spec, leaves: Sequence[Array]) -> Any:
    """Put leaves back; a lone table becomes a DataFrame that shares (and so protects) the read-only array."""
    if spec.kind == "frame" and leaves[0].ndim == 2:
        import pandas as pd

        return pd.DataFrame(leaves[0], columns=list(spec.keys), index=list(spec.index), copy=False)
    return unflatten(spec, leaves)


def take(tree: Any, rows: Ints, length: int) -> Any:
    """Slice every leaf of `length` rows; a lone row that stands for all samples stays."""
    leaves, spec = flatten(tree)
    kept = [leaf if leaf.shape[0] == 1 != length else leaf[rows] for leaf in leaves]
    return rebuild(_take_labels(spec, rows, length), kept)


def check_leaf(name: str, attributions: Array, inputs: Array, baselines: Array, shape: tuple[int, ...]) -> None:
    """Check one leaf: `shape` is (N,) or (N, K), and all three arrays agree on what follows."""
    label = f" of {name!r}" if name else ""
    expected = (*shape, *inputs.shape[1:])
    if inputs.ndim == 0 or inputs.shape[0] != shape[0]:
        raise InputError(f"expected inputs{label} with {shape[0]} samples first; got shape {inputs.shape}")
    if attributions.shape != expected:
        raise InputError(f"expected attributions{label} of shape {expected}; got {attributions.shape}")
    if baselines.ndim == 0 or baselines.shape[1:] != inputs.shape[1:] or baselines.shape[0] not in (1, shape[0]):
        raise InputError(
            f"expected baselines{label} of shape {inputs.shape} or {(1, *inputs.shape[1:])}; got {baselines.shape}"
        )


def check_like(name: str, leaves: Sequence[Array], model: str, likes: Sequence[Array]) -> None:
    """Check that leaves are shaped like those of another structure."""
    found, expected = ([leaf.shape for leaf in part] for part in (leaves, likes))
    if found != expected:
        raise InputError(f"expected {name} shaped like {model}, {expected}; got {found}")


def same(one: Array, other: Array) -> bool:
    """Tell whether two arrays agree in dtype, shape and every element; NaN agrees with NaN."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))


def pick_rows(length: int, key: Any) -> Ints:
    """Turn an index, slice, mask or list of samples into row numbers.

    Examples
    --------
    >>> pick_rows(4, -1), pick_rows(4, slice(0, 2)), pick_rows(4, [True, False, False, True])
    (array([3]), array([0, 1]), array([0, 3]))
    """
    if isinstance(key, list) and not key:
        key = slice(0, 0)
    if isinstance(key, (tuple, str)) or key is None:
        raise IndexError(f"expected an index, slice, mask or list of samples; got {key!r}")
    index = key if isinstance(key, (int, slice)) else np.asarray(key)
    return np.atleast_1d(np.arange(length, dtype=np.int64)[index])


def _take_labels(spec: Spec, rows: Ints, length: int) -> Spec:
    index = tuple(spec.index[row] for row in rows) if len(spec.index) == length else spec.index
    return replace(spec, index=index, children=tuple(_take_labels(child, rows, length) for child in spec.children))


def _writable(array: Any) -> bool:
    """Tell whether the array, or one that it is a view of (a DataFrame hands such views out), can be written to."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return True
        array = array.base
    return False
