"""Whether a structure computes what the model computes, to what a dtype gives; on numpy, for every framework."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# By bytes per number, relative to the largest entry. A gradient may differ by one unit of a ReLU network that rounding
# puts on the other side of its kink, so it is held to less in float32; in float64 rounding finds no such unit.
_VALUES = {8: 1e-10, 4: 1e-4}
_GRADIENTS = {8: 1e-8, 4: 1e-2}
_HALF = 5e-2
SHARE = 0.375  # not one half: there the three rows have the last as their mean, which hides rows that mix
OR_MIXED = "or the rows of a batch depend on each other"


def values_agree(found: NDArray[Any], wanted: NDArray[Any], bytes_each: int) -> bool:
    """Tell whether values agree; what is not finite never does.

    Examples
    --------
    >>> values_agree(np.ones(2), np.ones(2) + 1e-5, 4), values_agree(np.ones(2), np.ones(2) + 1e-5, 8)
    (True, False)
    """
    if found.shape != wanted.shape or not found.size:
        return found.shape == wanted.shape
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):  # inf - inf
        return bool(np.abs(a - b).max() <= _VALUES.get(bytes_each, _HALF) * max(np.abs(a).max(), np.abs(b).max()))


def gradients_agree(found: NDArray[Any] | None, wanted: NDArray[Any] | None, bytes_each: int) -> bool:
    """Tell whether gradients agree by the norm of their difference; None is a gradient of zeros.

    Examples
    --------
    >>> gradients_agree(None, np.zeros(2), 4), gradients_agree(None, np.ones(2), 4)
    (True, False)
    """
    if found is None or wanted is None:
        return all(gradient is None or not gradient.any() for gradient in (found, wanted))
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    return bool(np.linalg.norm(a - b) <= _GRADIENTS.get(bytes_each, _HALF) * np.linalg.norm(b))
