"""Integration by a fixed rule: every path has the same nodes, and their weights are known from the start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyig.contracts import Floats, Ints, Tensor
from pyig.integrate.evaluation import Evaluator, Pairs, Paths
from pyig.integrate.loop import Integrals
from pyig.quadrature import Batch, FixedPlan, Rule
from pyig.rows import rows_for


@dataclass(frozen=True)
class Fixed:
    """A fixed rule; a result counts as converged when its estimated error is below `rtol` times its L1 norm."""

    rule: Rule
    rtol: float

    @property
    def name(self) -> str:
        """Return the rule's name."""
        return self.rule.name

    @property
    def steps(self) -> int:
        """Return the number of nodes."""
        return len(self.rule.nodes)

    def begin(self, evaluator: Evaluator, paths: Paths) -> FixedRun:
        """Start on a block."""
        return FixedRun(self, evaluator, paths)


class FixedRun:
    """One block under a fixed rule."""

    def __init__(self, scheme: Fixed, evaluator: Evaluator, paths: Paths) -> None:
        self._scheme, self._evaluator, self._paths = scheme, evaluator, paths
        self._plan = FixedPlan(scheme.rule, paths.fan.shape[1])
        self._rows = rows_for(evaluator.backend, paths.ends, 2, paths.pullback)
        self._shares = np.bincount(paths.ends.result_rows, minlength=paths.ends.results)
        shape = (len(paths), scheme.steps if evaluator.record else 0)
        self._values, self._slopes = np.full(shape, np.nan), np.full(shape, np.nan)
        self._batch: Batch | None = None

    def step(self) -> bool:
        """Evaluate and combine the next batch; False when there is none."""
        found = self._evaluator.next(self._paths, self._rows, self._ask)
        batch = self._batch
        if found is None or batch is None:
            return False
        # Rows that were added once must not be added twice: from here on nothing is tried again.
        for target, (values, grads) in enumerate(found[1]):
            self._combine(target, batch, values, grads)
        self._plan.tell(batch)
        gradients = len(batch.paths) * len(self._paths.fan)
        self._evaluator.monitor.called(len(batch.paths), gradients, gradients)
        return True

    def close(self) -> Integrals:
        """Collect the results; a path that was cut short is rescaled to an estimate."""
        cut = self._plan.cut_short()
        if cut is not None:
            self._finish(self._paths.fan[:, cut[0]], np.full(len(self._paths.fan), 1.0 / cut[1]))
        sums, sizes, errors = self._rows.norms()
        seen = np.zeros(len(self._paths), dtype=np.int64)
        seen[self._paths.fan] = self._plan.seen()
        complete = self._count(seen == self._scheme.steps) == self._shares
        errors = np.where(complete, errors, np.nan)
        with np.errstate(invalid="ignore"):
            converged = complete & (errors <= self._scheme.rtol * sizes)
        return Integrals(
            attributions=[layers[0] for layers in self._rows.results()],
            sums=sums,
            sizes=sizes,
            errors=errors,
            converged=converged,
            complete=complete,
            seen=self._count(seen),
            begun=self._count(seen > 0),
            records=lambda: self._records(seen),
        )

    def _combine(self, target: int, batch: Batch, values: Tensor, grads: list[Tensor | None]) -> None:
        """Add the rows of one target, and close the paths that are complete with them."""
        fan = self._paths.fan[target]
        own = fan[batch.paths]
        slopes = self._rows.add(grads, own, batch.weights)
        number, slope = self._evaluator.scalars(self._paths, (own, batch.alphas), values, slopes)
        self._note(own, batch.nodes, number, slope)
        if len(batch.finished):
            self._finish(fan[batch.finished], np.ones(len(batch.finished)))

    def _note(self, own: Ints, nodes: Ints, values: Floats, slopes: Floats) -> None:
        """Keep F and its slope where a record is wanted: on small inputs it is longer than everything else."""
        if self._evaluator.record:
            self._values[own, nodes] = values
            self._slopes[own, nodes] = slopes

    def _ask(self, rows: int) -> Pairs | None:
        self._batch = self._plan.ask(rows)
        return None if self._batch is None else (self._batch.paths, self._batch.alphas)

    def _finish(self, paths: Ints, scales: Floats) -> None:
        self._rows.finish(paths, scales / self._shares[self._paths.ends.result_rows[paths]])

    def _count(self, per_path: np.typing.NDArray[np.generic]) -> Ints:
        rows = self._paths.ends.result_rows
        return np.bincount(rows, weights=per_path, minlength=self._paths.ends.results).astype(np.int64)

    def _records(self, seen: Ints) -> list[Floats]:
        """Average F and its slope over the baselines that were evaluated at each node."""
        rule, results = self._scheme.rule, self._paths.ends.results
        known = seen == self._scheme.steps
        evaluated = known[:, None] | np.isfinite(self._values)
        # The paths of a result lie side by side for `add.reduceat`, whatever their order in the plan.
        order = np.argsort(self._paths.ends.result_rows, kind="stable")
        first = np.concatenate([[0], np.cumsum(self._shares)[:-1]])
        counts, values, slopes = (
            np.add.reduceat(np.where(evaluated, part, 0.0)[order], first) for part in (1.0, self._values, self._slopes)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            table = np.stack(np.broadcast_arrays(rule.nodes, values / counts, slopes / counts, rule.weights), axis=-1)
        whole = np.asarray((counts > 0).all(axis=1))
        return [table[row] if whole[row] else table[row][counts[row] > 0] for row in range(results)]
