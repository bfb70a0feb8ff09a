"""Rows in host memory: the framework's memory is handed to the compiled core, which reads every gradient row once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import _core
from pyig.contracts import Backend, Floats, Ints, Tensor
from pyig.rows.paths import Ends, Slots


class HostRows:
    """Rows in host memory, combined by the compiled core in float64."""

    def __init__(self, backend: Backend, ends: Ends, weight_rows: int) -> None:
        self._backend = backend
        self._ends = ends
        self._layers = weight_rows
        self._slots = Slots(len(ends.stop_rows))
        self._start = [matrix(backend.to_numpy(leaf)) for leaf in ends.start]
        self._stop = [matrix(backend.to_numpy(leaf)) for leaf in ends.stop]
        self._one_each = ends.results == len(ends.result_rows)
        self._totals = [np.zeros((0, weight_rows, leaf.shape[1])) for leaf in self._stop]
        self._results = [np.zeros((ends.results, weight_rows, leaf.shape[1])) for leaf in self._stop]
        self._buffers = [np.empty((0, leaf.shape[1]), leaf.dtype) for leaf in self._stop]

    def points(self, paths: Ints, alphas: Floats) -> list[Tensor]:
        """Interpolate into buffers that the next call overwrites."""
        rows = len(paths)
        start_rows, stop_rows = self._ends.start_rows[paths], self._ends.stop_rows[paths]
        out = []
        for leaf, (start, stop) in enumerate(zip(self._start, self._stop, strict=True)):
            if len(self._buffers[leaf]) < rows:
                self._buffers[leaf] = np.empty((rows, stop.shape[1]), stop.dtype)
            points = self._buffers[leaf][:rows]
            _core.interpolate(start, stop, start_rows, stop_rows, alphas, points)
            like = self._ends.stop[leaf]
            out.append(self._backend.from_numpy(points.reshape(rows, *like.shape[1:]), like))
        return out

    def add(self, grads: Sequence[Tensor | None], paths: Ints, weights: Floats) -> Floats:
        """Add rows in one pass of the core, which returns their slopes on the way."""
        slots = self._slots.open(paths)
        start_rows, stop_rows = self._ends.start_rows[paths], self._ends.stop_rows[paths]
        slopes = np.zeros((len(self._stop), len(paths)))
        for leaf, grad in enumerate(grads):
            self._totals[leaf] = grown(self._totals[leaf], self._slots.capacity)
            if grad is None:
                continue
            rows = np.ascontiguousarray(matrix(self._backend.to_numpy(grad)))
            _core.accumulate(
                rows, weights, slots, self._totals[leaf], self._start[leaf], self._stop[leaf],
                start_rows, stop_rows, slopes[leaf],
            )  # fmt: skip
        return slopes

    def finish(self, paths: Ints, scales: Floats) -> None:
        """Add the integrals times (x - x') and the scale of their path to their results; free the slots."""
        start_rows, stop_rows = self._ends.start_rows[paths], self._ends.stop_rows[paths]
        targets = self._ends.result_rows[paths]
        for leaf, total in enumerate(self._closed(paths)):
            step = scales[:, None]
            if self._ends.multiply:
                step = (self._stop[leaf][stop_rows].astype(np.float64) - self._start[leaf][start_rows]) * step
            done = total * step[:, None]
            if self._one_each:
                self._results[leaf][targets] = done
                continue
            for row, target in zip(done, targets, strict=True):
                self._results[leaf][target] += row

    def integrals(self, paths: Ints) -> list[list[Tensor]]:
        """Return the weighted sums of the gradients of these paths, [leaf][weight row], and free their slots."""
        found = []
        for total, like in zip(self._closed(paths), self._ends.stop, strict=True):
            layers = [np.ascontiguousarray(total[:, layer]) for layer in range(self._layers)]
            found.append(
                [self._backend.from_numpy(layer.reshape(len(paths), *like.shape[1:]), like) for layer in layers]
            )
        return found

    def results(self) -> list[list[Tensor]]:
        """Return the results, [leaf][weight row], as float64 numpy (results, ...)."""
        return [
            [total[:, layer].reshape(len(total), *like.shape[1:]) for layer in range(self._layers)]
            for total, like in zip(self._results, self._ends.stop, strict=True)
        ]

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first and last weight row."""
        return host_norms([[total[:, layer] for layer in range(self._layers)] for total in self._results])

    def _closed(self, paths: Ints) -> list[Floats]:
        """Take the totals of these paths (n, L, features) out of their slots."""
        slots = self._slots.close(paths)
        found = [total[slots] for total in self._totals]
        for total in self._totals:
            total[slots] = 0.0
        return found


def host_norms(leaves: Sequence[Sequence[NDArray[Any]]]) -> tuple[Floats, Floats, Floats]:
    """Return the sum, the L1 norm, and the L1 distance of the first and last of the weight rows (results, features)."""
    sums, sizes, distances = (np.zeros(len(leaves[0][0])) for _ in range(3))
    for first, *others in leaves:
        sums += np.einsum("ij->i", first, dtype=np.float64)  # half the time of a sum with that dtype
        sizes += _core.l1(np.ascontiguousarray(first))
        if others:
            distances += _core.l1(first - others[-1])
    return sums, sizes, distances


def matrix(leaf: NDArray[Any]) -> NDArray[Any]:
    """Return (rows, features) with contiguous rows: a view where the leaf allows, as it nearly always does."""
    flat = leaf.reshape(len(leaf), math.prod(leaf.shape[1:]))
    return flat if flat.strides[1] == flat.itemsize else np.ascontiguousarray(flat)


def grown(total: Floats, capacity: int) -> Floats:
    """Return the totals with room for so many slots."""
    if len(total) >= capacity:
        return total
    bigger = np.zeros((capacity, *total.shape[1:]))
    bigger[: len(total)] = total
    return bigger
