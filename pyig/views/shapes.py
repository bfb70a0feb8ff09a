"""What an array looks like: a table, a picture and where its channels are, or neither."""

from __future__ import annotations

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.arrays import Leaf
from pyig.explanation.layout import CHANNELS
from pyig.explanation.layout import layout_of as layout_of


def kind_of(explanation: Explanation) -> str:
    """Choose the view that fits the input."""
    leaves = explanation.leaves()
    if not len(explanation):
        return "text"
    if all(leaf.inputs.ndim <= 2 for leaf in leaves):
        return "bars"
    return "image" if len(leaves) == 1 and layout_of(leaves[0].inputs.shape[1:]) else "text"


def picture_leaf(explanation: Explanation, name: str | None = None) -> tuple[Leaf, str]:
    """Return the leaf to draw and its layout: the one named, else the only picture among the leaves."""
    leaves = explanation.leaves()
    found = [(leaf, layout_of(leaf.inputs.shape[1:])) for leaf in leaves if name is None or leaf.name == name]
    pictures = [(leaf, layout) for leaf, layout in found if layout is not None]
    if len(pictures) == 1:
        return pictures[0]
    shapes = ", ".join(f"{leaf.name or 'x'} {leaf.inputs.shape}" for leaf in leaves)
    if pictures:
        raise InputError(f"expected leaf= to name one picture among several; the input has {shapes}")
    raise InputError(
        f"expected a picture (N, H, W), (N, H, W, C) or (N, C, H, W) with C <= {CHANNELS}"
        f"{'' if name is None else f' named {name!r}'}; the input has {shapes}. Use kind='bars' or kind='text'"
    )
