"""Gradient rows of open cells on a device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyig.contracts import Backend, Combinations, Floats, Ints, Tensor
from pyig.rows.device import DeviceRows
from pyig.rows.paths import Ends

_CHUNK = 1 << 24  # floats gathered at a time


class DeviceCells(DeviceRows):
    """Keep rows, measure and fold their combinations; see `pyig.contracts.Cells`."""

    def __init__(self, backend: Backend, ends: Ends, most_rows: int) -> None:
        super().__init__(backend, ends, weight_rows=1)
        self._most_rows = most_rows
        self._store: list[Tensor] = []
        self._kept = 0

    def slopes(self, grads: Sequence[Tensor | None], paths: Ints) -> Floats:
        """Return dF/d(alpha) per leaf and row: the only numbers that go to the host."""
        out = np.zeros((len(grads), len(paths)))
        for leaf, (grad, start, stop) in enumerate(zip(grads, *self._rows(paths), strict=True)):
            if grad is not None:
                out[leaf] = self._scalars(grad * (stop - start))
        return out

    def keep(self, grads: Sequence[Tensor | None], slots: Ints) -> None:
        """Copy rows to their slots."""
        backend = self._backend
        self._grow_store(int(slots.max()) + 1 if len(slots) else 0)
        for leaf, grad in enumerate(grads):
            like = self._ends.stop[leaf]
            if grad is None:
                grad = backend.cast_like(backend.wide_zeros((len(slots), *like.shape[1:]), like), like)
            self._store[leaf] = backend.put(self._store[leaf], backend.from_numpy(slots, like), grad)

    def measure(self, wanted: Combinations) -> Floats:
        """Return the L1 norm of every combination, in units of attribution, over all leaves."""
        backend = self._backend
        out = np.zeros(len(wanted.paths))
        own = self._slots.open(wanted.paths)
        self._grow()
        for part in self._chunks(wanted):
            paths = wanted.paths[part]
            for leaf, (start, stop) in enumerate(zip(*self._rows(paths), strict=True)):
                found = self._combined(wanted, part, leaf)
                flags = self._column(wanted.with_total[part].astype(np.float64), found)
                found = found + flags * backend.take(self._totals[leaf][0], own[part])
                out[part] += self._scalars(abs(found * backend.cast_like(stop - start, found)))
        return out

    def fold(self, wanted: Combinations) -> None:
        """Add combinations to the totals of their paths."""
        backend = self._backend
        own = self._slots.open(wanted.paths)
        self._grow()
        for part in self._chunks(wanted):
            for leaf, like in enumerate(self._ends.stop):
                index = backend.from_numpy(own[part], like)
                found = self._combined(wanted, part, leaf)
                self._totals[leaf][0] = backend.scatter_add(self._totals[leaf][0], index, found)

    def _combined(self, wanted: Combinations, part: slice, leaf: int) -> Tensor:
        backend, like = self._backend, self._ends.stop[leaf]
        first, last = int(wanted.indptr[part.start]), int(wanted.indptr[part.stop])
        counts = np.diff(wanted.indptr[part.start : part.stop + 1])
        found = backend.wide_zeros((len(counts), *like.shape[1:]), like)
        rows = backend.cast_like(backend.take(self._store[leaf], wanted.slots[first:last]), found)
        owner = backend.from_numpy(np.repeat(np.arange(len(counts)), counts), like)
        return backend.scatter_add(found, owner, rows * self._column(wanted.coefficients[first:last], found))

    def _chunks(self, wanted: Combinations) -> list[slice]:
        """Cut the combinations so that the gathered rows of a chunk stay small."""
        floats = max(int(np.prod(leaf.shape[1:], dtype=np.int64)) for leaf in self._ends.stop)
        most = max(1, _CHUNK // max(1, floats))
        cuts = [0]
        for row in range(1, len(wanted.paths)):
            if wanted.indptr[row + 1] - wanted.indptr[cuts[-1]] > most:
                cuts.append(row)
        return [slice(a, b) for a, b in zip(cuts, [*cuts[1:], len(wanted.paths)], strict=True) if b > a]

    def _grow_store(self, needed: int) -> None:
        if needed <= self._kept and self._store:
            return
        backend, capacity = self._backend, max(needed, min(2 * self._kept, self._most_rows))
        old, self._store = self._store, []
        for leaf, like in enumerate(self._ends.stop):
            fresh = backend.cast_like(backend.wide_zeros((capacity, *like.shape[1:]), like), like)
            if old:
                fresh = backend.put(fresh, backend.from_numpy(np.arange(self._kept), like), old[leaf])
            self._store.append(fresh)
        self._kept = capacity
