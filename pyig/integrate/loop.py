"""The loop: plan -> points -> gradients -> rows -> plan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyig.contracts import Backend, Floats, Forward, Head, Ints, Tensor
from pyig.errors import InputError, NonFiniteError
from pyig.integrate.batching import Sizer
from pyig.integrate.monitor import Monitor
from pyig.quadrature import Batch, FixedPlan, Rule
from pyig.rows import DeviceRows, Ends, HostRows, rows_for


@dataclass(frozen=True)
class Paths:
    """The paths of one block of samples.

    Attributes
    ----------
    ends : Ends
        Baseline and input rows of every path.
    fixed : list of tensor
        Tensors that do not move, one row per row of ``ends.stop``.
    index : list of int64 (P,)
        Flat target index of each path, and the contrast's where there is one.
    names : list of str
        Names of the leaves, for error messages.
    samples : int64 (P,)
        The sample that each path belongs to, counted over the whole call.
    """

    ends: Ends
    fixed: list[Tensor]
    index: list[Ints]
    names: list[str]
    samples: Ints

    def __len__(self) -> int:
        return len(self.ends.stop_rows)


@dataclass(frozen=True)
class Integrals:
    """What the loop found for one block: one result per (sample, target), averaged over its baselines.

    Attributes
    ----------
    attributions : list of tensor
        Per leaf (results, ...), in the accumulators' dtype.
    sums, sizes, errors : float64 (results,)
        Sum and L1 norm of the attributions, and the L1 distance to the half rule: the estimate of their error.
    values, slopes : float64 (P, n)
        F and dF/d(alpha) at the nodes; NaN where a stopped run did not come.
    seen : int64 (P,)
        Gradients spent on each path.
    """

    attributions: list[Tensor]
    sums: Floats
    sizes: Floats
    errors: Floats
    values: Floats
    slopes: Floats
    seen: Ints


@dataclass(frozen=True)
class Engine:
    """Everything about a call that does not change from block to block."""

    backend: Backend
    forward: Forward
    head: Head
    rule: Rule
    sizer: Sizer
    monitor: Monitor
    nan_policy: str
    allow_unused: bool

    def integrate(self, paths: Paths) -> Integrals:
        """Integrate dF/dx along every path with a fixed rule.

        Stops early, with the nodes seen so far rescaled to an estimate, when the monitor says so or on
        KeyboardInterrupt.
        """
        run = _Run(self, paths)
        try:
            while not self.monitor.should_stop() and run.step():
                pass
        except KeyboardInterrupt:
            self.monitor.stopped = True
        return run.close()


class _Run:
    """The state of one block: its plan, its rows, and what has been found so far."""

    def __init__(self, engine: Engine, paths: Paths) -> None:
        n = len(engine.rule.nodes)
        self._engine = engine
        self._paths = paths
        self._plan = FixedPlan(engine.rule, len(paths))
        self._rows: HostRows | DeviceRows = rows_for(engine.backend, paths.ends, weight_rows=2)
        self._scales = 1.0 / np.bincount(paths.ends.result_rows)[paths.ends.result_rows]
        self._values = np.full((len(paths), n), np.nan)
        self._slopes = np.full((len(paths), n), np.nan)

    def step(self) -> bool:
        """Evaluate and combine the next batch; False when there is none."""
        engine = self._engine
        started = time.perf_counter()
        found = engine.sizer.attempt(engine.backend, self._evaluate)
        if found is None:
            return False
        batch, values, grads = found
        if not engine.allow_unused:
            _check_used(grads, self._paths.names)
        # From here on nothing is tried again: rows that were added once must not be added twice.
        slopes = self._rows.add(grads, batch.paths, batch.weights)
        self._record(batch, np.asarray(engine.backend.to_numpy(values), dtype=np.float64), slopes)
        if len(batch.finished):
            self._rows.finish(batch.finished, self._scales[batch.finished])
        self._plan.tell(batch)
        engine.sizer.observe(len(batch.paths), time.perf_counter() - started)
        engine.monitor.called(len(batch.paths), gradients=len(batch.paths))
        return True

    def close(self) -> Integrals:
        """Collect the results; a path that was cut short is rescaled to an estimate."""
        cut = self._plan.cut_short()
        if cut is not None:
            path, weight = cut
            self._rows.finish(np.array([path]), self._scales[[path]] / weight)
        sums, sizes, errors = self._rows.norms()
        attributions = [layers[0] for layers in self._rows.results()]
        seen = self._plan.seen()
        return Integrals(attributions, sums, sizes, errors, self._values, self._slopes, seen)

    def _evaluate(self, rows: int) -> tuple[Batch, Tensor, list[Tensor | None]] | None:
        batch = self._plan.ask(rows)
        if batch is None:
            return None
        backend, paths = self._engine.backend, self._paths
        points = self._rows.points(batch.paths, batch.alphas)
        fixed = [backend.take(tensor, paths.ends.stop_rows[batch.paths]) for tensor in paths.fixed]
        index = [backend.from_numpy(flat[batch.paths], points[0]) for flat in paths.index]
        values, grads = backend.value_and_grad(self._engine.forward, points, fixed, self._engine.head, index)
        return batch, values, grads

    def _record(self, batch: Batch, values: Floats, slopes: Floats) -> None:
        if self._engine.nan_policy == "raise":
            _check_finite(batch, values, slopes, self._paths)
        self._values[batch.paths, batch.nodes] = values
        self._slopes[batch.paths, batch.nodes] = slopes.sum(axis=0)


def _check_finite(batch: Batch, values: Floats, slopes: Floats, paths: Paths) -> None:
    bad_value = ~np.isfinite(values)
    bad_slope = ~np.isfinite(slopes)
    if not bad_value.any() and not bad_slope.any():
        return
    row = int(np.flatnonzero(bad_value | bad_slope.any(axis=0))[0])
    sample = int(paths.samples[batch.paths[row]])
    if bad_value[row]:
        what = f"the model's value is {values[row]}"
    else:
        leaf = paths.names[int(np.flatnonzero(bad_slope[:, row])[0])]
        what = f"the gradient with respect to {_label(leaf)} is not finite"
    raise NonFiniteError(
        f"expected finite values and gradients on the path; for sample {sample} at alpha={batch.alphas[row]:.6g} "
        f"{what}. "
        'Check the model and the baseline there (a log or square root of zero?), or pass nan_policy="mark"'
    )


def _check_used(grads: Sequence[Tensor | None], names: Sequence[str]) -> None:
    unused = [_label(name) for grad, name in zip(grads, names, strict=True) if grad is None]
    if unused:
        raise InputError(
            f"expected every input to matter; the output does not depend on {', '.join(unused)}. "
            "Pass allow_unused=True for zero attributions there, or leave the input out"
        )


def _label(name: str) -> str:
    return f"input {name!r}" if name else "the input"
