"""Mean slopes of functions of one number: the integral of sigma' between z0 and z1, over z1 - z0."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pyig import _core
from pyig.structure.torch_program import widest

Curve = Callable[[torch.Tensor], torch.Tensor]


def mean_slope(curve: Curve, start: torch.Tensor, stop: torch.Tensor, any_entries: bool = False) -> torch.Tensor:
    """Return (sigma(stop) - sigma(start)) / (stop - start), entry by entry, in the widest dtype.

    Where the ends are close the difference loses digits; there the slope is averaged over four Gauss nodes instead. A
    kink between the ends would spoil that average, so it is taken only where the two agree to within what the
    difference has lost.

    Parameters
    ----------
    curve : callable
        A continuous function that acts entry by entry.
    start, stop : tensor (1 or R, ...), (R, ...)
        The ends; the digits of their dtype are kept.
    any_entries : bool
        Whether `curve` is the same function at every entry, so that it may run on some of them.
    """
    wide = widest(start)
    wanted = torch.finfo(start.dtype).eps / 16
    stop = stop.to(wide)
    start = start.to(wide)  # a shared start stays one row: its curve is evaluated once
    step = stop - start
    with torch.no_grad():
        low, high = curve(start), curve(stop)
    rise = high - low
    # In place on what is fresh: of a small model, to fill new memory is a good part of the work.
    loss = high.abs().add_(low.abs()).mul_(torch.finfo(wide).eps)  # of the rise; over |step| it is that of the slope
    close = loss >= step.abs().mul_(wanted)  # where nothing moves, the slope is not even defined
    if not bool(close.any()):
        return rise.div_(step)
    slope = rise.div_(torch.where(step == 0, torch.ones_like(step), step))
    start = start.expand(stop.shape)
    if any_entries:
        mean = slope.masked_scatter(close, _averaged_slope(curve, start[close], step[close]))
    else:
        mean = _averaged_slope(curve, start, step)
    agree = (slope - mean).abs() * step.abs() <= 8 * loss
    return torch.where(close & (agree | (step == 0)), mean, slope)


def _averaged_slope(curve: Curve, start: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    nodes, weights, _ = _core.rule("gausslegendre", 4)
    total = torch.zeros_like(start)
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        with torch.enable_grad():
            point = (start + node * step).requires_grad_()
            (slope,) = torch.autograd.grad(curve(point).sum(), point)
        total += weight * slope
    return total
