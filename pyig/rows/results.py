"""Attributions of the results, in the framework's own tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import _core
from pyig.contracts import Backend, Floats, Ints, Tensor
from pyig.rows.host import matrix


class Results:
    """One row per result and weight row, in the widest float of the device; the paths of several baselines share one.

    Parameters
    ----------
    like : sequence of tensor
        One per leaf, for shape and place of a row.
    count : int
        Number of results.
    weight_rows : int
        How many of each.
    """

    def __init__(self, backend: Backend, like: Sequence[Tensor], count: int, weight_rows: int) -> None:
        self._backend, self._like, self._count = backend, like, count
        self._layers: list[list[Tensor] | None] = [
            None
        ] * weight_rows  # of a layer: its leaves, once there is something

    @property
    def tensors(self) -> list[list[Tensor]]:
        """The results, [leaf][weight row]."""
        layers = [self._zeros() if leaves is None else leaves for leaves in self._layers]
        return [list(leaf) for leaf in zip(*layers, strict=True)]

    def add(self, layer: int, rows: Ints, parts: Sequence[Tensor], scales: Floats) -> None:
        """Add parts, one per leaf, times the scale of their path to their results."""
        backend, totals = self._backend, self._layers[layer]
        whole = totals is None and np.array_equal(rows, np.arange(self._count)) and bool((scales == 1.0).all())
        if whole:  # one path for each result, all at once: nothing to add to
            self._layers[layer] = list(parts)
            return
        added = []
        for total, part in zip(self._zeros() if totals is None else totals, parts, strict=True):
            column = np.ascontiguousarray(scales.reshape(-1, *[1] * (len(part.shape) - 1)))
            wide = backend.cast_like(part, total) * backend.cast_like(backend.from_numpy(column, part), total)
            added.append(backend.scatter_add(total, backend.from_numpy(rows, part), wide))
        self._layers[layer] = added

    def _zeros(self) -> list[Tensor]:
        return [self._backend.wide_zeros((self._count, *leaf.shape[1:]), leaf) for leaf in self._like]

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first and last weight row."""
        leaves = self.tensors
        if all(self._backend.on_host(layer) for leaf in leaves for layer in leaf):
            view = self._backend.to_numpy
            return self._host_norms([[np.ascontiguousarray(matrix(view(layer))) for layer in leaf] for leaf in leaves])
        sums, sizes = self._over(lambda a, _: a), self._over(lambda a, _: abs(a))
        distances = self._over(lambda a, b: abs(a - b)) if len(self._layers) > 1 else np.zeros(self._count)
        return sums, sizes, distances

    def _over(self, of: Callable[[Tensor, Tensor], Tensor]) -> Floats:
        total = np.zeros(self._count)
        for layers in self.tensors:
            total += np.asarray(self._backend.to_numpy(self._backend.row_sum(of(layers[0], layers[-1]))), np.float64)
        return total

    def _host_norms(self, rows: list[list[NDArray[Any]]]) -> tuple[Floats, Floats, Floats]:
        """Return the same from host memory, where the compiled core needs no temporary rows."""
        sums, sizes, distances = (np.zeros(self._count) for _ in range(3))
        for first, *_, last in [[layers[0], *layers] for layers in rows]:
            sums += first.sum(axis=1, dtype=np.float64)
            sizes += _core.l1(first)
            distances += 0.0 if last is first else _core.l1(first - last)
        return sums, sizes, distances
