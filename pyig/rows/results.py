"""Attributions of the results, in the framework's own tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pyig.contracts import Backend, Floats, Ints, Tensor


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
        self._backend = backend
        self._count = count
        self._new = [True] * weight_rows
        self.tensors = [
            [backend.wide_zeros((count, *leaf.shape[1:]), leaf) for _ in range(weight_rows)] for leaf in like
        ]

    def add(self, layer: int, rows: Ints, parts: Sequence[Tensor], scales: Floats) -> None:
        """Add parts, one per leaf, times the scale of their path to their results."""
        backend = self._backend
        # One path for each result, all at once: nothing to add to.
        whole = self._new[layer] and np.array_equal(rows, np.arange(self._count)) and bool((scales == 1.0).all())
        self._new[layer] = False
        for totals, part in zip(self.tensors, parts, strict=True):
            total = totals[layer]
            wide = backend.cast_like(part, total)
            if whole:
                totals[layer] = wide
                continue
            column = scales.reshape(-1, *[1] * (len(part.shape) - 1))
            wide = wide * backend.cast_like(backend.from_numpy(np.ascontiguousarray(column), part), total)
            totals[layer] = backend.scatter_add(total, backend.from_numpy(rows, part), wide)

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first and last weight row."""
        return self._over(lambda a, _: a), self._over(lambda a, _: abs(a)), self._over(lambda a, b: abs(a - b))

    def _over(self, of: Callable[[Tensor, Tensor], Tensor]) -> Floats:
        backend = self._backend
        parts = [backend.to_numpy(backend.row_sum(of(layers[0], layers[-1]))) for layers in self.tensors]
        total: Floats = np.sum([np.asarray(part, dtype=np.float64) for part in parts], axis=0)
        return total
