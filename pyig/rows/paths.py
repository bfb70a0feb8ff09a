"""The ends of the paths, and which open path owns which accumulator slot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyig.contracts import Ints, Tensor


@dataclass(frozen=True)
class Ends:
    """The two ends of every path.

    Attributes
    ----------
    start, stop : list of tensor
        Baseline rows and input rows, one tensor per leaf.
    start_rows, stop_rows : int64 (P,)
        The row of each path in `start` and `stop`: a shared baseline is stored once.
    result_rows : int64 (P,)
        The result that each path adds to: the paths of several baselines share one.
    multiply : bool
        Whether results are the integrals times (x - x'), or the integrals alone.
    """

    start: list[Tensor]
    stop: list[Tensor]
    start_rows: Ints
    stop_rows: Ints
    result_rows: Ints
    multiply: bool = True

    @property
    def results(self) -> int:
        """Number of results."""
        return int(self.result_rows.max()) + 1 if len(self.result_rows) else 0

    @property
    def floats(self) -> int:
        """Numbers in a row of all leaves together."""
        return row_floats(self.stop)

    def of(self, paths: Ints, places: Ints) -> Ends:
        """Return the ends of some paths; their results go to new places."""
        return replace(
            self,
            start_rows=self.start_rows[paths],
            stop_rows=self.stop_rows[paths],
            result_rows=places[self.result_rows[paths]],
        )


def row_floats(leaves: Sequence[Tensor]) -> int:
    """Return how many numbers a row of all leaves together has."""
    return sum(math.prod(map(int, leaf.shape[1:])) for leaf in leaves)


class Slots:
    """Which open path owns which accumulator slot."""

    def __init__(self, paths: int) -> None:
        self._of = np.full(paths, -1, dtype=np.int64)
        self._free: list[int] = []
        self.capacity = 0

    def open(self, paths: Ints) -> Ints:
        """Return the slots of the paths, giving one to each path that has none."""
        slots: Ints = self._of[paths]
        if not len(paths) or slots.min() >= 0:
            return slots
        first, last = int(paths.min()), int(paths.max())
        if last - first <= len(paths):  # a plan takes paths side by side: look at each of them once, not at its rows
            seen = np.zeros(last - first + 1, dtype=bool)
            seen[paths - first] = True
            new = np.flatnonzero(seen & (self._of[first : last + 1] < 0)) + first
        else:
            new = np.unique(paths[slots < 0])
        missing = len(new) - len(self._free)
        if missing > 0:
            self._free.extend(range(self.capacity, self.capacity + missing))
            self.capacity += missing
        self._of[new] = self._free[-len(new) :]
        del self._free[-len(new) :]
        slots = self._of[paths]
        return slots

    def close(self, paths: Ints) -> Ints:
        """Free the slots of the paths and return them."""
        slots: Ints = self._of[paths]
        self._free.extend(slots.tolist())
        self._of[paths] = -1
        return slots
