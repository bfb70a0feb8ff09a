"""Plain loops in torch, as references: a fixed rule, and a rule within the regions that bisection finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

Forward = Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor]], torch.Tensor]
Nodes = tuple[NDArray[np.float64], NDArray[np.float64]]


def gauss(n: int, cuts: Sequence[float] = (0.0, 1.0)) -> Nodes:
    """Return nodes and weights of n Gauss nodes between each two cuts."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    low, width = np.array(cuts[:-1])[:, None], np.diff(cuts)[:, None]
    return (low + width * (nodes + 1) / 2).ravel(), (width * weights / 2).ravel()


def integral(
    forward: Forward,
    points: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor],
    index: torch.Tensor,
    rule: Nodes,
) -> list[torch.Tensor]:
    """Return the mean gradients of one output per sample, node after node."""
    totals = [torch.zeros_like(leaf) for leaf in points]
    for alpha, weight in zip(*rule, strict=True):
        here = [b + alpha * (a - b) for a, b in zip(points, starts, strict=True)]
        leaves = [leaf.detach().requires_grad_() for leaf in here]
        outputs = forward([leaf.clone() for leaf in leaves], fixed)
        picked = outputs.flatten(1).gather(1, index[:, None]).sum()
        for total, grad in zip(totals, torch.autograd.grad(picked, leaves), strict=True):
            total += weight * grad
    return totals


def attributions(
    forward: Forward, points: Sequence[torch.Tensor], starts: Sequence[torch.Tensor], index: torch.Tensor, rule: Nodes
) -> list[torch.Tensor]:
    means = integral(forward, points, starts, [], index, rule)
    return [(a - b) * mean for a, b, mean in zip(points, starts, means, strict=True)]


def gap(found: Sequence[torch.Tensor], exact: Sequence[torch.Tensor]) -> float:
    """Return the largest relative L1 distance of a sample, over all leaves."""
    far = sum((a.double() - b.double()).abs().flatten(1).sum(1) for a, b in zip(found, exact, strict=True))
    size = sum(b.double().abs().flatten(1).sum(1) for b in exact)
    assert isinstance(far, torch.Tensor)
    return float((far / size).max())


def bisected(pattern: Callable[[float], NDArray[np.bool_]], finest: float = 1e-15) -> list[float]:
    """Return 0, 1 and every place between where the pattern changes, by bisection alone.

    A change and its undoing between two points of the first grid would be missed; the grid is fine.
    """
    grid = np.linspace(0, 1, 513)
    found = {0.0, 1.0}
    todo = [(a, b, pattern(a), pattern(b)) for a, b in pairwise(grid)]
    while todo:
        a, b, left, right = todo.pop()
        if (left == right).all():
            continue
        middle = (a + b) / 2
        if b - a < finest or middle in (a, b):
            found.add(middle)
            continue
        between = pattern(middle)
        todo += [(a, middle, left, between), (middle, b, between, right)]
    return sorted(found)
