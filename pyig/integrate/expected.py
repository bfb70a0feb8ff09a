"""Expected gradients: the mean over a set of baselines, from a few gradients on each path (Erion et al. 2021).

Every baseline is used, and the alphas are stratified over each path and over the baselines (see `stratified`), where
the usual estimate draws both at random. The set is taken as it is: its mean is estimated, not that of a population
that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pyig.contracts import Floats, Ints, Tensor
from pyig.integrate.evaluation import Evaluator, Pairs, Paths
from pyig.integrate.loop import Integrals
from pyig.integrate.stratified import Design, draw
from pyig.quadrature import DEFAULT_STEPS
from pyig.rows import rows_for
from pyig.streams import entropy

_EACH = 4  # on attention and residual networks two leave three times the error of four
_MOST_REPLICATES = 8  # each costs an accumulator; with many features a few see enough
_REPLICATE_FLOATS = 1 << 15


@dataclass(frozen=True)
class Expected:
    """Estimate the mean over `baselines` baselines with `n` gradients per sample.

    Attributes
    ----------
    n : int
        Gradients per sample and target; 0: four for each baseline, and at least 50.
    baselines : int
        M.
    seed : tuple of int
        What every sample's stream comes from.
    rtol : float
        A result counts as converged when its estimated error is below `rtol` times its L1 norm.
    caution : float
        Factor on the estimate.
    """

    n: int
    rtol: float
    caution: float = 1.0
    baselines: int = 1
    seed: tuple[int, ...] = ()

    def over(self, baselines: int, rng: np.random.Generator) -> Expected:
        """Return the scheme for a set of so many baselines, seeded."""
        n = self.n or baselines * max(_EACH, -(-DEFAULT_STEPS // baselines))
        return replace(self, n=n, baselines=baselines, seed=entropy(rng))

    @property
    def name(self) -> str:
        """Return the method's name."""
        return "expected"

    @property
    def steps(self) -> int:
        """Return how many gradients a path takes at most."""
        return -(-self.n // self.baselines)

    @cached_property
    def design(self) -> Design:
        """How the gradients of every sample lie."""
        return Design.of(self.n, self.baselines)

    @property
    def note(self) -> str | None:
        """Say which baselines were used, where that is not all of them."""
        if self.n >= self.baselines:
            return None
        return (
            f"n_steps={self.n} is fewer than the {self.baselines} baselines: each sample is explained over {self.n} of "
            "them, drawn so that over the samples all come equally often"
        )

    def begin(self, evaluator: Evaluator, paths: Paths) -> ExpectedRun:
        """Start on a block."""
        return ExpectedRun(self, evaluator, paths)


class ExpectedRun:
    """One block of expected gradients: each sample's nodes one after the other, seat by seat."""

    def __init__(self, scheme: Expected, evaluator: Evaluator, paths: Paths) -> None:
        self._scheme, self._evaluator, self._paths = scheme, evaluator, paths
        self._design = scheme.design
        self._samples = paths.fan.shape[1] // scheme.baselines
        numbers = paths.samples[paths.fan[0, :: scheme.baselines]]
        replicates = int(np.clip(_REPLICATE_FLOATS // max(1, paths.ends.floats), 2, _MOST_REPLICATES))
        self._draws = draw(self._design, scheme.baselines, replicates, scheme.seed, numbers)
        self._rows = rows_for(evaluator.backend, paths.ends, weight_rows=1)
        self._spread = rows_for(evaluator.backend, paths.ends, replicates) if self._design.has_spread else None
        shape = (len(paths.fan), self._samples, scheme.n)
        self._values, self._slopes = np.full(shape, np.nan), np.full(shape, np.nan)
        self._done = 0

    def step(self) -> bool:
        """Evaluate and combine the next batch; False when there is none."""
        found = self._evaluator.next(self._paths, self._rows, self._ask)
        if found is None:
            return False
        pairs, targets = found
        samples, nodes = self._next(len(pairs[0]))
        weights = self._design.weights[None, nodes]
        for t, (fan, (values, grads)) in enumerate(zip(self._paths.fan, targets, strict=True)):
            own = fan[pairs[0]]
            slopes = self._rows.add(grads, own, weights)
            number, slope = self._evaluator.scalars(self._paths, (own, pairs[1]), values, slopes)
            self._values[t, samples, nodes], self._slopes[t, samples, nodes] = number, slope
            self._contrast(grads, fan, samples, nodes)
            self._close(fan, samples, nodes)
        self._done += len(nodes)
        gradients = len(nodes) * len(self._paths.fan)
        self._evaluator.monitor.called(len(nodes), gradients, gradients)
        return True

    def close(self) -> Integrals:
        """Collect the results; a sample that was cut short is rescaled to an estimate from what it has."""
        whole, begun = divmod(self._done, self._scheme.n)
        if begun:
            seats = self._design.open_after(begun)
            for fan in self._paths.fan:
                own = self._trunks(np.full_like(seats, whole), seats)
                self._rows.finish(fan[own], np.ones(len(own)))
        seen = np.clip(self._done - self._scheme.n * np.arange(self._samples), 0, self._scheme.n)
        shares = np.concatenate([[0.0], np.cumsum(self._design.weights)])[seen]
        shares[seen == self._scheme.n] = 1.0
        results = self._paths.ends.result_rows[self._paths.fan[:, :: self._scheme.baselines]]  # (K, S)
        complete = self._per_result(results, seen == self._scheme.n)
        sums, sizes, _ = self._rows.norms()
        errors, spreads = self._errors(complete)
        with np.errstate(invalid="ignore"):
            converged = complete & (errors <= self._scheme.rtol * sizes)
        return Integrals(
            attributions=[layers[0] for layers in self._rows.results()],
            sums=sums,
            sizes=sizes,
            errors=errors,
            converged=converged,
            complete=complete,
            seen=self._per_result(results, seen),
            begun=self._per_result(results, shares * self._scheme.baselines),
            records=lambda: self._records(results, seen),
            spreads=spreads,
        )

    def _ask(self, rows: int) -> Pairs | None:
        samples, nodes = self._next(rows)
        if not len(nodes):
            return None
        return self._trunks(samples, self._design.seats[nodes]), self._draws.alphas[samples, nodes]

    def _next(self, rows: int) -> tuple[Ints, Ints]:
        last = min(self._done + rows, self._samples * self._scheme.n)
        samples, nodes = np.divmod(np.arange(self._done, last), self._scheme.n)
        return samples, nodes

    def _trunks(self, samples: Ints, seats: Ints) -> Ints:
        """Return the columns of the fan where these seats of these samples are."""
        trunks: Ints = samples * self._scheme.baselines + self._draws.baselines[samples, seats]
        return trunks

    def _contrast(self, grads: Sequence[Tensor | None], fan: Ints, samples: Ints, nodes: Ints) -> None:
        """Add the rows to the contrasts of the seats that they touch."""
        if self._spread is None:
            return
        design = self._design
        for touched, coefficients, signs in zip(design.touched, design.coefficients, design.signs, strict=True):
            on = np.flatnonzero(touched[nodes] >= 0)
            if not len(on):
                continue
            s, node = samples[on], nodes[on]
            rows = list(grads) if len(on) == len(nodes) else [self._taken(grad, on) for grad in grads]
            signed = coefficients[node] * self._draws.signs[s, :, signs[node]].T
            self._spread.add(rows, fan[self._trunks(s, touched[node])], np.ascontiguousarray(signed))

    def _taken(self, grad: Tensor | None, rows: Ints) -> Tensor | None:
        return None if grad is None else self._evaluator.backend.take(grad, rows)

    def _close(self, fan: Ints, samples: Ints, nodes: Ints) -> None:
        for closing in self._design.closing:
            on = np.flatnonzero(closing[nodes] >= 0)
            if not len(on):
                continue
            own = fan[self._trunks(samples[on], closing[nodes[on]])]
            for rows in (self._rows, self._spread):
                if rows is not None:
                    rows.finish(own, np.ones(len(own)))

    def _errors(self, complete: np.typing.NDArray[np.bool_]) -> tuple[Floats, list[Tensor] | None]:
        """Return the L1 error of every result and the standard error of every feature.

        Each replicate is a draw of the error itself, as large or larger; the largest of them is the estimate.
        """
        errors = np.full(len(complete), np.nan)
        if self._spread is None:
            return errors, None
        replicates = self._spread.results()
        largest = np.max([self._sizes(column) for column in zip(*replicates, strict=True)], axis=0)
        errors[complete] = self._scheme.caution * largest[complete]
        return errors, [(sum(row * row for row in rows) / len(rows)) ** 0.5 for rows in replicates]

    def _sizes(self, leaves: Sequence[Any]) -> Floats:
        """Return the L1 norms of one replicate's rows."""
        total = np.zeros(self._paths.ends.results)
        for leaf in leaves:
            if isinstance(leaf, np.ndarray):
                total += np.abs(leaf).reshape(len(leaf), -1).sum(axis=1)
            else:
                backend = self._evaluator.backend
                total += np.asarray(backend.to_numpy(backend.row_sum(abs(leaf))), dtype=np.float64)
        return total

    def _per_result(self, results: Ints, per_sample: np.typing.NDArray[Any]) -> np.typing.NDArray[Any]:
        out = np.empty(self._paths.ends.results, dtype=per_sample.dtype)
        out[results] = per_sample
        return out

    def _records(self, results: Ints, seen: Ints) -> list[Floats]:
        """Return F and its slope at all nodes by rising alpha, each on its own baseline's path."""
        out = [np.zeros((0, 4))] * self._paths.ends.results
        for t, sample in np.ndindex(results.shape):
            nodes = np.argsort(self._draws.alphas[sample, : seen[sample]], kind="stable")
            columns = (self._draws.alphas[sample], self._values[t, sample], self._slopes[t, sample])
            out[results[t, sample]] = np.stack([*(c[nodes] for c in columns), self._design.weights[nodes]], axis=1)
        return out
