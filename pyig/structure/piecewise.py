"""Where paths cross the kinks of a piecewise-linear model, and integrals over the regions between.

Between two neighbouring breakpoints everything up to the model's outputs is linear in alpha. The breakpoints are found
layer by layer: up to a layer's own kinks its arguments are linear between the breakpoints known so far, so a change of
sign between two of them has its place by linear interpolation (Sotoudeh and Thakur 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyig import _core
from pyig.contracts import Floats, Ints

Segments = tuple[Ints, Floats]
_NODES = (3, 8)
_MOST_PANELS = 64
_CONVERGED = 1e-13


@dataclass
class Breakpoints:
    """The breakpoints of many paths, sorted by sample and alpha; every path begins with 0 and 1.

    Parameters
    ----------
    samples : int64 (R,)
        The sample of each breakpoint.
    alphas : float64 (R,)
        Its place on the path.
    gap : float
        Closer breakpoints are one.

    Examples
    --------
    >>> found = Breakpoints.ends([0, 1], gap=1e-14)
    >>> _ = found.insert(np.array([1]), np.array([0.25]))
    >>> found.alphas.tolist(), found.regions(2).tolist()
    ([0.0, 1.0, 0.0, 0.25, 1.0], [1, 2])
    """

    samples: Ints
    alphas: Floats
    gap: float

    @classmethod
    def ends(cls, samples: Sequence[int], gap: float) -> Breakpoints:
        """Return the two ends of each sample's path."""
        return cls(np.repeat(np.asarray(samples, dtype=np.int64), 2), np.tile([0.0, 1.0], len(samples)), gap)

    def left(self) -> Ints:
        """Return the rows that begin a region: the next row is its other end."""
        rows: Ints = np.flatnonzero(self.samples[1:] == self.samples[:-1])
        return rows

    def regions(self, samples: int) -> Ints:
        """Return the number of regions of each sample, 0 for one that was dropped."""
        counts: Ints = np.maximum(np.bincount(self.samples, minlength=samples) - 1, 0)
        return counts

    def insert(self, samples: Ints, alphas: Floats) -> NDArray[np.bool_]:
        """Add breakpoints; return a mask over the new rows that marks those that were added."""
        joined = np.concatenate([self.samples, samples]), np.concatenate([self.alphas, alphas])
        fresh = np.arange(len(joined[0])) >= len(self.samples)
        order = np.lexsort((joined[1], joined[0]))
        sample, alpha, fresh = joined[0][order], joined[1][order], fresh[order]
        near = (np.diff(alpha) < self.gap) & (np.diff(sample) == 0)
        drop = np.zeros(len(alpha), dtype=bool)
        drop[1:] |= near
        drop[:-1] |= near & ~fresh[1:]  # an old neighbour behind it is as good a reason as one before
        keep = ~(drop & fresh)
        self.samples, self.alphas = sample[keep], alpha[keep]
        return fresh[keep]

    def drop(self, samples: Ints) -> None:
        """Forget samples."""
        keep = ~np.isin(self.samples, samples)
        self.samples, self.alphas = self.samples[keep], self.alphas[keep]

    def within(self, segments: Segments) -> tuple[Ints, Floats]:
        """Return sample and alpha of points given as a region's first row and a share of the region."""
        rows, shares = segments
        return self.samples[rows], self.alphas[rows] + shares * (self.alphas[rows + 1] - self.alphas[rows])


def crossings(values: NDArray[np.floating], left: Ints, kinks: Sequence[float]) -> Segments:
    """Return where linear functions cross kinks between rows.

    Parameters
    ----------
    values : float (R, U)
        The functions at the rows.
    left : int64 (S,)
        Rows that begin a segment, which ends at the next row.
    kinks : sequence of float
        The values to cross.

    Returns
    -------
    tuple of int64 (K,), float64 (K,)
        The segment's first row, and the crossing's share of the segment, strictly between 0 and 1.
    """
    rows, shares = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for kink in kinks:
        before, after = values[left] - kink, values[left + 1] - kink
        at, unit = np.nonzero((before > 0) & (after < 0) | (before < 0) & (after > 0))
        a, b = before[at, unit].astype(np.float64), after[at, unit].astype(np.float64)
        rows.append(left[at])
        shares.append(a / (a - b))
    return np.concatenate(rows), np.concatenate(shares)


def takeovers(values: NDArray[np.floating], winners: Ints, left: Ints) -> Segments:
    """Return where the largest of several linear functions at one row meets the largest at the next.

    A third one may be larger there, so the places found are to be tried again.

    Parameters
    ----------
    values : float (R, U)
        The functions.
    winners : int64 (R, V)
        Which function is the largest, for each of V maxima.
    left : int64 (S,)
        Rows that begin a segment.
    """
    at, unit = np.nonzero(winners[left] != winners[left + 1])
    rows = left[at]
    first, last = winners[rows, unit], winners[rows + 1, unit]
    before = values[rows, first].astype(np.float64) - values[rows, last]
    after = values[rows + 1, first].astype(np.float64) - values[rows + 1, last]
    real = (before > 0) & (after < 0)
    return rows[real], before[real] / (before[real] - after[real])


def averages(
    function: Callable[[Ints, Floats], Floats], regions: int, samples: Ints, smooth: bool = True
) -> tuple[Floats, bool]:
    """Average a smooth function over every region.

    Parameters
    ----------
    function : callable
        ``function(regions, shares) -> float64 (K, ...)``: the function at a share of each given region.
    regions : int
        Number of regions.
    samples : int64 (regions,)
        The sample of each region: digits count relative to the sample's largest value.
    smooth : bool
        False where the function is constant on every region, so that one node gives its average.

    Returns
    -------
    float64 (regions, ...), bool
        The averages, and whether all of them converged.
    """
    every = np.arange(regions)
    if not smooth:
        return function(every, np.full(regions, 0.5)), True
    coarse = _composite(function, every, _NODES[0], 1)
    found = _composite(function, every, _NODES[1], 1)
    axes = tuple(range(1, found.ndim))
    scale = np.zeros(int(samples.max()) + 1)
    np.maximum.at(scale, samples, np.abs(found).max(axis=axes))
    gap = np.abs(found - coarse).max(axis=axes)
    panels = 2
    while (rest := np.flatnonzero(gap > _CONVERGED * scale[samples])).size:
        if panels > _MOST_PANELS:
            return found, False
        finer = _composite(function, rest, _NODES[1], panels)
        gap[rest] = np.abs(finer - found[rest]).max(axis=axes)
        found[rest] = finer
        panels *= 2
    return found, True


def _composite(function: Callable[[Ints, Floats], Floats], regions: Ints, nodes: int, panels: int) -> Floats:
    points, weights, _ = _core.rule("gausslegendre", nodes)
    total: Floats | float = 0.0
    for panel in range(panels):
        for point, weight in zip(points, weights, strict=True):
            total = total + weight / panels * function(regions, np.full(len(regions), (panel + point) / panels))
    return np.asarray(total)
