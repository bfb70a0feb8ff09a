"""Where a model can be cut behind its affine part, and whether that pays: the same for every framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from pyig.structure.refusal import Refusal

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


class Counted(Protocol):
    """A whole model that knows its work."""

    @property
    def macs(self) -> float:
        """Multiply-adds per row of a forward."""
        ...


class Cut:
    """What a cut behind the affine part says of itself, in every framework."""

    place: Place
    recording: Counted

    @property
    def macs_per_row(self) -> float:
        """Multiply-adds per row of the prefix."""
        return self.place.macs

    @property
    def share(self) -> float:
        """Share of the model's multiply-adds that are before the cut."""
        return self.place.macs / max(1.0, self.recording.macs)

    @property
    def frontier_floats(self) -> int:
        """Elements of the frontier per row."""
        return self.place.floats


@dataclass(frozen=True)
class Operation:
    """An operation on tensors that depend on the input, which have numbers.

    Attributes
    ----------
    reads, makes : tuple of int
        Such tensors among its arguments and among its results.
    macs : float
        Multiply-adds per row.
    is_affine : callable
        ``is_affine(affine) -> bool``: whether its results are affine in the input when those tensors are.
    """

    reads: tuple[int, ...]
    makes: tuple[int, ...]
    macs: float
    is_affine: Callable[[AbstractSet[int]], bool]


def bottlenecks(
    operations: Iterable[Operation], points: Iterable[int], output: int
) -> Iterator[tuple[int, float, bool]]:
    """Find the tensors through which everything passes that depends on the input, behind the first operation.

    Parameters
    ----------
    operations : iterable of Operation
        In an order in which they can run.
    points : iterable of int
        The inputs on the path.
    output : int
        The explained tensor.

    Yields
    ------
    tuple of (int, float, bool)
        The tensor, the multiply-adds per row before it, and whether it is affine in the input.

    Examples
    --------
    >>> linear = Operation((0,), (1,), 8.0, lambda affine: 0 in affine)
    >>> relu = Operation((1,), (2,), 0.0, lambda affine: False)
    >>> list(bottlenecks([linear, relu], [0], 2))
    [(1, 8.0, True), (2, 8.0, False)]
    """
    steps = list(operations)
    last = {v: place for place, step in enumerate(steps) for v in step.reads} | {output: len(steps)}
    affine, waiting, macs = set(points), set(points), 0.0
    for place, step in enumerate(steps):
        macs += step.macs
        if step.is_affine(affine):
            affine.update(step.makes)
        waiting = {v for v in (*waiting, *step.makes) if last.get(v, -1) > place}
        if len(waiting) == 1:
            (only,) = waiting
            yield only, macs, only in affine


def best(places: Sequence[Place], total: float) -> int:
    """Return the position of the place with the cheapest gradient evaluations, the later one of equals.

    Examples
    --------
    >>> best([Place(2000, 0), Place(256, 512_000)], total=514_560)
    1
    """
    return min(range(len(places)), key=lambda i: (_cost(places[i], total), -i))


def cheapest(cuts: Sequence[tuple[int, Place]], total: float) -> tuple[int, Place] | Refusal:
    """Return the tensor and the place with the cheapest gradient evaluations, where there is work before it."""
    frontier, place = cuts[best([place for _, place in cuts], total)]
    if not place.macs:
        return Refusal("there is no work before the place where gradients are cheapest")
    return frontier, place


def pays(place: Place, inputs: Place, total: float, evaluations: float, overhead: float = 0.0) -> bool:
    """Tell whether to move the path from the input to a place behind the affine part.

    Parameters
    ----------
    place, inputs : Place
        The place, and the input itself.
    total : float
        Multiply-adds per row of a forward of the whole model.
    evaluations : float
        Gradient evaluations that the call is expected to spend, over all samples.
    overhead : float
        What the check and the calls at the ends take besides their arithmetic, in multiply-adds of the same duration.

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
    gain = evaluations * (plain - moved)
    return moved < (1 - LEAST_SHARE) * plain and gain > CHECK_EVALUATIONS * plain + overhead


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
