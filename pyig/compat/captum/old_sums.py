"""Captum's sum over the nodes, bit for bit: all points of a step's batch at once, summed in the dtype of the input.

The points, the gradients and the cut at a layer are the engine's. What differs is the order and the precision of the
additions, and that memory grows with the steps, as it does in Captum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pyig import tree
from pyig.backends.torch import TorchBackend
from pyig.compat.captum.arguments import Call
from pyig.contracts import Head
from pyig.errors import InputError, RowsError
from pyig.explainer.gradients import head_of_samples
from pyig.integrate.inputs import read_baselines, read_inputs
from pyig.integrate.stages import InputStages, LayerStages, Stage
from pyig.quadrature import Rule
from pyig.structure import split


def old_sum(
    call: Call, rule: Rule, most_rows: int | None, multiply: bool, allow_unused: bool, layer: Any, to_inputs: bool
) -> Any:
    """Return what `IntegratedGradients.attribute` of Captum returns, to the last bit.

    Parameters
    ----------
    most_rows : int, optional
        Captum's ``internal_batch_size``: it splits the steps, and a part is multiplied and added by itself.
    """
    backend = TorchBackend(call.model)
    inputs = read_inputs(backend, call.x, call.kwargs)
    places = inputs.floating if layer is None else range(len(inputs.leaves))
    starts = read_baselines(inputs, call.baselines, np.random.default_rng(0), places)
    if len(starts) > 1:
        raise InputError(f'expected one baseline with quirks="captum"; got {len(starts)}')
    with backend.session():
        if layer is None:
            stages: Any = InputStages(backend, inputs, starts, call.output)
        else:
            stages = LayerStages(backend, inputs, starts, split(backend, call.model, layer, to_inputs), call.output)
        stage = stages(np.arange(inputs.samples))
        starts_of = [leaf.index_select(0, torch.from_numpy(stage.start_row[0]).to(leaf.device)) for leaf in stage.start]
        ways = [stop - start for stop, start in zip(stage.stop, starts_of, strict=True)]
        head, steps = head_of_samples(backend, inputs, call.target), len(rule.nodes)
        size = steps if most_rows is None else max(1, most_rows // inputs.samples)
        totals: list[torch.Tensor] = []
        for first in range(0, steps, size):
            part = slice(first, first + size)
            grads = _grads(backend, stage, starts_of, ways, rule.nodes[part], head)
            unused = [place for place, grad in zip(stages.moving, grads, strict=True) if grad is None]
            if unused and not allow_unused:
                name = tree.names(stages.spec)[unused[0]]
                raise InputError(
                    f"expected every input to matter; the output does not depend on input {name!r}. Pass "
                    "allow_unused=True for zero attributions there, or leave the input out"
                )
            found = [_summed(grad, way, rule.weights[part]) for grad, way in zip(grads, ways, strict=True)]
            if multiply:
                found = [total * way for total, way in zip(found, ways, strict=True)]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
    moving = iter(totals)
    out = [
        next(moving) if i in stages.moving else torch.zeros_like(leaf, dtype=torch.float32)
        for i, leaf in enumerate(stages.template)
    ]
    if isinstance(call.leaves[0], np.ndarray):
        return tree.unflatten(stages.spec, [backend.to_numpy(leaf) for leaf in out])
    return tree.unflatten(stages.spec, out)


def _grads(
    backend: TorchBackend,
    stage: Stage,
    starts: list[torch.Tensor],
    ways: list[torch.Tensor],
    nodes: Any,
    head: Head,
) -> list[torch.Tensor | None]:
    """Return the gradients at all points, step by step, (K * N, ...)."""
    points = [
        torch.cat([start + float(alpha) * way for alpha in nodes]) for start, way in zip(starts, ways, strict=True)
    ]
    fixed = [leaf.repeat(len(nodes), *[1] * (leaf.ndim - 1)) for leaf in stage.fixed]
    index = torch.arange(len(ways[0]), device=points[0].device).repeat(len(nodes))

    def forward(points: Any, fixed: Any) -> torch.Tensor:
        outputs: torch.Tensor = stage.forward(points, fixed)
        if not outputs.ndim:
            raise RowsError(f"expected one output row per input row ({len(points[0])}); got a single number")
        return outputs

    return backend.value_and_grad(forward, points, fixed, head, [index])[1]


def _summed(grad: torch.Tensor | None, way: torch.Tensor, weights: Any) -> torch.Tensor:
    """Return the sum over the steps, with weights in float32: half precision becomes float32 by them."""
    if grad is None:
        return torch.zeros_like(way)
    steps = len(weights)
    scaled = grad.contiguous().view(steps, -1) * torch.tensor(weights).float().view(steps, 1).to(grad.device)
    return scaled.reshape(steps, *way.shape).sum(0)
