"""The features of one sample by weight, with what makes their sum come out at F(x) - F(x')."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.table import feature_labels, flat_columns
from pyig.views.passage import is_text
from pyig.views.words import change

VISIBLE_GAP = 0.005  # of the longest bar: a thinner one could not be seen


class Row(NamedTuple):
    """One feature: its name, its value in x and in x', its attribution."""

    label: str
    value: Any
    baseline: Any
    attribution: float


class Ranking(NamedTuple):
    """Rows by falling ``|attribution|``; ``sum of rows + remainder + missing = difference``.

    Attributes
    ----------
    rows : list of Row
        The top features.
    others : int
        How many features are in the remainder.
    remainder : float
        Sum of the attributions of the others.
    missing : float
        What the attributions lack to reach the difference: minus the completeness gap.
    difference : float
        F(x) - F(x').
    """

    rows: list[Row]
    others: int
    remainder: float
    missing: float
    difference: float

    @property
    def largest(self) -> float:
        """Length of the longest bar."""
        lengths = [abs(row.attribution) for row in self.rows] + [abs(self.remainder)]
        return max((length for length in lengths if math.isfinite(length)), default=0.0)

    @property
    def gap_shows(self) -> bool:
        """Whether the completeness gap is long enough to be seen beside the longest bar."""
        return abs(self.missing) > VISIBLE_GAP * self.largest


def rank(explanation: Explanation, i: int, k: int = 0, top: int | None = 10) -> Ranking:
    """Sort the features of sample `i` (and its k-th target); a remainder of one is shown by name instead."""
    if top is not None and top < 1:
        raise InputError(f"expected top to be at least 1, or None for all features; got {top}")
    one = explanation[i]
    attributions, inputs, baselines = (column[0] for column in flat_columns(one))
    phi = attributions[k].astype(np.float64)
    text = text_columns(one)
    order = np.argsort(-np.abs(phi), kind="stable")
    order = order[~(text & (phi == 0))[order]]  # what only stands between the words
    shown = len(order) if top is None or len(order) <= top + 1 else top
    places = order[:shown].tolist()
    rows = [
        Row(inputs[j], "", baselines[j], float(phi[j]))  # a word is its own name
        if text[j]
        else Row(label, inputs[j], baselines[j], float(phi[j]))
        for j, label in zip(places, feature_labels(one, places), strict=True)
    ]
    difference = change(one, 0, k)[2]
    delta = float(one.deltas.reshape(-1)[k])
    return Ranking(rows, len(order) - shown, float(phi[order[shown:]].sum()), -delta, difference)


def text_columns(explanation: Explanation) -> NDArray[np.bool_]:
    """Tell which features are pieces of a text."""
    leaves = explanation.leaves()
    return np.repeat([is_text(leaf) for leaf in leaves], [int(np.prod(leaf.inputs.shape[1:])) for leaf in leaves])
