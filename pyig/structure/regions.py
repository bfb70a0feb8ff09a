"""The linear regions of every path of a batch, and the exact integrals over them: the same for every framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Floats, Ints, Tensor
from pyig.structure.piecewise import Breakpoints, Segments, averages, crossings, takeovers
from pyig.structure.refusal import Refusal

Head = Callable[[Any, list[Any]], tuple[Any, Any]]
Kinks = tuple[float, ...]
_ROUNDS = 8  # a maximum of k functions has at most k - 1 takeovers; a third function shows in the next round
_GAPS = {8: 1e-13}  # rounding finds a place again at this distance, and errs by as much at a merged one


@dataclass(frozen=True)
class Exact:
    """Exact attributions of the samples that stayed within their budget.

    Attributes
    ----------
    samples : int64 (S,)
        Which samples these are.
    attributions : list of tensor (S, ...)
        One per leaf, in the widest dtype of the device.
    offsets : int64 (S + 1,)
        The regions of sample s are ``offsets[s]:offsets[s + 1]``.
    alphas, widths, values, slopes : float64 (regions,)
        Middle and width of each region, F there, and the mean of dF/d(alpha) over it.
    """

    samples: Ints
    attributions: list[Tensor]
    offsets: Ints
    alphas: Floats
    widths: Floats
    values: Floats
    slopes: Floats


class Paths(Protocol):
    """A piecewise-linear model along the paths of some samples, as a framework runs it.

    Attributes
    ----------
    count : int
        How many paths.
    rows : int
        Most rows of one model call.
    forwards : int
        Rows of the forwards so far.
    bends : sequence of tuple of float or None
        Of each operation with kinks in the model's order: where they are; None for a maximum.
    linear_tail : bool
        Whether the explained output is the scalars themselves.
    """

    count: int
    rows: int
    forwards: int
    bends: Sequence[Kinks | None]
    linear_tail: bool

    def arguments(self, bend: int, samples: Ints, alphas: Floats) -> tuple[NDArray[Any], Ints | None]:
        """Return what an operation with kinks is given at some points, (R, U); of a maximum also who wins, (R, V)."""
        ...

    def scalars(self, samples: Ints, alphas: Floats) -> Floats:
        """Return the last piecewise-linear tensor at some points, (R, ...)."""
        ...

    def outer(self, head: Head, index: Sequence[Tensor], samples: Ints, scalars: Floats) -> tuple[Floats, Floats]:
        """Return F (R,) and its gradient with respect to the scalars, for such scalars of some samples."""
        ...

    def pulled(self, samples: Ints, alphas: Floats, weights: Floats) -> tuple[Ints, list[Tensor]]:
        """Return the samples, and the sums of their rows' gradients at some points, times x - x'.

        The gradients are those of the scalars with the weights (R, ...) as cotangents.
        """
        ...


class Regions:
    """The regions of every path of a batch.

    Parameters
    ----------
    paths : Paths
        The model along them.
    most : int
        A sample with more regions is dropped as soon as that shows.
    itemsize : int
        Bytes of a number of the model.
    """

    def __init__(self, paths: Paths, most: int, itemsize: int) -> None:
        self._paths = paths
        self._breaks = Breakpoints.ends(range(paths.count), _GAPS.get(itemsize, 1e-6))
        self._refine(most)

    @property
    def counts(self) -> Ints:
        """Regions of each sample (N,), which is what its attributions cost in gradients; 0 where it was dropped."""
        return self._breaks.regions(self._paths.count)

    @property
    def forwards(self) -> int:
        """Rows of the forwards so far."""
        return self._paths.forwards

    def attributions(self, head: Head, index: Sequence[Tensor], *, linear: bool = False) -> Exact | Refusal:
        """Integrate a smooth function of the outputs.

        Parameters
        ----------
        head : callable
            ``head(outputs, index) -> values (R,), cotangent like the outputs``.
        index : sequence of int64 tensor (N,)
            Flat target indices, passed on to the head for the rows' samples.
        linear : bool
            Whether the head is linear in the outputs.

        Returns
        -------
        Exact or Refusal
            Refused where the head is not smooth enough to be averaged.
        """
        breaks, paths = self._breaks, self._paths
        left = breaks.left()
        samples, alphas = breaks.samples[left], breaks.alphas[left]
        widths = breaks.alphas[left + 1] - alphas
        middles = alphas + 0.5 * widths
        ends = paths.scalars(breaks.samples, breaks.alphas)
        start, rise = ends[left], ends[left + 1] - ends[left]

        def outer(regions: Ints, shares: Floats) -> tuple[Floats, Floats]:
            scalars = start[regions] + _column(shares, ends) * rise[regions]
            return paths.outer(head, index, samples[regions], scalars)

        smooth = not (linear and paths.linear_tail)
        mean, converged = averages(lambda regions, shares: outer(regions, shares)[1], len(left), samples, smooth)
        if not converged:
            return Refusal("the function of the outputs is not smooth")
        kept, sums = paths.pulled(samples, middles, mean * _column(widths, ends))
        values = outer(np.arange(len(left)), np.full(len(left), 0.5))[0]
        slopes = (mean * rise).reshape(len(left), -1).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = np.where(widths > 0, slopes / widths, 0.0)
        offsets = np.concatenate([[0], np.cumsum(self.counts[kept])])
        return Exact(kept, sums, offsets, middles, widths, values, slopes)

    def _refine(self, most: int) -> None:
        """Find the breakpoints of one operation after the other, by forwards alone."""
        for bend, kinks in enumerate(self._paths.bends):
            again: NDArray[np.bool_] | None = None
            for _ in range(_ROUNDS):
                found = self._crossed(bend, self._begins(again))
                if not len(found[0]):
                    break
                again = self._breaks.insert(*self._breaks.within(found))
                over = np.flatnonzero(self.counts > most)
                if len(over):
                    again = again[~np.isin(self._breaks.samples, over)]
                    self._breaks.drop(over)
                if kinks is not None or not again.any():
                    break

    def _begins(self, again: NDArray[np.bool_] | None) -> Ints:
        """Return the rows whose regions are to be looked at: all, or those beside a new breakpoint."""
        left = self._breaks.left()
        return left if again is None else left[again[left] | again[left + 1]]

    def _crossed(self, bend: int, left: Ints) -> Segments:
        """Return where an operation's kinks lie within the regions that begin at these rows."""
        kinks, each = self._paths.bends[bend], max(1, self._paths.rows // 2)
        found: list[Segments] = []
        for first in range(0, len(left), each):
            part = left[first : first + each]
            rows = np.unique(np.concatenate([part, part + 1]))
            local = np.searchsorted(rows, part)
            values, winners = self._paths.arguments(bend, self._breaks.samples[rows], self._breaks.alphas[rows])
            if kinks is not None:
                at, shares = crossings(values, local, kinks)
            else:
                assert winners is not None
                at, shares = takeovers(values, winners, local)
            found.append((rows[at], shares))
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        return np.concatenate([rows for rows, _ in found]), np.concatenate([shares for _, shares in found])


def chunks(samples: Ints, rows: int) -> list[slice]:
    """Return the parts of some rows, of at most so many each."""
    return [slice(first, first + rows) for first in range(0, len(samples), rows)]


def _column(numbers: Floats, like: NDArray[Any]) -> Floats:
    return numbers.reshape(-1, *[1] * (like.ndim - 1))
