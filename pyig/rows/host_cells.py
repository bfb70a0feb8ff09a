"""Gradient rows of open cells in host memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyig import _core
from pyig.contracts import Backend, Combinations, Floats, Ints, Tensor
from pyig.rows.host import HostRows, grown, matrix
from pyig.rows.paths import Ends


class HostCells(HostRows):
    """Keep rows, measure and fold their combinations; see `pyig.contracts.Cells`."""

    def __init__(self, backend: Backend, ends: Ends, most_rows: int) -> None:
        super().__init__(backend, ends, weight_rows=1)
        self._most_rows = most_rows
        self._store = [np.empty((0, leaf.shape[1]), leaf.dtype) for leaf in self._stop]

    def slopes(self, grads: Sequence[Tensor | None], paths: Ints) -> Floats:
        """Return dF/d(alpha) per leaf and row."""
        out = np.zeros((len(grads), len(paths)))
        start_rows, stop_rows = self._ends.start_rows[paths], self._ends.stop_rows[paths]
        none = np.zeros(len(paths), dtype=np.int64)
        for leaf, grad in enumerate(grads):
            if grad is None:
                continue
            start, stop = self._start[leaf], self._stop[leaf]
            unused = np.zeros((1, 1, stop.shape[1]))
            rows = np.ascontiguousarray(matrix(self._backend.to_numpy(grad)))
            _core.accumulate(
                rows, np.zeros((1, len(paths))), none, unused, start, stop, start_rows, stop_rows, out[leaf]
            )
        return out

    def keep(self, grads: Sequence[Tensor | None], slots: Ints) -> None:
        """Copy rows to their slots."""
        needed = int(slots.max()) + 1 if len(slots) else 0
        for leaf, grad in enumerate(grads):
            if len(self._store[leaf]) < needed:
                capacity = max(needed, min(2 * len(self._store[leaf]), self._most_rows))
                bigger = np.empty((capacity, self._stop[leaf].shape[1]), self._stop[leaf].dtype)
                bigger[: len(self._store[leaf])] = self._store[leaf]
                self._store[leaf] = bigger
            if grad is None:
                self._store[leaf][slots] = 0.0
            else:
                _core.put_rows(self._store[leaf], slots, np.ascontiguousarray(matrix(self._backend.to_numpy(grad))))

    def measure(self, wanted: Combinations) -> Floats:
        """Return the L1 norm of every combination, in units of attribution, over all leaves."""
        out = np.zeros(len(wanted.paths))
        own = self._slots.open(wanted.paths)
        totals = np.where(wanted.with_total, own, -1)
        start_rows, stop_rows = self._ends.start_rows[wanted.paths], self._ends.stop_rows[wanted.paths]
        for leaf, store in enumerate(self._store):
            self._totals[leaf] = grown(self._totals[leaf], self._slots.capacity)
            out += _core.combine_norms(
                store, wanted.indptr, wanted.slots, wanted.coefficients, totals, self._totals[leaf][:, 0],
                self._start[leaf], self._stop[leaf], start_rows, stop_rows,
            )  # fmt: skip
        return out

    def fold(self, wanted: Combinations) -> None:
        """Add combinations to the totals of their paths."""
        own = self._slots.open(wanted.paths)
        for leaf, store in enumerate(self._store):
            self._totals[leaf] = grown(self._totals[leaf], self._slots.capacity)
            _core.fold(store, wanted.indptr, wanted.slots, wanted.coefficients, own, self._totals[leaf][:, 0])
