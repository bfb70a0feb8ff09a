"""Rows of a path that runs behind the model's affine prefix: what they sum up to is pulled back through it at the end.

With z = A x + b, the attributions of x are (x - x') times A^T times the integral of the gradient with respect to z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pyig.contracts import Backend, Floats, Ints, Prefix, Tensor
from pyig.rows.device import DeviceRows
from pyig.rows.host import HostRows
from pyig.rows.paths import Ends
from pyig.rows.results import Results

_CHUNK = 1 << 24  # floats of frontier and input
_MOST_ROWS = 256


@dataclass(frozen=True)
class Pullback:
    """The way from the frontier back to the inputs.

    Attributes
    ----------
    ends : Ends
        The paths' ends in the space of the inputs.
    fixed : list of tensor
        What does not move, one row per row of ``ends.stop``.
    """

    backend: Backend
    prefix: Prefix
    ends: Ends
    fixed: list[Tensor]

    def __call__(self, paths: Ints, gradient: Tensor) -> list[Tensor]:
        """Return the attributions (n, ...) per leaf, wide, for gradients with respect to the frontier."""
        take, parts = self.backend.take, []
        for first in range(0, len(paths), self.rows):
            part = np.arange(first, min(first + self.rows, len(paths)))
            parts.append(self._part(paths[part], gradient if len(part) == len(paths) else take(gradient, part)))
        return [joined(self.backend, leaves) for leaves in zip(*parts, strict=True)]

    @cached_property
    def rows(self) -> int:
        """How many paths are pulled back at a time."""
        floats = self.prefix.frontier_floats + self.ends.floats
        return max(1, min(_MOST_ROWS, _CHUNK // floats))

    def _part(self, paths: Ints, gradient: Tensor) -> list[Tensor]:
        take, ends = self.backend.take, self.ends
        stop = [take(leaf, ends.stop_rows[paths]) for leaf in ends.stop]
        start = [take(leaf, ends.start_rows[paths]) for leaf in ends.start]
        held = [take(leaf, ends.stop_rows[paths]) for leaf in self.fixed]
        found = []
        for a, b, grad in zip(start, stop, self.prefix.pullback(stop, held, gradient), strict=True):
            wide = self.backend.wide_zeros((1, *b.shape[1:]), b)
            a, b, grad = (self.backend.cast_like(each, wide) for each in (a, b, grad))
            found.append((b - a) * grad if ends.multiply else grad)
        return found


class HoistedRows:
    """Rows of a fixed rule at the frontier; results in the space of the inputs."""

    def __init__(self, inner: HostRows | DeviceRows, pullback: Pullback, weight_rows: int) -> None:
        self._inner, self._pullback = inner, pullback
        self._results = Results(pullback.backend, pullback.ends.stop, pullback.ends.results, weight_rows)
        self._waiting: list[tuple[Ints, list[Tensor], Floats]] = []

    def points(self, paths: Ints, alphas: Floats) -> list[Tensor]:
        """Interpolate at the frontier."""
        return self._inner.points(paths, alphas)

    def add(self, grads: Sequence[Tensor | None], paths: Ints, weights: Floats) -> Floats:
        """Add weighted gradient rows; the slope along the path is the same at the frontier."""
        return self._inner.add(grads, paths, weights)

    def finish(self, paths: Ints, scales: Floats) -> None:
        """Free the slots; the integrals wait until there are enough of them to be pulled back together."""
        self._waiting.append((paths, self._inner.integrals(paths)[0], scales))
        if sum(len(waiting) for waiting, *_ in self._waiting) >= self._pullback.rows:
            self._pull()

    def results(self) -> list[list[Tensor]]:
        """Return the results, [leaf][weight row], as wide tensors (results, ...)."""
        self._pull()
        return self._results.tensors

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first and last weight row."""
        self._pull()
        return self._results.norms()

    def _pull(self) -> None:
        if not self._waiting:
            return
        backend, (paths, layers, scales) = self._pullback.backend, zip(*self._waiting, strict=True)
        self._waiting = []
        own, scale = np.concatenate(paths), np.concatenate(scales)
        rows = self._pullback.ends.result_rows[own]
        for layer, gradients in enumerate(zip(*layers, strict=True)):
            self._results.add(layer, rows, self._pullback(own, joined(backend, gradients)), scale)


def joined(backend: Backend, tensors: Sequence[Tensor]) -> Tensor:
    """Join tensors, a lone one as it is."""
    return tensors[0] if len(tensors) == 1 else backend.concat(list(tensors))
