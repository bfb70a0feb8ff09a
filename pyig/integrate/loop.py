"""The loop: plan -> points -> gradients -> rows -> plan; by a fixed rule, or adaptively."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Backend, Floats, Ints, Tensor
from pyig.integrate.evaluation import Evaluator, Paths


@dataclass(frozen=True)
class Integrals:
    """What the loop found for one block: one result per (sample, target), averaged over its baselines.

    Attributes
    ----------
    attributions : list of tensor
        Per leaf (results, ...), in the accumulators' dtype.
    sums, sizes, errors : float64 (results,)
        Sum and L1 norm of the attributions, and the estimate of their L1 error.
    converged, complete : bool (results,)
        Whether the estimate met the tolerance, and whether the run was not cut short.
    seen : int64 (results,)
        Gradients spent.
    begun : int64 or float64 (results,)
        Baselines that have a share in the result; a share of one counts as that.
    records : callable
        Gives per result float64 (n, 4): alpha, F, dF/d(alpha) and weight at its nodes, by rising alpha. Asked for only
        where the path is wanted: on small inputs it is longer than everything else.
    spreads : list of tensor, optional
        Standard error of each attribution, where they were sampled.
    stops : float64 (results,), optional
        F(x), where the paths have nodes there; NaN for a result that was not begun.
    """

    attributions: list[Tensor]
    sums: Floats
    sizes: Floats
    errors: Floats
    converged: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    seen: Ints
    begun: Ints | Floats
    records: Callable[[], list[Floats]]
    spreads: list[Tensor] | None = None
    stops: Floats | None = None

    def of(self, backend: Backend, rows: Ints) -> Integrals:
        """Return some of the results."""

        def records() -> list[Floats]:
            every = self.records()
            return [every[row] for row in rows]

        return Integrals(
            attributions=[backend.take(leaf, rows) for leaf in self.attributions],
            records=records,
            **{name: getattr(self, name)[rows] for name in _NUMBERS},
        )


_NUMBERS = ("sums", "sizes", "errors", "converged", "complete", "seen", "begun")


def merged(backend: Backend, whole: Integrals, rows: Ints, part: Integrals) -> Integrals:
    """Return the whole, with a part in the place of these rows."""
    attributions = []
    for total, found in zip(whole.attributions, part.attributions, strict=True):
        tensor = backend.from_numpy(np.ascontiguousarray(found), total) if isinstance(found, np.ndarray) else found
        attributions.append(backend.put(total, backend.from_numpy(rows, total), backend.cast_like(tensor, total)))
    numbers = {name: getattr(whole, name).copy() for name in _NUMBERS}
    for name, array in numbers.items():
        array[rows] = getattr(part, name)

    def records() -> list[Floats]:
        out = list(whole.records())
        for row, record in zip(rows, part.records(), strict=True):
            out[row] = record
        return out

    return replace(whole, attributions=attributions, records=records, **numbers)


class Run(Protocol):
    """The state of one block while it is integrated."""

    def step(self) -> bool:
        """Evaluate and combine the next batch; False when there is none."""
        ...

    def close(self) -> Integrals:
        """Collect the results, also of a run that was stopped."""
        ...


class Scheme(Protocol):
    """A way to integrate, as data."""

    @property
    def steps(self) -> int:
        """Gradients that a path is expected to take."""
        ...

    def begin(self, evaluator: Evaluator, paths: Paths) -> Run:
        """Start on a block."""
        ...


def integrate(scheme: Scheme, evaluator: Evaluator, paths: Paths) -> Integrals:
    """Integrate dF/dx along every path; a monitor's stop or a KeyboardInterrupt ends it early."""
    run = scheme.begin(evaluator, paths)
    try:
        while not evaluator.monitor.should_stop() and run.step():
            pass
    except KeyboardInterrupt:
        evaluator.monitor.stopped = True
    return run.close()
