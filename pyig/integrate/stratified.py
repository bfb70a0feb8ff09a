"""Where the gradients of expected gradients go: every baseline in turn, its alphas one per stratum.

A sample's *seats* are its baselines in the order of its own shuffle. How nodes, weights and contrasts lie on the seats
is the same for all samples (`Design`); which baseline takes a seat, and where in its stratum a node falls, is drawn for
each sample from a stream of its own (`Draws`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Floats, Ints
from pyig.streams import stream

_SHARE = 8  # most strata of a seat that share a shift
_MOST = 3  # nodes of a group that spans several seats


@dataclass(frozen=True)
class Design:
    """How n gradients lie on min(n, M) seats, and which contrasts between them show their spread.

    Nodes come seat by seat. A few strata of a seat share one shift, so that their nodes are equally spaced: a peak that
    is wider than a stratum is neither missed by two neighbours nor hit by both. Many strata have a shift each: what
    trend there is within them then cancels.

    Two neighbouring strata form a group (three where their number is odd), and so do two neighbouring seats that have
    one node each. A group's contrast has coefficients that sum to zero, and whose squares sum to those of the nodes'
    weights. Of nodes that are drawn independently its expected square is their share of the estimate's variance, and
    more where their means differ. The error that nodes with one shift make of a linear trend grows with their number n
    as against that of the contrasts, as n / 6: from six on these are enlarged by its root.

    Attributes
    ----------
    seats, strata : int64 (n,)
        Seat of each node, and its stratum on it.
    shifts : int64 (n,)
        Which shift a node takes.
    levels : int64 (shifts,)
        The number of each shift on its seat, from 0.
    counts : int64 (seats,)
        Strata of each seat.
    weights : float64 (n,)
        Weights, which sum to 1.
    touched : int64 (3, n)
        Seats whose contrasts a node is part of; -1 where there are fewer.
    coefficients : float64 (3, n)
        The node's coefficient there.
    signs : int64 (3, n)
        Which sign it takes there: one for each group and seat.
    closing : int64 (3, n)
        Seats that are complete with this node; -1 where there are fewer.
    """

    seats: Ints
    strata: Ints
    shifts: Ints
    levels: Ints
    counts: Ints
    weights: Floats
    touched: Ints
    coefficients: Floats
    signs: Ints
    closing: Ints

    @classmethod
    def of(cls, n: int, baselines: int) -> Design:
        """Lay n gradients on the seats, evenly; fewer than there are baselines take that many seats."""
        used = min(n, baselines)
        counts = np.full(used, n // used)
        counts[: n % used] += 1
        seats = np.repeat(np.arange(used), counts)
        strata = np.concatenate([np.arange(count) for count in counts])
        weights = 1.0 / (used * counts[seats])
        shape = (_MOST, n)
        touched, signs = np.full(shape, -1), np.zeros(shape, dtype=np.int64)
        coefficients = np.zeros(shape)
        together = np.where(counts > _SHARE, 1, counts)
        number = 0
        for group in _groups(counts):
            contrast = _contrast(weights[group], within=seats[group[0]] == seats[group[-1]] == seats[group[1]])
            contrast *= np.sqrt(max(1.0, together[seats[group[0]]] / 6))
            # Of a subset the baselines themselves are a draw. Else they are all there, and only the gradients count:
            # each seat takes the group's differences times its own x - x'.
            places = [[seat] for seat in seats[group]] if n < baselines else [sorted(set(seats[group]))] * len(group)
            for node, coefficient, own in zip(group, contrast, places, strict=True):
                touched[: len(own), node] = own
                coefficients[: len(own), node] = coefficient / np.sqrt(len(own))
                signs[: len(own), node] = number + (np.arange(len(own)) if n >= baselines else 0)
            number += len(places[0])
        shifts, levels = _shifts(counts)
        return cls(
            seats, strata, shifts, levels, counts, weights, touched, coefficients, signs, _closing(seats, touched)
        )

    @property
    def steps(self) -> int:
        """Number of nodes."""
        return len(self.seats)

    @property
    def has_spread(self) -> bool:
        """Tell whether there is a contrast: a single node has none."""
        return bool((self.touched >= 0).any())

    def open_after(self, nodes: int) -> Ints:
        """Return the seats that have a node among the first `nodes`, and are not complete with them."""
        closed = self.closing[:, :nodes]
        return np.setdiff1d(self.seats[:nodes], closed[closed >= 0])


@dataclass(frozen=True)
class Draws:
    """What was drawn for S samples.

    Attributes
    ----------
    baselines : int64 (S, seats)
        Who sits where.
    alphas : float64 (S, n)
        The nodes.
    signs : int8 (S, R, signs)
        Random signs of the contrasts, R times.
    """

    baselines: Ints
    alphas: Floats
    signs: NDArray[np.int8]


def draw(design: Design, baselines: int, replicates: int, seed: Sequence[int], samples: Ints) -> Draws:
    """Draw for the samples of these numbers, each from its own stream."""
    used, count = len(design.counts), int(design.signs.max()) + 1
    deck = stream(seed).permutation(baselines)
    who = np.empty((len(samples), used), dtype=np.int64)
    alphas = np.empty((len(samples), design.steps))
    signs = np.empty((len(samples), replicates, count), dtype=np.int8)
    sizes = np.bincount(design.levels)
    first = np.cumsum(sizes) - sizes
    for row, sample in enumerate(samples):
        rng = stream(seed, int(sample))
        # A subset is dealt from one deck, so that over the samples all baselines come equally often.
        hand = deck[(int(sample) * used + np.arange(used)) % baselines]
        who[row] = rng.permutation(hand)
        # Over the seats the shifts of a level are evenly spaced, in an order that has nothing to do with the seats.
        order = np.lexsort((rng.random(len(design.levels)), design.levels))
        place = np.empty(len(order))
        place[order] = np.arange(len(order)) - first[design.levels[order]]
        shift = (place + rng.random(len(sizes))[design.levels]) / sizes[design.levels]
        alphas[row] = (design.strata + shift[design.shifts]) / design.counts[design.seats]
        signs[row] = 2 * rng.integers(0, 2, size=(replicates, count), dtype=np.int8) - 1
    return Draws(who, alphas, signs)


def _shifts(counts: Ints) -> tuple[Ints, Ints]:
    """Return the shift of every node, and the level of every shift."""
    shifts: list[int] = []
    levels: list[int] = []
    for count in counts.tolist():
        own = list(range(count)) if count > _SHARE else [0] * count
        shifts += [len(levels) + level for level in own]
        levels += sorted(set(own))
    return np.array(shifts), np.array(levels)


def _groups(counts: Ints) -> Iterator[list[int]]:
    """Group the nodes by two and three: within a seat, or one node each of neighbouring seats."""
    first = np.concatenate([[0], np.cumsum(counts)])
    lonely = [int(first[seat]) for seat in np.flatnonzero(counts == 1)]
    alone = len(lonely) == 1 < len(counts)  # the seat before it has two nodes: they make a group of three
    for seat, (start, stop) in enumerate(pairwise(first)):
        if counts[seat] > 1 and not (alone and seat == len(counts) - 2):
            yield from _by_two(list(range(start, stop)))
    if alone:
        yield [lonely[0] - 2, lonely[0], lonely[0] - 1]
    else:
        yield from _by_two(lonely)


def _by_two(nodes: list[int]) -> Iterator[list[int]]:
    """Cut into pairs, the last a group of three where there is one over."""
    pairs = len(nodes) // 2
    for k in range(pairs):
        yield nodes[2 * k : len(nodes) if k == pairs - 1 else 2 * k + 2]


def _contrast(weights: Floats, within: bool) -> Floats:
    """Return the difference of two; of three their trend within a seat, and between seats the second's difference."""
    pattern = np.array([1.0, -1.0] if len(weights) == 2 else [1.0, 0.0, -1.0] if within else [1.0, -2.0, 1.0])
    contrast: Floats = pattern * np.sqrt((weights**2).sum() / (pattern**2).sum())
    return contrast


def _closing(seats: Ints, touched: Ints) -> Ints:
    """Return for each node the seats that no later node belongs to or touches."""
    last: dict[int, int] = {}
    for node in range(len(seats)):
        for seat in (int(seats[node]), *touched[:, node].tolist()):
            last[seat] = node
    closing = np.full(touched.shape, -1)
    filled = np.zeros(len(seats), dtype=np.int64)
    for seat, node in last.items():
        if seat >= 0:
            closing[filled[node], node] = seat
            filled[node] += 1
    return closing
