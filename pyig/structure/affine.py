"""Whether a path should start behind the affine part of a model: a rule of costs, the same for every framework."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# One float of a row at the place where the path runs, in multiply-adds of the model. Measured on one AVX-512 core in
# float32: a multiply-add of a wide layer, forward or backward, takes 0.023 ns (0.06 to 0.15 with few channels); a float
# that is interpolated, cloned, differentiated and added with two weights takes 0.5 ns in cache, 3.5 to 7 ns beyond it.
FLOAT_COST = 100.0
# Less is not worth the wider open rows of the adaptive rule. A ResNet-50 saves 2 % by its first convolution, a ViT 1 %.
LEAST_SHARE = 0.05
# Five forwards for the recording; four forwards and VJPs for the check; both ends of a path and the pullback.
CHECK_EVALUATIONS = 12.0


@dataclass(frozen=True)
class Place:
    """A place where the path may run.

    Attributes
    ----------
    floats : int
        Size of a row there.
    macs : float
        Multiply-adds per row of a forward up to there.
    """

    floats: int
    macs: float


def best(places: Sequence[Place], total: float) -> int:
    """Return the position of the place with the cheapest gradient evaluations, the later one of equals.

    Examples
    --------
    >>> best([Place(2000, 0), Place(256, 512_000)], total=514_560)
    1
    """
    return min(range(len(places)), key=lambda i: (_cost(places[i], total), -i))


def pays(place: Place, inputs: Place, total: float, evaluations: float) -> bool:
    """Tell whether to move the path from the input to a place behind the affine part.

    Parameters
    ----------
    place, inputs : Place
        The place, and the input itself.
    total : float
        Multiply-adds per row of a forward of the whole model.
    evaluations : float
        Gradient evaluations that the call is expected to spend, over all samples.

    Notes
    -----
    An evaluation is a forward and a VJP, two multiply-adds for each of the model; beside that each float of the row is
    interpolated, cloned, differentiated and added with its weights. The prefix runs a handful of times instead of once
    per evaluation, but the rows become as wide as the frontier, and so do the open rows of the adaptive rule.

    Examples
    --------
    A wide linear layer pays. The first convolution of a ResNet does not: 3 % of the work, and rows five times as wide.

    >>> pays(Place(256, 512_000), Place(2000, 0), total=514_560, evaluations=1000)
    True
    >>> pays(Place(802_816, 118e6), Place(150_528, 0), total=4.1e9, evaluations=1000)
    False
    """
    plain, moved = _cost(inputs, total), _cost(place, total)
    return moved < (1 - LEAST_SHARE) * plain and evaluations * (plain - moved) > CHECK_EVALUATIONS * plain


def search_pays(evaluations: float) -> bool:
    """Tell whether any prefix could pay, so that it is worth looking for one.

    Examples
    --------
    >>> search_pays(8), search_pays(800)
    (False, True)
    """
    return evaluations > CHECK_EVALUATIONS


def _cost(place: Place, total: float) -> float:
    return 2.0 * (total - place.macs) + FLOAT_COST * place.floats
