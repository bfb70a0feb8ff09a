"""One call from its inputs to its results: blocks of samples, their end points, their paths.

Samples go through in blocks so that what is kept per sample (layer values, accumulators) stays bounded; a block is
long enough that the one model call at its end that is not full costs a few per cent at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Backend, Floats, Ints, Tensor
from pyig.integrate.loop import Engine, Integrals, Paths
from pyig.integrate.probe import Probe
from pyig.integrate.stages import Stage
from pyig.quadrature import Rule
from pyig.rows import Ends
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
    complete : bool (S, K)
        Whether every node of every baseline was evaluated.
    path_values, path_slopes : float64 (S, K, n)
        F and dF/d(alpha) at the nodes, averaged over the baselines.
    """

    index: Ints
    values: Floats
    baseline_values: Floats
    attributions: list[Tensor]
    sums: Floats
    sizes: Floats
    errors: Floats
    seen: Ints
    complete: NDArray[np.bool_]
    path_values: Floats
    path_slopes: Floats
    stage: Stage


@dataclass(frozen=True)
class Runner:
    """The parts of one call.

    Attributes
    ----------
    stages : callable
        ``stages(samples)`` prepares the ends for a block of sample numbers.
    names : list of str
        Names of the moving leaves.
    """

    backend: Backend
    stages: Callable[[Ints], Stage]
    probe: Probe
    target: Target
    contrast: Target | None
    rule: Rule
    nan_policy: str
    allow_unused: bool
    samples: int
    names: list[str]

    def run(self, row_floats: int, baselines: int) -> Iterator[Block]:
        """Yield the blocks in order; stops after the block in which the monitor said stop."""
        monitor, sizer = self.probe.monitor, self.probe.sizer
        first = 0
        while first < self.samples and not monitor.should_stop():
            paths = self.target.top * baselines
            enough = -(-_FULL_CALLS * sizer.rows // (len(self.rule.nodes) * paths))
            fits = _BLOCK_BYTES // (32 * self.target.top * row_floats)
            size = max(1, min(enough, fits))
            rows = np.arange(first, min(first + size, self.samples))
            try:
                block = self._block(rows)
            except KeyboardInterrupt:
                if not first:  # nothing to give back yet
                    raise
                monitor.stopped = True
                return
            yield block
            first += len(rows)

    def _block(self, samples: Ints) -> Block:
        stage = self.stages(samples)
        index, values = self.probe.stop_values(stage, samples, self.target, self.contrast)
        baseline_values = self.probe.start_values(stage, samples, index)
        baselines, count, top = len(stage.start_row), len(samples), self.target.top
        sample, target, baseline = (a.ravel() for a in np.indices((count, top, baselines)))
        ends = Ends(
            stage.start, stage.stop, stage.start_row[baseline, sample], stage.stop_row[sample], sample * top + target
        )
        paths = Paths(ends, stage.fixed, [part[sample, target] for part in index], self.names, samples[sample])
        engine = Engine(
            self.backend, stage.forward, self.probe.head, self.rule, self.probe.sizer, self.probe.monitor,
            self.nan_policy, self.allow_unused,
        )  # fmt: skip
        found = engine.integrate(paths)
        return _fold(self.backend, found, stage, index[0], values, baseline_values, (count, top, baselines))


def _fold(
    backend: Backend,
    found: Integrals,
    stage: Stage,
    index: Ints,
    values: Floats,
    baseline_values: Floats,
    shape: tuple[int, int, int],
) -> Block:
    """Average over baselines: over those that were begun, when the run was stopped."""
    nodes = found.values.shape[1]
    seen = found.seen.reshape(shape)
    begun = (seen > 0).sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(begun > 0, shape[2] / begun, np.nan)
    attributions = found.attributions
    if not (scale == 1).all():
        attributions = [_scaled(backend, leaf, scale.ravel()) for leaf in attributions]
    return Block(
        index=index,
        values=values,
        baseline_values=baseline_values,
        attributions=[_own(backend, leaf, like) for leaf, like in zip(attributions, stage.stop, strict=True)],
        sums=found.sums.reshape(shape[:2]) * scale,
        sizes=found.sizes.reshape(shape[:2]) * scale,
        errors=np.where((seen == nodes).all(axis=2), found.errors.reshape(shape[:2]), np.nan),
        seen=seen.sum(axis=2),
        complete=(seen == nodes).all(axis=2),
        path_values=found.values.reshape(*shape, nodes).mean(axis=2),
        path_slopes=found.slopes.reshape(*shape, nodes).mean(axis=2),
        stage=stage.without_context(),
    )


def _own(backend: Backend, leaf: Tensor, like: Tensor) -> Tensor:
    """Return host rows in the dtype of the input, free of the accumulators, which are four times as large."""
    return np.array(leaf, dtype=backend.to_numpy(like[:0]).dtype) if isinstance(leaf, np.ndarray) else leaf


def _scaled(backend: Backend, leaf: Tensor, scale: Floats) -> Tensor:
    shaped = scale.reshape(-1, *[1] * (len(leaf.shape) - 1))
    if isinstance(leaf, np.ndarray):
        return leaf * shaped
    return leaf * backend.cast_like(backend.from_numpy(np.ascontiguousarray(shaped), leaf), leaf)
