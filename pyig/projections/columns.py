"""Projections of tables: a tensor as it is, its columns by name, and columns that encode categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig.projections.contract import Array, Encoded, Feature, check_unique, check_width, label_of

NONE, MIXED = "(none)", "(mixed)"


@dataclass(frozen=True)
class Identity:
    """The tensor is the user's feature, whatever its shape.

    Parameters
    ----------
    name : str, optional
        Name of the feature, where it is not that of the tensor.
    """

    name: str | None = None

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return the tensor as one feature."""
        name = self.name or label_of(encoded)
        return {name: Feature(encoded.attributions, encoded.inputs, encoded.baselines)}


class BagOfFeatures:
    """Every column of a (N, D) tensor is a feature with a name of its own.

    Parameters
    ----------
    names : sequence of str
        D names.
    """

    def __init__(self, names: Sequence[Any]) -> None:
        self.names = tuple(str(name) for name in names)
        check_unique("feature names", self.names)

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return one feature (N,) per column."""
        check_width("a bag of features", encoded, self.names)
        phi, x, start = encoded.attributions, encoded.inputs, encoded.baselines
        return {name: Feature(phi[..., j], x[:, j], start[:, j]) for j, name in enumerate(self.names)}


class OneHot:
    """Columns that encode one category become that category: its attribution is the sum over the columns.

    Parameters
    ----------
    categories : sequence
        What each column stands for.
    name : str, optional
        Name of the feature, where it is not that of the tensor.

    Notes
    -----
    A row of zeros reads ``"(none)"``, and one that is no category, such as the mean of many, ``"(mixed)"``.
    """

    def __init__(self, categories: Sequence[Any], name: str | None = None) -> None:
        self.categories = tuple(str(category) for category in categories)
        self.name = name
        check_unique("categories", self.categories)

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return one feature (N,) whose values are text."""
        check_width("a one-hot encoding", encoded, self.categories)
        phi = encoded.attributions.sum(axis=-1)
        return {self.name or label_of(encoded): Feature(phi, self._read(encoded.inputs), self._read(encoded.baselines))}

    def _read(self, rows: Array) -> Array:
        texts = np.array([*self.categories, NONE, MIXED])
        count = len(self.categories)
        hot = (rows == 1) & ((rows != 0).sum(axis=1, keepdims=True) == 1)
        chosen = np.where(hot.any(axis=1), hot.argmax(axis=1), np.where((rows == 0).all(axis=1), count, count + 1))
        return np.asarray(texts[chosen])


class MultiHot:
    """Columns that say of each category whether it is there: one feature (N, D), its parts named ``name=category``.

    Parameters
    ----------
    categories : sequence
        What each column stands for.
    name : str, optional
        Name of the feature, where it is not that of the tensor.

    Notes
    -----
    An absent category keeps its attribution, which is not zero where the baseline has it: else the sum were lost.
    """

    def __init__(self, categories: Sequence[Any], name: str | None = None) -> None:
        self.categories = tuple(str(category) for category in categories)
        self.name = name
        check_unique("categories", self.categories)

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return one feature with a part per category."""
        check_width("a multi-hot encoding", encoded, self.categories)
        name = self.name or label_of(encoded)
        labels = tuple(f"{name}={category}" for category in self.categories)
        return {name: Feature(encoded.attributions, encoded.inputs, encoded.baselines, labels)}
