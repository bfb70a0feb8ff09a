"""Explanations of encoded tensors -> the user's columns, and baselines in the user's words -> encoded tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.baselines import several
from pyig.errors import InputError, unknown
from pyig.projections import BagOfFeatures, Embedding, Encoded, Feature, Identity, Projection

_JOINED = " "


@dataclass(frozen=True)
class Words:
    """What the rows of one call look like to the user.

    Attributes
    ----------
    arrays : dict of array
        The model's inputs, by name.
    groups : dict of tuple of str
        The columns of inputs that were put together from several.
    encoded : set of str
        Inputs that stand behind an encoding.
    """

    arrays: Mapping[str, NDArray[Any]]
    groups: Mapping[str, tuple[str, ...]]
    encoded: frozenset[str]

    def projection(self, name: str, shape: tuple[int, ...]) -> Projection:
        """Return how attributions of the tensor that stands for an input, of some shape, become the user's."""
        values = self.arrays[name]
        if name in self.groups and name not in self.encoded:
            return BagOfFeatures(self.groups[name])
        if name not in self.encoded:
            return BagOfFeatures([name]) if values.shape[1:] == (1,) else Identity(name)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        each = len(shape) > values.ndim or values.dtype.kind == "f"
        if each and shape[: values.ndim] == values.shape:
            return Embedding(values, name=name)
        return Embedding(_joined(values), name=name)  # one vector for all values of a row

    def still(self, names: Sequence[str], targets: int) -> dict[str, Feature]:
        """Return inputs that do not move as features without attribution."""
        found = {}
        for name in names:
            values = self.arrays[name]
            if values.ndim < 1:
                continue
            values = values[:, 0] if values.shape[1:] == (1,) else values
            feature = Embedding(values, values, name)
            zeros = np.zeros((len(values), targets, *values.shape[1:]))
            found[name] = Feature(zeros, feature.values, feature.baselines)
        return found


@dataclass(frozen=True)
class WithStill:
    """A projection that also returns the features that do not move."""

    projection: Projection
    words: Words
    names: Sequence[str]

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return the features of the tensor, and those besides it."""
        return {**self.projection(encoded), **self.words.still(self.names, encoded.attributions.shape[1])}


def baselines_for(
    given: Any,
    groups: Mapping[str, tuple[str, ...]],
    names: Sequence[str],
    encode: Callable[[str, Any], Any],
) -> Any:
    """Return baselines as the engine takes them: a dict by tensor, or what it can make of the tensors itself.

    Parameters
    ----------
    given : None, number, str, callable, dict, `pyig.several`
        A dict is by input or by column: the user's own values, or floats shaped like the encoded tensor.
    groups : dict of tuple of str
        The columns of inputs that were put together.
    names : sequence of str
        Tensors that may have a baseline.
    encode : callable
        ``encode(name, value)`` gives a value of the user as a value of the tensor.

    Raises
    ------
    InputError
        For a name that is neither input nor column.
    """
    if isinstance(given, several):
        return several([baselines_for(item, groups, names, encode) for item in given.items])
    if not isinstance(given, Mapping):
        return given
    left = dict(given)
    found = {}
    for name in names:
        group = groups.get(name, ())
        if name in left:
            found[name] = encode(name, left.pop(name))
        elif any(column in left for column in group):
            parts = [np.asarray(left.pop(column, 0.0)) for column in group]
            if any(part.dtype.kind not in "fiub" for part in parts):
                raise InputError(f"expected numbers as baselines of {', '.join(group)}; got text or objects")
            rows = max((len(part) for part in parts if part.ndim), default=1)
            found[name] = np.stack([np.broadcast_to(part, rows) for part in parts], axis=1)
    if left:
        raise unknown(
            "baseline", next(iter(left)), [*names, *(column for group in groups.values() for column in group)]
        )
    return found


def _joined(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values of each row as one text."""
    if values.ndim == 1:
        return values
    flat = values.reshape(len(values), -1)
    return np.array([_JOINED.join(part for part in map(_text, row) if part) for row in flat])


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
