"""Where the points and the gradient rows of the open paths live, and how they are combined.

Two forms of one protocol (`pyig.contracts.Rows`): `HostRows` hands the framework's memory to the compiled core, which
reads every gradient row once; `DeviceRows` keeps everything on the device and says it in the framework's operations.
An open path owns a slot; slots are used again, so memory does not grow with the number of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import _core
from pyig.contracts import Backend, Floats, Ints, Tensor


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
    """

    start: list[Tensor]
    stop: list[Tensor]
    start_rows: Ints
    stop_rows: Ints
    result_rows: Ints

    @property
    def results(self) -> int:
        """Number of results."""
        return int(self.result_rows.max()) + 1 if len(self.result_rows) else 0


class Slots:
    """Which open path owns which accumulator slot."""

    def __init__(self, paths: int) -> None:
        self._of = np.full(paths, -1, dtype=np.int64)
        self._free: list[int] = []
        self.capacity = 0

    def open(self, paths: Ints) -> Ints:
        """Return the slots of the paths, giving one to each path that has none."""
        new = np.unique(paths[self._of[paths] < 0])
        missing = len(new) - len(self._free)
        if missing > 0:
            self._free.extend(range(self.capacity, self.capacity + missing))
            self.capacity += missing
        for path in new:
            self._of[path] = self._free.pop()
        slots: Ints = self._of[paths]
        return slots

    def close(self, paths: Ints) -> Ints:
        """Free the slots of the paths and return them."""
        slots: Ints = self._of[paths]
        self._free.extend(slots.tolist())
        self._of[paths] = -1
        return slots


class HostRows:
    """Rows in host memory, combined by the compiled core in float64."""

    def __init__(self, backend: Backend, ends: Ends, weight_rows: int) -> None:
        self._backend = backend
        self._ends = ends
        self._layers = weight_rows
        self._slots = Slots(len(ends.stop_rows))
        self._start = [_matrix(backend.to_numpy(leaf)) for leaf in ends.start]
        self._stop = [_matrix(backend.to_numpy(leaf)) for leaf in ends.stop]
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
            self._totals[leaf] = _grown(self._totals[leaf], self._slots.capacity)
            if grad is None:
                continue
            rows = np.ascontiguousarray(_matrix(self._backend.to_numpy(grad)))
            _core.accumulate(
                rows, weights, slots, self._totals[leaf], self._start[leaf], self._stop[leaf],
                start_rows, stop_rows, slopes[leaf],
            )  # fmt: skip
        return slopes

    def finish(self, paths: Ints, scales: Floats) -> None:
        """Add the integrals times (x - x') and the scale of their path to their results; free the slots."""
        slots = self._slots.close(paths)
        start_rows, stop_rows = self._ends.start_rows[paths], self._ends.stop_rows[paths]
        for leaf, (start, stop) in enumerate(zip(self._start, self._stop, strict=True)):
            step = (stop[stop_rows].astype(np.float64) - start[start_rows]) * scales[:, None]
            done = self._totals[leaf][slots] * step[:, None]
            self._totals[leaf][slots] = 0.0
            for row, result in zip(done, self._ends.result_rows[paths], strict=True):
                self._results[leaf][result] += row

    def results(self) -> list[list[Tensor]]:
        """Return the results, [leaf][weight row], as float64 numpy (results, ...)."""
        return [
            [total[:, layer].reshape(-1, *like.shape[1:]) for layer in range(self._layers)]
            for total, like in zip(self._results, self._ends.stop, strict=True)
        ]

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first two weight rows."""
        sums, sizes, distances = (np.zeros(self._ends.results) for _ in range(3))
        for total in self._results:
            sums += total[:, 0].sum(axis=1)
            sizes += _core.l1(np.ascontiguousarray(total[:, 0]))
            distances += _core.l1(total[:, 0] - total[:, 1])
        return sums, sizes, distances


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
        """Return per result: the sum, the L1 norm, and the L1 distance of the first two weight rows."""
        sums, sizes, distances = (np.zeros(self._ends.results) for _ in range(3))
        for first, second in self._results:
            sums += self._scalars(first)
            sizes += self._scalars(abs(first))
            distances += self._scalars(abs(first - second))
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


def rows_for(backend: Backend, ends: Ends, weight_rows: int) -> HostRows | DeviceRows:
    """Choose by where the input lives."""
    host = all(backend.on_host(leaf) for leaf in (*ends.start, *ends.stop))
    return (HostRows if host else DeviceRows)(backend, ends, weight_rows)


def _matrix(leaf: NDArray[Any]) -> NDArray[Any]:
    return leaf.reshape(len(leaf), -1)


def _grown(total: Floats, capacity: int) -> Floats:
    if len(total) >= capacity:
        return total
    bigger = np.zeros((capacity, *total.shape[1:]))
    bigger[: len(total)] = total
    return bigger
