"""Attributions of the results, in the framework's own tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pyig.contracts import Backend, Floats, Ints, Tensor
from pyig.rows.host import host_norms, matrix


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
        self._layers: list[list[Tensor] | None] = [None] * weight_rows  # each by leaf, once there is something

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
        backend, leaves = self._backend, self.tensors
        if all(backend.on_host(layer) for layers in leaves for layer in layers):  # the core needs no temporary rows
            return host_norms([[matrix(backend.to_numpy(layer)) for layer in layers] for layers in leaves])

        def over(of: Callable[[Tensor, Tensor], Tensor]) -> Floats:
            parts = [backend.to_numpy(backend.row_sum(of(layers[0], layers[-1]))) for layers in leaves]
            total: Floats = np.sum([np.asarray(part, dtype=np.float64) for part in parts], axis=0)
            return total

        distances = over(lambda a, b: abs(a - b)) if len(self._layers) > 1 else np.zeros(self._count)
        return over(lambda a, _: a), over(lambda a, _: abs(a)), distances
