"""Gradients on a line of inputs, summed with weights: at the input itself, or at a layer on the way.

Integrated Gradients go straight from a baseline to x in one space, and the gradient is taken in that space. What is
here takes the line in the space of the input and the gradient at a layer: Internal Influence (Leino et al. 2018,
arXiv:1802.03788), conductance (Dhamdhere, Sundararajan, Yan 2018, arXiv:1805.12233). A rule with one node at alpha = 1
gives the plain gradient at x.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pyig import backends, tree
from pyig.contracts import Backend, Floats, Head, Ints, Tensor
from pyig.errors import InputError
from pyig.explainer.leaves import widened
from pyig.heads import CustomHead, TargetHead
from pyig.integrate.batching import Sizer
from pyig.integrate.inputs import Inputs, read_baselines, read_inputs
from pyig.integrate.stages import InputStages, Stage
from pyig.quadrature import FixedPlan, Rule
from pyig.rows import Ends, joined, row_floats, rows_for
from pyig.structure import tap
from pyig.targets import Target, fetched, parse

POINT = Rule("point", np.array([1.0]), np.array([1.0]), np.array([np.nan]), degree=0)
"""The input itself."""


class Gradients:
    """Weighted sums of dF/dy along the line from a baseline to x, y being x or the values of a layer.

    Parameters
    ----------
    model : callable
        As for `IntegratedGradients`.
    output : str or int, optional
        Which tensor to explain, where the model returns several.

    Examples
    --------
    >>> x = np.array([[1.0, 3.0]])
    >>> Gradients(lambda x: (x**2).sum(axis=1), gradient=lambda x: 2 * x).sum(x)
    array([[2., 6.]])
    """

    def __init__(
        self, model: Any, *, output: str | int | None = None, gradient: Callable[..., Any] | None = None
    ) -> None:
        self.model, self.output, self._gradient = model, output, gradient

    def sum(
        self,
        x: Any,
        baselines: Any = None,
        target: Any = None,
        *,
        rule: Rule = POINT,
        follow: str | Floats | None = None,
        layer: Any = None,
        attribute_to_layer_inputs: bool = False,
        forward_kwargs: dict[str, Any] | None = None,
        batch_size: int | str = "auto",
        allow_unused: bool = False,
        widen: bool = False,
    ) -> Any:
        """Return ``sum_k w_k dF/dy(alpha_k)``, times how y moves where that is asked for.

        Parameters
        ----------
        x, baselines, target, forward_kwargs, batch_size, allow_unused, widen
            As for `IntegratedGradients.attribute`; one baseline.
        rule : Rule
            The nodes and weights.
        follow : None, "tangent" or array, optional
            What multiplies the gradient at each node: nothing; dy/d(alpha) there; or the way of y from that node to
            the one given in the array (n,), for sums over steps instead of an integral.
        layer, attribute_to_layer_inputs
            The layer that y belongs to; without one y is the input.

        Returns
        -------
        tensor, or structure of them
            As x, or as the layer's values; numpy where x is.

        Raises
        ------
        InputError, InputTypeError, ModelError
            Each says what was expected, what came, and what to do.
        """
        leaves, _ = tree.flatten(x)
        backend = backends.choose(self.model, leaves, None, self._gradient)
        inputs = read_inputs(backend, x, forward_kwargs)
        starts = read_baselines(inputs, baselines, np.random.default_rng(0), inputs.floating)
        if len(starts) > 1:
            raise InputError(f"expected one baseline; got {len(starts)}")
        if layer is None and follow is not None:
            raise InputError("expected follow= only with layer=; at the input, Integrated Gradients are what is meant")
        with backend.session():
            stages = InputStages(backend, inputs, starts, self.output)
            stage = stages(np.arange(inputs.samples))
            host = all(backend.on_host(leaf) for leaf in stage.stop)
            run = _Run(
                backend,
                stage,
                head_of_samples(backend, inputs, target),
                Sizer(batch_size, 4 * max(1, row_floats(stage.stop)), host),
                None if layer is None else tap(backend, self.model, layer, attribute_to_layer_inputs),
                follow,
            )
            totals = run(rule, inputs.samples)
        names = tree.names(stages.spec)
        if widen:
            run.like = [widened(backend, like) for like in run.like]
        return _shaped(backend, run, totals, stages, inputs, names, leaves, allow_unused)


@dataclass
class _Run:
    """One call: pairs of sample and node, batch by batch, into one wide row per sample and leaf."""

    backend: Backend
    stage: Stage
    head: Head
    sizer: Sizer
    tap: Any
    follow: str | Floats | None
    like: list[Tensor] = field(default_factory=list)
    used: list[bool] = field(default_factory=list)

    def __call__(self, rule: Rule, samples: int) -> list[Tensor]:
        every = np.arange(samples)
        stage = self.stage
        ends = Ends(stage.start, stage.stop, stage.start_row[0], stage.stop_row, every)
        rows = rows_for(self.backend, ends, 1)
        plan, totals = FixedPlan(rule, samples), list[Tensor]()

        def attempt(size: int) -> Any:
            batch = plan.ask(size)
            if batch is None:
                return None
            self.sizer.trying(len(batch.paths))
            # Only now are they added: when memory runs out, the same batch is asked for again.
            return batch, self._rows(rows, ends, batch.paths, batch.alphas, batch.nodes)

        parts: list[list[Tensor | None]] = []
        alone = len(rule.nodes) == 1 and float(rule.weights[0]) == 1.0
        while (found := self.sizer.attempt(self.backend, attempt)) is not None:
            batch, grads = found
            if alone:  # a row for each sample, in their order: nothing to sum
                parts.append(list(grads))
            else:
                totals = self._added(totals, grads, batch.paths, batch.weights[0], samples)
            plan.tell(batch)
        return self._joined(parts, samples) if alone else totals

    def _joined(self, parts: list[list[Tensor | None]], samples: int) -> list[Tensor]:
        out = []
        for like, rows in zip(self.like, zip(*parts, strict=True), strict=True):
            known = [row for row in rows if row is not None]
            self.used.append(len(known) == len(rows))
            if self.used[-1]:
                out.append(_checked(joined(self.backend, known), samples))
            else:
                out.append(self.backend.wide_zeros((samples, *map(int, like.shape[1:])), like))
        return out

    def _rows(self, rows: Any, ends: Ends, paths: Ints, alphas: Floats, nodes: Ints) -> list[Tensor | None]:
        backend, stage = self.backend, self.stage
        own = ends.stop_rows[paths]
        fixed = [backend.take(tensor, own) for tensor in stage.fixed]
        points = rows.points(paths, alphas)
        index = [backend.from_numpy(np.ascontiguousarray(paths), points[0])]
        if self.tap is None:
            ((_, grads),) = backend.values_and_grads(stage.forward, points, fixed, self.head, [index])
            self.like = self.like or list(points)
            return grads
        values, grads = self.tap.values_and_grads(stage.forward, points, fixed, self.head, index)
        self.like = self.like or [value[:0] for value in values]
        if self.follow is None:
            return list(grads)
        if isinstance(self.follow, str):
            start = [backend.take(leaf, ends.start_rows[paths]) for leaf in stage.start]
            ways = [backend.take(leaf, own) - first for leaf, first in zip(stage.stop, start, strict=True)]
            moves = self.tap.tangents(stage.forward, points, ways, fixed)
        else:
            onward = self.tap.values(stage.forward, rows.points(paths, self.follow[nodes]), fixed)
            moves = [after - before.detach() for after, before in zip(onward, values, strict=True)]
        return [
            None if grad is None else grad * 0 if move is None else grad * move
            for grad, move in zip(grads, moves, strict=True)
        ]

    def _added(
        self, totals: list[Tensor], grads: Sequence[Tensor | None], paths: Ints, weights: Floats, samples: int
    ) -> list[Tensor]:
        backend = self.backend
        if not totals:
            totals = [backend.wide_zeros((samples, *map(int, like.shape[1:])), like) for like in self.like]
            self.used = [False] * len(totals)
        slots, out = backend.from_numpy(np.ascontiguousarray(paths), totals[0]), []
        for leaf, (total, grad) in enumerate(zip(totals, grads, strict=True)):
            if grad is not None:
                _checked(grad, len(paths))
                self.used[leaf] = True
                column = np.ascontiguousarray(weights.reshape(-1, *[1] * (len(grad.shape) - 1)))
                wide = backend.cast_like(grad, total) * backend.cast_like(backend.from_numpy(column, grad), total)
                total = backend.scatter_add(total, slots, wide)
            out.append(total)
        return out


def _checked(grad: Tensor, rows: int) -> Tensor:
    if not grad.shape or int(grad.shape[0]) != rows:
        raise InputError(
            f"expected layer values with one row per sample ({rows}); got shape {tuple(grad.shape)}. Choose a layer "
            "whose first axis is the batch"
        )
    return grad


@dataclass(frozen=True)
class _TargetOfSamples:
    """The target's head, where the index of a row is its sample: what the target means shows in the first outputs."""

    target: Target
    samples: int

    def __call__(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = np.asarray(ops.to_numpy(index[0]), dtype=np.int64)
        shape = tuple(int(size) for size in outputs.shape) or (1,)
        flat = self.target.resolve(rows, shape, lambda: ops.to_numpy(outputs))
        native = ops.from_numpy(np.ascontiguousarray(flat[:, 0]), outputs)
        return TargetHead()(ops, outputs, [native])


def head_of_samples(backend: Backend, inputs: Inputs, target: Any) -> Head:
    """Return the head of one target per sample, where the index of a row is its sample."""
    if callable(target):
        return CustomHead(target)
    parsed = parse(fetched(backend, target), inputs.samples)
    if parsed.top > 1:
        raise InputError(f"expected one target per sample; got {target!r}")
    return _TargetOfSamples(parsed, inputs.samples)


def _shaped(
    backend: Backend,
    run: _Run,
    totals: list[Tensor],
    stages: InputStages,
    inputs: Inputs,
    names: list[str],
    given: list[Any],
    allow_unused: bool,
) -> Any:
    """Put the sums in the structure of the input or of the layer, zeros where nothing moves."""
    # A layer may give more than what follows needs, as attention gives its weights; an input is there to be used.
    if not allow_unused and not (any(run.used) if run.tap is not None else all(run.used)):
        place = run.used.index(False)
        what = f"input {names[stages.moving[place]]!r}" if run.tap is None else "the layer"
        raise InputError(
            f"expected every input to matter; the output does not depend on {what}. "
            "Pass allow_unused=True for zeros there"
        )
    found = [backend.cast_like(total, like) for total, like in zip(totals, run.like, strict=True)]
    spec = stages.spec
    if run.tap is None:
        moving = iter(found)
        out = [next(moving) if i in stages.moving else leaf * 0 for i, leaf in enumerate(inputs.leaves)]
    else:
        spec, out = run.tap.spec, found
    if isinstance(given[0], np.ndarray):
        out = [np.array(backend.to_numpy(leaf)) for leaf in out]
    return tree.unflatten(spec, out)
