"""Gradients at given nodes of a path, one by one instead of summed up: what each group of features adds there.

The loop is that of a fixed rule, so targets, layers, several baselines and batches are what they are elsewhere. What is
kept are a few numbers per node, on the host, whatever the size of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pyig.contracts import Floats, Ints, Tensor
from pyig.errors import InputError
from pyig.integrate.evaluation import Evaluator, Paths
from pyig.integrate.fixed import Fixed, FixedRun
from pyig.quadrature import Batch, Rule


@dataclass
class Kept:
    """What was found at the nodes; filled while the loop runs.

    Attributes
    ----------
    labels : callable
        Gives for the rows of each leaf on the path, as int64 (D,), the group of every element; `groups` for one in
        none. Where it is shorter than the row, as for token ids and their embeddings, each entry stands for as many
        elements as it takes.
    groups : int
        How many there are.
    log_odds : bool
        Whether the head gave the log-odds of a probability F.
    parts : list of tuple
        Batch by batch: paths (R,), nodes (R,), values of the head (R,), their slopes per group (R, groups).
    """

    labels: Callable[[list[Tensor]], Sequence[Ints]]
    groups: int
    log_odds: bool = False
    parts: list[tuple[Ints, Ints, Floats, Floats]] = field(default_factory=list)

    def table(self, nodes: int) -> tuple[Floats, Floats]:
        """Return values (P, n) and slopes (P, n, groups), NaN where a stopped run did not come."""
        paths = 1 + max((int(own.max()) for own, *_ in self.parts), default=-1)
        values, slopes = np.full((paths, nodes), np.nan), np.full((paths, nodes, self.groups), np.nan)
        for own, places, numbers, shares in self.parts:
            values[own, places], slopes[own, places] = numbers, shares
        return values, slopes


def nodes_rule(alphas: Floats) -> Rule:
    """Return a rule with these nodes; its weights are of no account here."""
    gaps = np.diff(alphas)
    weights = (np.append(gaps, 0.0) + np.append(0.0, gaps)) / 2
    return Rule("along", alphas, weights, np.zeros(len(alphas)), degree=1)


@dataclass(frozen=True)
class Along(Fixed):
    """A fixed rule that keeps what it saw at every node."""

    kept: Kept
    log_odds: bool = False

    def in_log_odds(self, log_odds: bool) -> Along:
        """Return the scheme for a head that gives log-odds, or not."""
        return replace(self, log_odds=log_odds)

    def begin(self, evaluator: Evaluator, paths: Paths) -> AlongRun:
        """Start on a block."""
        self.kept.log_odds = self.log_odds
        return AlongRun(self, evaluator, paths, self.kept)


class AlongRun(FixedRun):
    """One block: a sample with its baselines."""

    def __init__(self, scheme: Along, evaluator: Evaluator, paths: Paths, kept: Kept) -> None:
        super().__init__(scheme, evaluator, paths)
        self._kept = kept
        stop = paths.ends.stop
        self._labels = [_spread(labels, leaf) for labels, leaf in zip(kept.labels(stop), stop, strict=True)]

    def _combine(self, target: int, batch: Batch, values: Tensor, grads: list[Tensor | None]) -> None:
        super()._combine(target, batch, values, grads)
        own = self._paths.fan[target][batch.paths]
        shares = np.zeros((len(own), self._kept.groups))
        for leaf, grad in enumerate(grads):
            if grad is not None:
                shares += self._products(leaf, grad, own)
        self._kept.parts.append((own, batch.nodes, self._evaluator.numbers(values), shares))

    def _products(self, leaf: int, grad: Tensor, own: Ints) -> Floats:
        """Return per row and group the sum of gradient times (x - x'), in float64."""
        backend, ends = self._evaluator.backend, self._paths.ends
        rows = backend.to_numpy(grad)
        out = np.empty((len(own), self._kept.groups))
        for path in np.unique(own):
            stop, start = (
                np.asarray(backend.to_numpy(backend.take(end[leaf], np.array([row[path]]))), np.float64).reshape(-1)
                for end, row in ((ends.stop, ends.stop_rows), (ends.start, ends.start_rows))
            )
            way = stop - start
            for row in np.flatnonzero(own == path):
                product = np.asarray(rows[row], np.float64).reshape(-1) * way
                groups = self._kept.groups
                out[row] = np.bincount(self._labels[leaf], weights=product, minlength=groups + 1)[:groups]
        return out


def _spread(labels: Ints, leaf: Tensor) -> Ints:
    size = int(np.prod([int(n) for n in leaf.shape[1:]], dtype=np.int64))
    if not len(labels) or size % len(labels):
        raise InputError(
            f"expected an explanation of what the model is given here, with {size} numbers a sample; got one of "
            f"{len(labels)}. Pass the x= and the options that it was made from"
        )
    return np.repeat(labels, size // len(labels))
