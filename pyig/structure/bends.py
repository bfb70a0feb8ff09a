"""How far a model is piecewise linear: the same for every framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

NOT_PIECEWISE = "the model is not piecewise linear up to a smooth function of its outputs"


@dataclass(frozen=True)
class Piece:
    """An operation on tensors that depend on the input, which have numbers.

    Attributes
    ----------
    reads, makes : tuple of int
        Such tensors among its arguments and among its results.
    values : tuple of int
        Those of its results that are values: the places of a maximum are none.
    macs : float
        Multiply-adds per row.
    bends : bool
        Whether it is piecewise linear, with kinks that are known.
    is_linear : callable
        ``is_linear(known) -> bool``: whether its results are linear between kinks when those tensors are.
    """

    reads: tuple[int, ...]
    makes: tuple[int, ...]
    values: tuple[int, ...]
    macs: float
    bends: bool
    is_linear: Callable[[AbstractSet[int]], bool]


@dataclass(frozen=True)
class Bends:
    """What was found.

    Attributes
    ----------
    places : tuple of int
        Which of the operations have kinks.
    scalars : int
        The last tensor that is piecewise linear and through which everything passes.
    tailed : bool
        Whether something follows it.
    """

    places: tuple[int, ...]
    scalars: int
    tailed: bool


def find_bends(
    pieces: Sequence[Piece], points: Sequence[int], output: int, has_rows: Callable[[int], bool]
) -> Bends | None:
    """Find the operations with kinks, and the tensor behind the last of them; None where work or kinks follow it.

    Parameters
    ----------
    pieces : sequence of Piece
        In an order in which they can run.
    points : sequence of int
        The inputs on the path.
    output : int
        The explained tensor.
    has_rows : callable
        Whether a tensor has one row per sample, of numbers like the points.

    Examples
    --------
    >>> linear = lambda reads, makes: Piece(reads, makes, makes, 4.0, False, lambda known: known.issuperset(reads))
    >>> relu = Piece((1,), (2,), (2,), 0.0, True, lambda known: False)
    >>> softmax = Piece((3,), (4,), (4,), 0.0, False, lambda known: False)
    >>> find_bends([linear((0,), (1,)), relu, linear((2,), (3,)), softmax], [0], 4, lambda number: True)
    Bends(places=(1,), scalars=3, tailed=True)
    """
    last = {number: at for at, piece in enumerate(pieces) for number in piece.reads} | {output: len(pieces)}
    known, waiting = set(points), set(points)
    found: list[int] = []
    scalars, macs, done, after = points[0] if len(points) == 1 else None, 0.0, 0, 0
    for at, piece in enumerate(pieces):
        if piece.is_linear(known):
            known.update(piece.values)
        elif piece.bends and known.issuperset(piece.reads) and has_rows(piece.reads[0]):
            known.update(piece.values)
            found.append(at)
        macs += piece.macs
        waiting = {number for number in (*waiting, *piece.makes) if last.get(number, -1) > at}
        if len(waiting) == 1 and waiting <= known and has_rows(min(waiting)):
            scalars, after, done, macs = min(waiting), at + 1, len(found), 0.0
    if scalars is None or macs or len(found) > done:
        return None
    return Bends(tuple(found), scalars, after < len(pieces))
