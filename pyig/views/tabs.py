"""What an interactive view shows side by side: tables, pictures, texts and series, one tab each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.arrays import Leaf
from pyig.views.shapes import layout_of


class Tab(NamedTuple):
    """One tab.

    Attributes
    ----------
    kind : str
        ``"table"``, ``"image"``, ``"text"`` or ``"series"``.
    name : str
        Name of the leaf; ``"features"`` for what is gathered in one table.
    leaves : tuple of int
        Positions of the leaves it shows, among `Explanation.leaves`.
    layout : str
        Axes of a picture, as `layout_of` names them.
    """

    kind: str
    name: str
    leaves: tuple[int, ...]
    layout: str = ""


def tabs_of(explanation: Explanation) -> list[Tab]:
    """Give each picture, text and series a tab of its own, and all other leaves one table together."""
    found, rest = [], []
    for position, leaf in enumerate(explanation.leaves()):
        kind = kind_of_leaf(leaf)
        if kind == "table":
            rest.append(position)
        else:
            layout = layout_of(leaf.inputs.shape[1:]) or ""
            found.append(Tab(kind, leaf.name or kind, (position,), layout))
    if rest:
        leaves = explanation.leaves()
        alone = leaves[rest[0]].name if len(rest) == 1 else ""
        found.insert(0, Tab("table", alone or "features", tuple(rest)))
    return found


def kind_of_leaf(leaf: Leaf) -> str:
    """Choose by shape and dtype; what is neither picture, text nor series is a table of its elements."""
    shape = leaf.inputs.shape[1:]
    if leaf.inputs.dtype.kind in "US" and len(shape) == 1 and shape[0] > 1:
        return "text"
    if leaf.inputs.dtype.kind not in "fiub":
        return "table"
    if layout_of(shape):
        return "image"
    return "series" if len(shape) == 2 and min(shape) > 0 and np.prod(shape) > 1 else "table"
