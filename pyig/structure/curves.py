"""Which operations of a model bend the path, where every way from input to output bends at most once.

Along the path the argument of such an operation is z0 + alpha dz, so its derivative has the mean
(sigma(z1) - sigma(z0)) / dz. With that in the place of sigma', one VJP gives the integral: DeepLIFT's rescale rule,
which is exact here. An affine model is the same without the operation: its gradient is constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyig.structure.refusal import Refusal

MOST_LAYERS = 16  # a deeper model has no closed form, and recording it would cost as much as several of its forwards
TOO_DEEP = Refusal("the model has too many layers for a closed form")
BENT_TWICE = "there is more than one nonlinear operation between the input and the output"


@dataclass(frozen=True)
class Move:
    """An operation on tensors that depend on the input, which have numbers.

    Attributes
    ----------
    reads, makes : tuple of int
        Such tensors among its arguments and among its results.
    linear : bool
        Whether its results are affine in what it reads.
    entrywise : bool
        Whether each entry of a result is one continuous function of the same entry of what it reads.
    """

    reads: tuple[int, ...]
    makes: tuple[int, ...]
    linear: bool
    entrywise: bool


def find_curves(moves: Iterable[Move], points: Sequence[int], output: int) -> dict[int, int] | None:
    """Find the tensors that are entrywise functions of affine ones, and on which all else depends affinely.

    Parameters
    ----------
    moves : iterable of Move
        In an order in which they can run.
    points : sequence of int
        The inputs on the path.
    output : int
        The explained tensor.

    Returns
    -------
    dict from int to int, or None
        For each such tensor the affine one; None if some way bends twice.

    Examples
    --------
    >>> layers = [Move((0,), (1,), True, False), Move((1,), (2,), False, True), Move((2,), (3,), True, False)]
    >>> find_curves(layers, [0], 3)
    {2: 1}
    >>> find_curves([*layers, Move((3,), (4,), False, True)], [0], 4) is None
    True
    """
    affine, bent = set(points), set[int]()
    # What a tensor is an entrywise function of: affine tensors, the later ones with fewer operations between.
    roots: dict[int, frozenset[int]] = {v: frozenset([v]) for v in points}
    curves: dict[int, int] = {}
    for move in moves:
        shared = frozenset.intersection(*(roots.get(v, frozenset()) for v in move.reads))
        straight = move.linear and affine.issuperset(move.reads)
        if move.entrywise and shared and not straight:
            roots.update(dict.fromkeys(move.makes, shared))
        elif move.linear and (affine | bent | roots.keys()).issuperset(move.reads):
            curves.update((v, max(roots[v])) for v in move.reads if v in roots and v not in affine)
            (affine if straight else bent).update(move.makes)
            if straight:
                inherited = shared if move.entrywise else frozenset[int]()
                roots.update((v, inherited | {v}) for v in move.makes)
        else:
            return None
    if output in roots and output not in affine:
        curves[output] = max(roots[output])
    return curves
