"""One call from its inputs to its results: blocks of samples, their end points, their paths.

Samples go through in blocks so that what is kept per sample (layer values, accumulators) stays bounded; a block is
long enough that the one model call at its end that is not full costs a few per cent at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Backend, Floats, Head, Ints, Tensor
from pyig.integrate.adaptive import Adaptive
from pyig.integrate.along import Along
from pyig.integrate.evaluation import Evaluator, Paths
from pyig.integrate.exact import Early, Exact
from pyig.integrate.expected import Expected
from pyig.integrate.fixed import Fixed
from pyig.integrate.hoisting import Hoist
from pyig.integrate.log_odds import MOST_NODES, FixedLogOdds
from pyig.integrate.loop import Integrals, integrate
from pyig.integrate.nested import Nested
from pyig.integrate.probe import Probe
from pyig.integrate.regions import Regional
from pyig.integrate.stages import Stage
from pyig.rows import Ends, Pullback
from pyig.targets import Target

_FULL_CALLS = 32
_BLOCK_BYTES = 1 << 28


@dataclass
class Block:
    """The results of one block of S samples, K targets, M baselines and n nodes.

    Attributes
    ----------
    index : int64 (S, K)
        Flat target index.
    attributions : list of tensor
        Per moving leaf (S * K, ...), in the accumulators' dtype.
    sums, sizes, errors : float64 (S, K)
        Sum and L1 norm of the attributions, and their estimated L1 error.
    seen : int64 (S, K)
        Gradients spent.
    converged, complete : bool (S, K)
        Whether the tolerance was met, and whether the run was not cut short.
    records : list of float64 (n, 4)
        Per (sample, target): alpha, F, dF/d(alpha) and weight at its nodes, averaged over the baselines; empty where
        they are not wanted.
    spreads : list of tensor, optional
        Standard errors of `attributions`, where those were sampled; NaN where a run was cut short.
    """

    index: Ints
    values: Floats
    baseline_values: Floats
    attributions: list[Tensor]
    sums: Floats
    sizes: Floats
    errors: Floats
    seen: Ints
    converged: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    records: list[Floats]
    stage: Stage
    spreads: list[Tensor] | None = None


AnyScheme = Fixed | Adaptive | Exact | Regional | Nested | Expected


@dataclass(frozen=True)
class Way:
    """How a call integrates, and where its paths run."""

    scheme: AnyScheme
    hoist: Hoist | None = None


@dataclass(frozen=True)
class Runner:
    """The parts of one call.

    Attributes
    ----------
    stages : callable
        ``stages(samples)`` prepares the ends for a block of sample numbers.
    scheme : Fixed, Adaptive or Expected
        How to integrate, as far as the options say.
    choose : callable
        How to integrate, once the first outputs have shown that the target fits: asked once.
    names : list of str
        Names of the moving leaves.
    record : bool
        Whether the values and slopes on the paths are wanted.
    early : Early, optional
        A closed form to begin with.
    multiply : bool
        Whether results are the integrals times (x - x').
    """

    backend: Backend
    stages: Callable[[Ints], Stage]
    probe: Probe
    target: Target
    contrast: Target | None
    scheme: Fixed | Adaptive | Expected
    choose: Callable[[], Way]
    nan_policy: str
    allow_unused: bool
    samples: int
    names: list[str]
    record: bool
    early: Early | None = None
    multiply: bool = True

    @cached_property
    def chosen(self) -> Way:
        """Return how the call integrates."""
        return self.choose()

    def run(self, row_floats: int, baselines: int) -> Iterator[Block]:
        """Yield the blocks in order; stops after the block in which the monitor said stop."""
        monitor, sizer = self.probe.monitor, self.probe.sizer
        first = 0
        while first < self.samples and not monitor.should_stop():
            hoist = self.chosen.hoist if first else None  # known once the first block has run
            rows_at_once = sizer.rows if hoist is None else hoist.sizer.rows
            paths = self.target.top * baselines
            enough = -(-_FULL_CALLS * rows_at_once // (self.scheme.steps * paths))
            fits = _BLOCK_BYTES // (32 * self.target.top * row_floats)
            size = max(1, min(enough, fits))
            rows = np.arange(first, min(first + size, self.samples))
            try:
                block = self._integrate(rows)
            except KeyboardInterrupt:
                if not first:  # nothing to give back yet
                    raise
                monitor.stopped = True
                return
            yield block
            first += len(rows)

    def _integrate(self, samples: Ints) -> Block:
        stage = self.stages(samples)
        if self.early is not None:
            stage = self.early(stage)
        index, values = self._ends(stage, samples)
        chosen, baseline_values = self.chosen, None
        if not isinstance(chosen.scheme, Adaptive):
            baseline_values = self.probe.start_values(stage, samples, index)
        baselines, count, top = len(stage.start_row), len(samples), self.target.top
        sample, target, baseline = (a.ravel() for a in np.indices((count, top, baselines)))
        loop = stage if chosen.hoist is None else chosen.hoist(stage)
        inner, outer = (
            Ends(
                s.start, s.stop, s.start_row[baseline, sample], s.stop_row[sample], sample * top + target, self.multiply
            )
            for s in (loop, stage)
        )
        pullback = None if chosen.hoist is None else Pullback(self.backend, chosen.hoist.prefix, outer, stage.fixed)
        # Where the points are known beforehand, every target has the same: one forward serves them all.
        every = np.arange(len(sample)).reshape(count, top, baselines).swapaxes(0, 1).reshape(top, -1)
        fan = every if isinstance(chosen.scheme, Fixed | Nested | Expected) else np.arange(len(sample))[None]
        flat, names = [part[sample, target] for part in index], self.names if pullback is None else [""]
        paths = Paths(inner, fan, loop.fixed, flat, names, samples[sample], pullback)
        head, scheme = self._with_head(chosen.scheme)
        if isinstance(scheme, Exact):
            scheme = replace(scheme, ends=stage.ends)
        sizer = self.probe.sizer if chosen.hoist is None else chosen.hoist.sizer
        evaluator = Evaluator(
            self.backend, loop.forward, head, sizer, self.probe.monitor, self.nan_policy, self.allow_unused, self.record
        )
        found = integrate(scheme, evaluator, paths)
        records = found.records() if self.record else []
        if values is None or baseline_values is None:
            values, baseline_values = self._values(found.stops, stage, samples, index, values)
        return _block(self.backend, found, stage, index[0], values, baseline_values, baselines, records)

    def _ends(self, stage: Stage, samples: Ints) -> tuple[list[Ints], Floats | None]:
        """Return the flat indices, and F(x) where it is needed before the loop or does not come out of it.

        The adaptive scheme has a node at x. Forwards there would be some per cent of its work, and more of it for one
        large image.
        """
        settled = all(target is None or target.kind in ("same", "each") for target in (self.target, self.contrast))
        if settled and isinstance(self.scheme, Adaptive) and not self.probe.custom and stage.ends is None:
            self.probe.settle(stage)
            index = self.probe.indices(samples, self.target, self.contrast)
            if isinstance(self.chosen.scheme, Adaptive):
                return index, None
        return self.probe.stop_values(stage, samples, self.target, self.contrast)

    def _values(
        self, stops: Floats | None, stage: Stage, samples: Ints, index: list[Ints], values: Floats | None
    ) -> tuple[Floats, Floats]:
        """Return F(x), from the loop where it has been there, and F(x')."""
        if values is None:
            if stops is None or np.isnan(stops).any():
                _, values = self.probe.stop_values(stage, samples, self.target, self.contrast)
            else:
                values = stops.reshape(index[0].shape)
        return values, self.probe.start_values(stage, samples, index)

    def _with_head(self, scheme: AnyScheme) -> tuple[Head, AnyScheme]:
        """Return what is evaluated, and the scheme for it: a probability is integrated by its log-odds."""
        smooth, log_odds = self.probe.smooth_head(self.contrast)
        if isinstance(scheme, Adaptive | Regional | Nested | Along):
            return smooth, scheme.in_log_odds(log_odds)
        if isinstance(scheme, Fixed) and log_odds and self.probe.wants_probability:
            rule = scheme.rule
            if rule.name == "gausslegendre" and len(rule.nodes) <= MOST_NODES:
                return smooth, FixedLogOdds(rule, scheme.rtol)
        return self.probe.head, scheme


def _block(
    backend: Backend,
    found: Integrals,
    stage: Stage,
    index: Ints,
    values: Floats,
    baseline_values: Floats,
    baselines: int,
    records: list[Floats],
) -> Block:
    """Shape the results of a block; of a run that was stopped, average over the baselines that were begun."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(found.begun > 0, baselines / found.begun, np.nan)
    attributions = found.attributions
    if not (scale == 1).all():
        attributions = [_scaled(backend, leaf, scale) for leaf in attributions]
    shape = index.shape
    return Block(
        index=index,
        values=values,
        baseline_values=baseline_values,
        attributions=[_own(backend, leaf, like) for leaf, like in zip(attributions, stage.stop, strict=True)],
        sums=(found.sums * scale).reshape(shape),
        sizes=(found.sizes * scale).reshape(shape),
        errors=found.errors.reshape(shape),
        seen=found.seen.reshape(shape),
        converged=found.converged.reshape(shape),
        complete=found.complete.reshape(shape),
        records=records,
        stage=stage.without_context(),
        spreads=_spreads(backend, found, stage),
    )


def _spreads(backend: Backend, found: Integrals, stage: Stage) -> list[Tensor] | None:
    if found.spreads is None:
        return None
    whole = np.where(found.complete, 1.0, np.nan)
    spreads = found.spreads if found.complete.all() else [_scaled(backend, leaf, whole) for leaf in found.spreads]
    return [_own(backend, leaf, like) for leaf, like in zip(spreads, stage.stop, strict=True)]


def _own(backend: Backend, leaf: Tensor, like: Tensor) -> Tensor:
    """Return host rows in the dtype of the input, free of the accumulators, which are four times as large."""
    return np.array(leaf, dtype=backend.to_numpy(like[:0]).dtype) if isinstance(leaf, np.ndarray) else leaf


def _scaled(backend: Backend, leaf: Tensor, scale: Floats) -> Tensor:
    shaped = scale.reshape(-1, *[1] * (len(leaf.shape) - 1))
    if isinstance(leaf, np.ndarray):
        return leaf * shaped
    return leaf * backend.cast_like(backend.from_numpy(np.ascontiguousarray(shaped), leaf), leaf)
