"""Integration without quadrature, where the model's structure gives the integral in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pyig.contracts import Backend, Forward, Ints, Tensor
from pyig.integrate.batching import Sizer
from pyig.integrate.evaluation import Evaluator, Paths
from pyig.integrate.loop import Integrals
from pyig.integrate.stages import Stage
from pyig.rows import Ends as PathEnds
from pyig.rows import Results

_MOST_CALLS = 8  # a forward and a backward alone need less memory than the sizer counts with


class Ends(Protocol):
    """The model at both ends of some paths."""

    outputs: Tensor
    start_outputs: Tensor

    def attributions(self, index: Tensor, contrast: Tensor | None = None) -> list[Tensor]:
        """Return the exact attributions of one output per row, or of the difference of two."""
        ...


class ClosedForm(Protocol):
    """A model whose Integrated Gradients are known from its two ends."""

    def evaluate(self, points: Sequence[Tensor], starts: Sequence[Tensor], fixed: Sequence[Tensor] = ()) -> Ends:
        """Run the model at inputs and baselines, one row each per path."""
        ...

    def agrees(self, forward: Forward, ends: Any, points: Sequence[Tensor], fixed: Sequence[Tensor] = ()) -> bool:
        """Compare what was evaluated with the model itself, by one row of a forward."""
        ...


@dataclass(frozen=True)
class Exact:
    """Two forwards and one VJP per path.

    Attributes
    ----------
    ends : Ends, optional
        The form at the ends of the paths, where that is known already.
    """

    form: ClosedForm
    ends: Ends | None = None

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
        return ExactRun(self, evaluator, paths)


@dataclass(frozen=True)
class Early:
    """Evaluates a form that an earlier call has found, before anything else runs: its outputs are F at the ends.

    Attributes
    ----------
    confirm : callable
        Called when the form gave what the model gives.
    """

    backend: Backend
    form: ClosedForm
    sizer: Sizer
    confirm: Callable[[], None]

    def __call__(self, stage: Stage) -> Stage:
        """Return the stage with its ends, where there is one baseline, they fit into memory and are the model's."""
        start_rows, *others = stage.start_row
        if others or len(start_rows) > _MOST_CALLS * self.sizer.rows:
            return stage
        try:
            points, starts, fixed = _given(self.backend, stage, stage.fixed, start_rows, stage.stop_row)
            found = self.form.evaluate(points, starts, fixed)
            if not self.form.agrees(stage.forward, found, points, fixed):
                return stage
        except Exception as error:  # the model may be another by now, and is then looked at from the beginning
            if self.backend.is_out_of_memory(error):
                self.backend.release_memory()
            return stage
        self.confirm()
        return replace(stage, ends=found)


class ExactRun:
    """One block in closed form; in the framework's own tensors, since there is next to nothing to reduce."""

    def __init__(self, scheme: Exact, evaluator: Evaluator, paths: Paths) -> None:
        self._form, self._known, self._evaluator, self._paths = scheme.form, scheme.ends, evaluator, paths
        ends = paths.ends
        self._shares = np.bincount(ends.result_rows, minlength=ends.results)
        self._results = Results(evaluator.backend, ends.stop, ends.results, 1)
        self._done = 0

    def step(self) -> bool:
        """Add the next paths to their results; False when there are none."""
        if self._done >= len(self._paths):
            return False
        backend, ends = self._evaluator.backend, self._paths.ends

        def attempt(rows: int) -> tuple[Ints, list[Tensor]]:
            own = np.arange(self._done, min(self._done + rows, len(self._paths)))
            if self._known is not None:
                own = np.arange(len(self._paths))
            self._evaluator.sizer.trying(len(own))
            found = self._known
            if found is None:
                start_rows, stop_rows = ends.start_rows[own], ends.stop_rows[own]
                found = self._form.evaluate(*_given(backend, ends, self._paths.fixed, start_rows, stop_rows))
            index = [backend.from_numpy(flat[own], ends.stop[0]) for flat in self._paths.index]
            return own, found.attributions(*index)

        own, found = self._evaluator.sizer.attempt(backend, attempt)
        results = ends.result_rows[own]
        self._results.add(0, results, found, 1.0 / self._shares[results])
        self._done += len(own)
        self._evaluator.monitor.called(len(own), len(own), len(own))
        return True

    def close(self) -> Integrals:
        """Collect the results."""
        seen = (np.arange(len(self._paths)) < self._done).astype(np.int64)
        begun = np.bincount(self._paths.ends.result_rows, weights=seen, minlength=self._paths.ends.results)
        complete = begun == self._shares
        sums, sizes, _ = self._results.norms()
        return Integrals(
            attributions=[layers[0] for layers in self._results.tensors],
            sums=sums,
            sizes=sizes,
            errors=np.where(complete, 0.0, np.nan),
            converged=complete,
            complete=complete,
            seen=begun.astype(np.int64),
            begun=begun.astype(np.int64),
            records=lambda: [np.zeros((0, 4))] * self._paths.ends.results,
        )


def _given(
    backend: Backend, ends: Stage | PathEnds, fixed: list[Tensor], start_rows: Ints, stop_rows: Ints
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return inputs, baselines and fixed tensors of some paths; a baseline that all of them share is one row."""
    shared = bool((start_rows == start_rows[0]).all())

    def taken(leaves: Sequence[Tensor], rows: Ints) -> list[Tensor]:
        # Without a copy where they are all: the form writes to none of them.
        whole = np.array_equal(rows, np.arange(len(rows)))
        return [leaf if whole and len(rows) == int(leaf.shape[0]) else backend.take(leaf, rows) for leaf in leaves]

    starts = taken(ends.start, start_rows[:1] if shared else start_rows)
    return taken(ends.stop, stop_rows), starts, taken(fixed, stop_rows)
