"""What a projection is given, what it returns, and the law that it keeps: the sum of every path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Floats
from pyig.errors import InputError

Array = NDArray[Any]
_ROUNDING = 1e-5  # of the absolute sums: float32 attributions of a long row lose less when they are added


class Encoded(NamedTuple):
    """One encoded tensor.

    Attributes
    ----------
    name : str
        Path of the leaf in the model's input; ``""`` for a lone tensor.
    attributions : float64 (N, K, ...)
        K is 1 where one target was asked.
    inputs, baselines : array (N, ...)
        The tensor at x and at x'.
    """

    name: str
    attributions: Floats
    inputs: Array
    baselines: Array


class Feature(NamedTuple):
    """One of the user's features.

    Attributes
    ----------
    attributions : float64 (N, K) or (N, K, T)
    inputs, baselines : array (N,) or (N, T)
        The user's own values: numbers, or text. Baselines may have one row for all.
    labels : sequence of str, optional
        Names of the T parts, where they have names.
    """

    attributions: Floats
    inputs: Array
    baselines: Array
    labels: tuple[str, ...] | None = None


class Projection(Protocol):
    """From one encoded tensor to the user's features."""

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return features by name; together they have the sum of the tensor's attributions, path by path."""
        ...


def sums(attributions: Floats) -> Floats:
    """Return the sum of every path, (N, K)."""
    return np.asarray(attributions.sum(axis=tuple(range(2, attributions.ndim)), dtype=np.float64))


def check_sums(what: str, before: Floats, after: Sequence[Floats]) -> None:
    """Raise where attributions were lost or invented; paths with NaN, which a stopped run leaves, are passed over."""
    old = sums(before)
    new: Floats = sum((sums(part) for part in after), start=np.zeros_like(old))
    size: Floats = sum((sums(np.abs(part)) for part in after), start=sums(np.abs(before)))
    with np.errstate(invalid="ignore"):
        wrong = np.abs(new - old) > _ROUNDING * size
    # A NaN that was there before is the run's; one that the projection made is not.
    wrong |= np.isnan(new) & ~np.isnan(old)
    if wrong.any():
        i, k = (int(index) for index in np.argwhere(wrong)[0])
        raise InputError(
            f"expected {what} to keep the sum of the attributions; sample {i} had {old[i, k]:.6g} and has "
            f"{new[i, k]:.6g} afterwards. Give every element of the encoded tensor to exactly one feature"
        )


def label_of(encoded: Encoded) -> str:
    """Name a tensor; a lone one has no name of its own."""
    return encoded.name or "x"


def check_width(what: str, encoded: Encoded, names: tuple[str, ...]) -> None:
    """Check that the tensor is (N, D) with one column per name."""
    shape = encoded.inputs.shape
    if len(shape) != 2 or shape[1] != len(names):
        raise InputError(
            f"expected {label_of(encoded)!r} of shape (N, {len(names)}) for {what} of {len(names)} names; got {shape}"
        )


def check_unique(what: str, names: tuple[str, ...]) -> None:
    """Check that no two names are the same."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"expected {what} without repetition; got {', '.join(map(repr, twice[:5]))} more than once")
