"""Integration without quadrature, where the model's structure gives the integral in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pyig.contracts import Floats, Ints, Tensor
from pyig.integrate.evaluation import Evaluator, Paths
from pyig.integrate.loop import Integrals


class Ends(Protocol):
    """The model at both ends of some paths."""

    def attributions(self, index: Tensor, contrast: Tensor | None = None) -> list[Tensor]:
        """Return the exact attributions of one output per row, or of the difference of two."""
        ...


class ClosedForm(Protocol):
    """A model whose Integrated Gradients are known from its two ends."""

    def evaluate(self, points: Sequence[Tensor], starts: Sequence[Tensor], fixed: Sequence[Tensor] = ()) -> Ends:
        """Run the model at inputs and baselines, one row each per path."""
        ...


@dataclass(frozen=True)
class Exact:
    """Two forwards and one VJP per path."""

    form: ClosedForm

    @property
    def name(self) -> str:
        """Return the method's name."""
        return "exact"

    @property
    def steps(self) -> int:
        """Return the number of gradients per path."""
        return 1

    def begin(self, evaluator: Evaluator, paths: Paths) -> ExactRun:
        """Start on a block."""
        return ExactRun(self.form, evaluator, paths)


class ExactRun:
    """One block in closed form; in the framework's own tensors, since there is next to nothing to reduce."""

    def __init__(self, form: ClosedForm, evaluator: Evaluator, paths: Paths) -> None:
        self._form, self._evaluator, self._paths = form, evaluator, paths
        backend, ends = evaluator.backend, paths.ends
        self._shares = np.bincount(ends.result_rows, minlength=ends.results)
        self._results = [backend.wide_zeros((ends.results, *leaf.shape[1:]), leaf) for leaf in ends.stop]
        self._done = 0

    def step(self) -> bool:
        """Add the next paths to their results; False when there are none."""
        if self._done >= len(self._paths):
            return False
        backend, ends = self._evaluator.backend, self._paths.ends

        def attempt(rows: int) -> tuple[Ints, list[Tensor]]:
            own = np.arange(self._done, min(self._done + rows, len(self._paths)))
            self._evaluator.sizer.trying(len(own))
            stop = [backend.take(leaf, ends.stop_rows[own]) for leaf in ends.stop]
            start_rows = ends.start_rows[own]
            shared = bool((start_rows == start_rows[0]).all())  # then the form runs the baseline once
            start = [backend.take(leaf, start_rows[:1] if shared else start_rows) for leaf in ends.start]
            fixed = [backend.take(tensor, ends.stop_rows[own]) for tensor in self._paths.fixed]
            index = [backend.from_numpy(flat[own], stop[0]) for flat in self._paths.index]
            return own, self._form.evaluate(stop, start, fixed).attributions(*index)

        own, found = self._evaluator.sizer.attempt(backend, attempt)
        whole = len(own) == ends.results and np.array_equal(ends.result_rows[own], np.arange(ends.results))
        self._results = found if whole else self._added(own, found)
        self._done += len(own)
        self._evaluator.monitor.called(len(own), len(own), len(own))
        return True

    def close(self) -> Integrals:
        """Collect the results."""
        seen = (np.arange(len(self._paths)) < self._done).astype(np.int64)
        begun = np.bincount(self._paths.ends.result_rows, weights=seen, minlength=self._paths.ends.results)
        complete = begun == self._shares
        return Integrals(
            attributions=self._results,
            sums=self._total(lambda leaf: leaf),
            sizes=self._total(abs),
            errors=np.where(complete, 0.0, np.nan),
            converged=complete,
            complete=complete,
            seen=begun.astype(np.int64),
            begun=begun.astype(np.int64),
            records=lambda: [np.zeros((0, 4))] * self._paths.ends.results,
        )

    def _added(self, own: Ints, found: list[Tensor]) -> list[Tensor]:
        """Return the results with the mean over baselines under way."""
        backend, results = self._evaluator.backend, self._paths.ends.result_rows[own]
        out = []
        for part, total in zip(found, self._results, strict=True):
            shares = np.reshape(1.0 / self._shares[results], (-1, *[1] * (len(part.shape) - 1)))
            scaled = backend.cast_like(part, total) * backend.cast_like(backend.from_numpy(shares, part), total)
            out.append(backend.scatter_add(total, backend.from_numpy(results, part), scaled))
        return out

    def _total(self, of: Callable[[Tensor], Tensor]) -> Floats:
        backend = self._evaluator.backend
        parts = [backend.to_numpy(backend.row_sum(of(leaf))) for leaf in self._results]
        total: Floats = np.sum([np.asarray(part, dtype=np.float64) for part in parts], axis=0)
        return total
