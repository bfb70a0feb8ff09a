"""Integration over the linear regions of a path, where the model has few of them: exact, one gradient each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Floats, Ints, Tensor
from pyig.integrate.adaptive import Adaptive
from pyig.integrate.evaluation import Evaluator, Paths
from pyig.integrate.loop import Integrals, Run, merged
from pyig.rows import Results

_CHUNK = 256  # paths between two reports of progress


class Exact(Protocol):
    """The integrals of the paths that have few regions; see `pyig.structure.regions.Exact`."""

    samples: Ints
    attributions: list[Tensor]
    offsets: Ints
    alphas: Floats
    widths: Floats
    values: Floats
    slopes: Floats


class Regions(Protocol):
    """The regions of some paths."""

    counts: Ints

    def attributions(self, head: Callable[..., Any], index: Sequence[Tensor], *, linear: bool = False) -> Any:
        """Return an `Exact`, or something false where the head is not smooth."""
        ...


class Piecewise(Protocol):
    """A model that is linear between its kinks."""

    def regions(
        self, points: Sequence[Tensor], starts: Sequence[Tensor], fixed: Sequence[Tensor] = (), *, most: int, rows: int
    ) -> Regions:
        """Count the regions of every path by forwards alone; of a path with more than `most` there are none."""
        ...


@dataclass(frozen=True)
class Regional:
    """One gradient per linear region; paths with too many regions are left to the adaptive scheme.

    Attributes
    ----------
    head : callable
        ``head(outputs, index) -> values, cotangent``.
    linear : bool
        Whether the head is linear in the outputs.
    most : int
        Most regions of a path.
    rest : Adaptive
        What becomes of a result with a path that has more.
    left : list of int
        How many results that were, block by block; grows.
    results : int
        How many there are in the whole call.
    """

    form: Piecewise
    head: Callable[..., tuple[Tensor, Tensor]]
    linear: bool
    most: int
    rest: Adaptive
    results: int
    left: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the method's name."""
        return "exact"

    @property
    def steps(self) -> int:
        """Return the number of gradients that a path may take."""
        return self.most

    @property
    def note(self) -> str | None:
        """What the user should know, after the call."""
        if not self.left:
            return None
        return f"{sum(self.left)} of {self.results} cross more than {self.most} kinks and were integrated adaptively"

    def in_log_odds(self, log_odds: bool) -> Regional:
        """Return the scheme for a head that gives log-odds to the adaptive rest."""
        return replace(self, rest=self.rest.in_log_odds(log_odds))

    def begin(self, evaluator: Evaluator, paths: Paths) -> RegionalRun:
        """Start on a block."""
        return RegionalRun(self, evaluator, paths)


class RegionalRun:
    """One block: first the paths with few regions, then the others."""

    def __init__(self, scheme: Regional, evaluator: Evaluator, paths: Paths) -> None:
        self._scheme, self._evaluator, self._paths = scheme, evaluator, paths
        ends = paths.ends
        self._each = len(paths) // max(1, ends.results)  # paths of a result lie side by side
        self._results = Results(evaluator.backend, ends.stop, ends.results, 1)
        self._seen = np.zeros(ends.results, dtype=np.int64)
        self._exact = np.zeros(ends.results, dtype=bool)
        self._records: dict[int, Floats] = {}
        self._left: list[Ints] = []
        self._next = 0
        self._rest: tuple[Ints, Run] | None = None

    def step(self) -> bool:
        """Integrate the next results; False when there are none."""
        if self._rest is not None:
            return self._rest[1].step()
        if self._next < self._paths.ends.results:
            self._integrate(np.arange(self._next, min(self._next + _CHUNK, self._paths.ends.results)))
            return True
        left = np.concatenate([np.zeros(0, dtype=np.int64), *self._left])
        if not len(left):
            return False
        self._scheme.left.append(len(left))
        self._rest = left, self._scheme.rest.begin(self._evaluator, self._paths.of_results(left))
        return self._rest[1].step()

    def close(self) -> Integrals:
        """Collect the results."""
        sums, sizes, _ = self._results.norms()
        done = self._exact.copy()
        found = Integrals(
            attributions=[layers[0] for layers in self._results.tensors],
            sums=sums,
            sizes=sizes,
            errors=np.where(done, 0.0, np.nan),
            converged=done.copy(),
            complete=done,
            seen=self._seen,
            begun=np.where(done, self._each, 0),
            records=lambda: [self._records.get(row, np.zeros((0, 4))) for row in range(len(done))],
        )
        if self._rest is None:
            return found
        left, rest = self._rest
        return merged(self._evaluator.backend, found, left, rest.close())

    def _integrate(self, results: Ints) -> None:
        """Integrate what has few regions among some results; put the others aside."""
        scheme, backend, ends = self._scheme, self._evaluator.backend, self._paths.ends
        own = (results[:, None] * self._each + np.arange(self._each)).ravel()
        take = backend.take
        stop = [take(leaf, ends.stop_rows[own]) for leaf in ends.stop]
        start = [take(leaf, ends.start_rows[own]) for leaf in ends.start]
        fixed = [take(leaf, ends.stop_rows[own]) for leaf in self._paths.fixed]
        index = [backend.from_numpy(flat[own], stop[0]) for flat in self._paths.index]

        def attempt(rows: int) -> tuple[Any, Ints]:
            self._evaluator.sizer.trying(rows)
            regions = scheme.form.regions(stop, start, fixed, most=scheme.most, rows=rows)
            whole = (regions.counts.reshape(-1, self._each) > 0).all(axis=1)
            exact = regions.attributions(scheme.head, index, linear=scheme.linear) if whole.any() else None
            return exact, np.where(whole & bool(exact), regions.counts.reshape(-1, self._each).sum(axis=1), 0)

        exact, counts = self._evaluator.sizer.attempt(backend, attempt)
        self._left.append(results[counts == 0])
        if counts.any():
            self._add(own, exact, counts > 0, results)
        self._seen[results] = counts
        self._exact[results] = counts > 0
        self._next += len(results)
        done = int((counts > 0).sum()) * self._each
        self._evaluator.monitor.called(max(1, int(counts.sum())), max(1, int(counts.sum())), done)

    def _add(self, own: Ints, exact: Exact, whole: NDArray[np.bool_], results: Ints) -> None:
        """Add the attributions of the paths whose result is complete, and keep their record."""
        backend = self._evaluator.backend
        rows = np.flatnonzero(whole[exact.samples // self._each])
        paths = own[exact.samples[rows]]
        parts = [backend.take(leaf, rows) for leaf in exact.attributions]
        self._results.add(0, self._paths.ends.result_rows[paths], parts, np.full(len(rows), 1.0 / self._each))
        if self._each > 1:  # the paths of several baselines have no nodes in common
            return
        table = np.stack([exact.alphas, exact.values, exact.slopes, exact.widths], axis=1)
        for row in rows:
            part = slice(exact.offsets[row], exact.offsets[row + 1])
            self._records[int(results[exact.samples[row]])] = table[part]
