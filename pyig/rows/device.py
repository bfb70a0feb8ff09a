"""Rows on a device, in the framework's own operations: nothing but per-row scalars goes to the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyig.contracts import Backend, Floats, Ints, Tensor
from pyig.rows.paths import Ends, Slots
from pyig.rows.results import Results


class DeviceRows:
    """Rows on a device, combined by the framework in the widest float that the device has."""

    def __init__(self, backend: Backend, ends: Ends, weight_rows: int) -> None:
        self._backend = backend
        self._ends = ends
        self._layers = weight_rows
        self._slots = Slots(len(ends.stop_rows))
        self._totals: list[list[Tensor]] = [[] for _ in ends.stop]
        self._results = Results(backend, ends.stop, ends.results, weight_rows)
        self._capacity = 0

    def points(self, paths: Ints, alphas: Floats) -> list[Tensor]:
        """Interpolate from the nearer end, so that alpha = 0 and alpha = 1 give the ends exactly."""
        out = []
        for leaf, (start, stop) in enumerate(zip(*self._rows(paths), strict=True)):
            like = self._ends.stop[leaf]
            near = self._column(np.where(alphas < 0.5, alphas, alphas - 1.0), like)
            base = self._column((alphas < 0.5).astype(np.float64), like)
            out.append(start * base + stop * (1 - base) + near * (stop - start))
        return out

    def add(self, grads: Sequence[Tensor | None], paths: Ints, weights: Floats) -> Floats:
        """Add rows by one scatter per weight row; only the slopes go to the host."""
        backend = self._backend
        slots = self._slots.open(paths)
        self._grow()
        slopes = np.zeros((len(grads), len(paths)))
        for leaf, (grad, start, stop) in enumerate(zip(grads, *self._rows(paths), strict=True)):
            if grad is None:
                continue
            index = backend.from_numpy(slots, grad)
            for layer in range(self._layers):
                rows = grad * self._column(weights[layer], grad)
                self._totals[leaf][layer] = backend.scatter_add(self._totals[leaf][layer], index, rows)
            slopes[leaf] = self._scalars(grad * (stop - start))
        return slopes

    def finish(self, paths: Ints, scales: Floats) -> None:
        """Add the integrals times (x - x') and the scale of their path to their results; free the slots."""
        cast, rows, found = self._backend.cast_like, self._ends.result_rows[paths], self.integrals(paths)
        if self._ends.multiply:
            ends = zip(*self._rows(paths), found, strict=True)
            steps = [cast(stop, layers[0]) - cast(start, layers[0]) for start, stop, layers in ends]
            found = [[part * step for part in layers] for layers, step in zip(found, steps, strict=True)]
        for layer, parts in enumerate(zip(*found, strict=True)):
            self._results.add(layer, rows, list(parts), scales)

    def integrals(self, paths: Ints) -> list[list[Tensor]]:
        """Return the weighted sums of the gradients of these paths, [leaf][weight row], and free their slots."""
        backend = self._backend
        slots = self._slots.close(paths)
        cleared = np.arange(self._capacity)
        cleared[slots] = self._capacity
        found = []
        for totals, like in zip(self._totals, self._ends.stop, strict=True):
            found.append([backend.take(total, slots) for total in totals])
            # Zeros are put in rather than the total taken away: NaN - NaN is not zero.
            empty = backend.wide_zeros((1, *like.shape[1:]), like)
            totals[:] = [backend.take(backend.concat([total, empty]), cleared) for total in totals]
        return found

    def results(self) -> list[list[Tensor]]:
        """Return the results, [leaf][weight row], as wide tensors (results, ...) on the device."""
        return self._results.tensors

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first and last weight row."""
        return self._results.norms()

    def _scalars(self, tensor: Tensor) -> Floats:
        return np.asarray(self._backend.to_numpy(self._backend.row_sum(tensor)), dtype=np.float64)

    def _rows(self, paths: Ints) -> tuple[list[Tensor], list[Tensor]]:
        take = self._backend.take
        start = [take(leaf, self._ends.start_rows[paths]) for leaf in self._ends.start]
        return start, [take(leaf, self._ends.stop_rows[paths]) for leaf in self._ends.stop]

    def _column(self, numbers: Floats, like: Tensor) -> Tensor:
        shaped = numbers.reshape(-1, *[1] * (len(like.shape) - 1))
        return self._backend.cast_like(self._backend.from_numpy(np.ascontiguousarray(shaped), like), like)

    def _grow(self) -> None:
        if self._slots.capacity <= self._capacity and self._totals[0]:
            return
        for leaf, like in enumerate(self._ends.stop):
            shape = (self._slots.capacity, *like.shape[1:])
            fresh = [self._backend.wide_zeros(shape, like) for _ in range(self._layers)]
            kept = self._backend.from_numpy(np.arange(self._capacity), like)
            for layer, old in enumerate(self._totals[leaf]):
                fresh[layer] = self._backend.scatter_add(fresh[layer], kept, old)
            self._totals[leaf] = fresh
        self._capacity = self._slots.capacity
