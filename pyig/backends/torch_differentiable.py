"""Integrated Gradients that can be differentiated themselves, for losses that judge attributions.

The engine's results are numbers: they are summed outside the graph. Here every node stays in the graph, which takes
memory in proportion to the nodes; there is no way around that when the result is to be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pyig.contracts import Floats
from pyig.errors import InputError, ModelError


def integral(
    function: Callable[..., torch.Tensor],
    stop: Sequence[torch.Tensor],
    start: Sequence[torch.Tensor],
    nodes: Floats,
    weights: Floats,
    multiply: bool = True,
    allow_unused: bool = False,
) -> list[torch.Tensor]:
    """Return ``(x - x') sum_k w_k dF/dx(x' + alpha_k (x - x'))`` per leaf, connected to x, x' and the parameters.

    Parameters
    ----------
    function : callable
        ``function(*leaves)`` gives F, one number per row.
    stop, start : sequence of tensor
        x and x'; rows of x' are broadcast.
    nodes, weights : float64 (n,)
        The rule.
    multiply : bool
        Whether to include (x - x').
    allow_unused : bool
        Zeros for a leaf that F does not depend on, instead of an error.

    Examples
    --------
    >>> x = torch.tensor([[3.0]], requires_grad=True)
    >>> found = integral(lambda x: x[:, 0] ** 2, [x], [torch.zeros(1, 1)], [0.5], [1.0])[0]
    >>> torch.autograd.grad(found.sum(), x)[0]
    tensor([[6.]])
    """
    ways = [end - first for end, first in zip(stop, start, strict=True)]
    totals = [torch.zeros_like(way) for way in ways]
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        for alpha, weight in zip(nodes, weights, strict=True):
            points = [first + float(alpha) * way for first, way in zip(start, ways, strict=True)]
            points = [point if point.requires_grad else point.requires_grad_() for point in points]
            values = function(*(point.clone() for point in points))
            if not values.requires_grad:
                raise ModelError("expected outputs that depend on the input by differentiable operations")
            grads = torch.autograd.grad(values.sum(), points, create_graph=True, allow_unused=True)
            for leaf, grad in enumerate(grads):
                if grad is not None:
                    totals[leaf] = totals[leaf] + float(weight) * grad
                elif not allow_unused:
                    raise InputError(f"expected every input to matter; the output does not depend on input {leaf}")
        return [total * way for total, way in zip(totals, ways, strict=True)] if multiply else totals
