"""Comparisons of a found structure with the model itself, before the structure is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pyig.contracts import Forward
from pyig.structure.agreement import OR_MIXED, SHARE, gradients_agree, values_agree

Evaluate = Callable[[list[torch.Tensor], list[torch.Tensor]], torch.Tensor]


def ends_and_middle(
    points: Sequence[torch.Tensor], starts: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return baseline, input and a point between of the first sample as three rows, and the fixed tensors for them."""
    rows = []
    for stop, start in zip(points, starts, strict=True):
        stop, start = stop.detach()[:1], start.detach()[:1]
        rows.append(torch.cat([start, stop, start + SHARE * (stop - start)]))
    return rows, [leaf.detach()[:1].expand(3, *leaf.shape[1:]) for leaf in fixed]


def gradients(
    call: Evaluate, points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor], along: torch.Tensor | None = None
) -> tuple[torch.Tensor, tuple[torch.Tensor | None, ...], torch.Tensor]:
    """Return values, the VJP with a cotangent, and the cotangent: by default one that no symmetry hides from."""
    leaves = [leaf.detach().requires_grad_() for leaf in points]
    with torch.enable_grad():
        outputs = call([leaf.clone() for leaf in leaves], list(fixed))
        if along is None:
            count = torch.arange(outputs.numel(), dtype=torch.float32, device=outputs.device)
            along = torch.cos(1.0 + 1.7 * count).reshape(outputs.shape).to(outputs)
        elif along.shape != outputs.shape:
            return outputs.detach(), (), along
        return outputs.detach(), torch.autograd.grad(outputs, leaves, along, allow_unused=True), along


def disagreement(
    forward: Forward,
    replay: Evaluate,
    points: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor],
) -> str | None:
    """Compare the replay of one row with the same row in a batch of the model; return where they differ, or None."""
    rows, held = ends_and_middle(points, starts, fixed)
    outputs, expected, along = gradients(forward, rows, held)
    row, kept = last_row(rows, held)
    again, found, _ = gradients(replay, row, kept, along[-1:])
    if not close(again, outputs[-1:]):
        return f"the recorded operations give other values than the model, {OR_MIXED}"
    return gradient_gap(expected, found)


def last_row(*parts: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Return the last row of each tensor of each part."""
    return [[leaf[-1:] for leaf in part] for part in parts]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Tell whether values agree to what their dtype gives; what is not finite never agrees."""
    return values_agree(_wide(a), _wide(b), a.dtype.itemsize)


def gradient_gap(expected: Sequence[torch.Tensor | None], found: Sequence[torch.Tensor | None]) -> str | None:
    """Compare gradients leaf by leaf, by the norm of their last row; return the complaint, or None."""
    for a, b in zip(expected, found, strict=True):
        wanted, got = (None if gradient is None else _wide(gradient[-1:]) for gradient in (a, b))
        if not gradients_agree(got, wanted, 8 if a is None else a.dtype.itemsize):
            return f"its gradient is not the model's, {OR_MIXED}"
    return None


def _wide(tensor: torch.Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = tensor.detach().cpu().double().numpy()  # on the host: not every device has float64
    return found
