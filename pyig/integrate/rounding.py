"""How far a model's value can be off by rounding alone."""

from __future__ import annotations

from pyig.contracts import Tensor

_ROUNDINGS = 8  # a network's value is off by a few units in the last place


def rounding(leaf: Tensor) -> float:
    """Return the relative error to expect of a model's value that was computed in the dtype of this leaf."""
    name = str(leaf.dtype)
    epsilon = 2.0**-52 if "64" in name else 2.0**-8 if "16" in name else 2.0**-23
    return _ROUNDINGS * epsilon
