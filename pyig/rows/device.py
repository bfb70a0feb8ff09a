"""Rows on a device, in the framework's own operations: nothing but per-row scalars goes to the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pyig.contracts import Backend, Floats, Ints, Tensor
from pyig.rows.paths import Ends, Slots


class DeviceRows:
    """Rows on a device, combined by the framework in the widest float that the device has."""

    def __init__(self, backend: Backend, ends: Ends, weight_rows: int) -> None:
        self._backend = backend
        self._ends = ends
        self._layers = weight_rows
        self._slots = Slots(len(ends.stop_rows))
        self._totals: list[list[Tensor]] = [[] for _ in ends.stop]
        self._results = [
            [backend.wide_zeros((ends.results, *leaf.shape[1:]), leaf) for _ in range(weight_rows)]
            for leaf in ends.stop
        ]
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
        backend = self._backend
        slots = self._slots.close(paths)
        cleared = np.arange(self._capacity)
        cleared[slots] = self._capacity
        for leaf, (start, stop) in enumerate(zip(*self._rows(paths), strict=True)):
            totals, results = self._totals[leaf], self._results[leaf]
            step = backend.cast_like(stop, totals[0]) - backend.cast_like(start, totals[0])
            step = step * self._column(scales, totals[0])
            target = backend.from_numpy(self._ends.result_rows[paths], stop)
            empty = backend.wide_zeros((1, *stop.shape[1:]), stop)
            for layer in range(self._layers):
                done = backend.take(totals[layer], slots)
                results[layer] = backend.scatter_add(results[layer], target, done * step)
                # Zeros are put in rather than the total taken away: NaN - NaN is not zero.
                totals[layer] = backend.take(backend.concat([totals[layer], empty]), cleared)

    def results(self) -> list[list[Tensor]]:
        """Return the results, [leaf][weight row], as wide tensors (results, ...) on the device."""
        return self._results

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first and last weight row."""
        sums, sizes, distances = (np.zeros(self._ends.results) for _ in range(3))
        for first, *_, last in [[layers[0], *layers] for layers in self._results]:
            sums += self._scalars(first)
            sizes += self._scalars(abs(first))
            distances += self._scalars(abs(first - last))
        return sums, sizes, distances

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
