"""Whether a structure computes what the model computes, to what a dtype gives; on numpy, for every framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Forward, Prefix, Tensor

# By bytes per number, relative to the largest entry. A gradient may differ by one unit of a ReLU network that rounding
# puts on the other side of its kink, so it is held to less in float32; in float64 rounding finds no such unit.
_VALUES = {8: 1e-10, 4: 1e-4}
_GRADIENTS = {8: 1e-8, 4: 1e-2}
_HALF = 5e-2
NOT_AFFINE = "the part taken as affine is not: its value between two points is not between its values"
SHARE = 0.375  # not one half: there the three rows have the last as their mean, which hides rows that mix
OR_MIXED = "or the rows of a batch depend on each other"
OTHER_LAYERS = f"its layers, called one by one, give other values than the model, {OR_MIXED}"
OTHER_VALUES = f"the model behind the cut gives other values than the model, {OR_MIXED}"


class Checks(Protocol):
    """The comparisons of one framework: a module such as `pyig.structure.torch_check`."""

    def ends_and_middle(
        self, points: Sequence[Tensor], starts: Sequence[Tensor], fixed: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return baseline, input and a point between of the first sample as three rows, and the fixed tensors."""
        ...

    def gradients(
        self, call: Any, points: Sequence[Tensor], fixed: Sequence[Tensor], along: Tensor | None = None
    ) -> tuple[Tensor, Sequence[Tensor | None], Tensor]:
        """Return values, the VJP with a cotangent, and the cotangent."""
        ...

    def close(self, a: Tensor, b: Tensor) -> bool:
        """Tell whether values agree."""
        ...

    def gradient_gap(self, expected: Sequence[Tensor | None], found: Sequence[Tensor | None]) -> str | None:
        """Compare the last rows of gradients; return the complaint, or None."""
        ...


def cut_gap(
    cut: Prefix,
    checks: Checks,
    forward: Forward,
    points: Sequence[Tensor],
    starts: Sequence[Tensor],
    fixed: Sequence[Tensor],
) -> str | None:
    """Compare values and gradients of a model cut in two with the model's own, on the first sample's path.

    Returns
    -------
    str or None
        Where they differ.
    """
    rows, held = checks.ends_and_middle(points, starts, fixed)
    outputs, expected, along = checks.gradients(forward, rows, held)
    frontier = cut.forward(rows, held)
    middle = between(frontier)
    if not checks.close(middle, frontier[2:]):
        return NOT_AFFINE
    row, kept = ([leaf[-1:] for leaf in part] for part in (rows, held))
    again, found, _ = checks.gradients(lambda z, still: cut.suffix(z[0], still), [middle], kept, along[-1:])
    if not checks.close(again, outputs[-1:]):
        return OTHER_VALUES
    gradient = 0.0 * middle if found[0] is None else found[0]
    return checks.gradient_gap(expected, cut.pullback(row, kept, gradient))


def between(frontier: Tensor) -> Tensor:
    """Return what an affine frontier is at the third of three rows."""
    return frontier[:1] + SHARE * (frontier[1:2] - frontier[:1])


def values_agree(found: NDArray[Any], wanted: NDArray[Any], bytes_each: int) -> bool:
    """Tell whether values agree; what is not finite never does.

    Examples
    --------
    >>> values_agree(np.ones(2), np.ones(2) + 1e-5, 4), values_agree(np.ones(2), np.ones(2) + 1e-5, 8)
    (True, False)
    """
    if found.shape != wanted.shape or not found.size:
        return found.shape == wanted.shape
    a, b = np.asarray(found, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
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
