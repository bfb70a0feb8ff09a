"""The floor: nothing but the points, one forward and one backward per chunk of steps, and the weighted sum."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from overhead_parts.models import Case


@lru_cache
def nodes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    x, w = np.polynomial.legendre.leggauss(n)
    return torch.from_numpy((x + 1) / 2).float(), torch.from_numpy(w / 2).float()


def bare(case: Case, n: int, chunk: int) -> torch.Tensor:
    """Return the attributions from a zero baseline, `chunk` steps of all rows at a time."""
    alphas, weights = nodes(n)
    x, total = case.x, torch.zeros_like(case.x)
    for i in range(0, n, chunk):
        part = alphas[i : i + chunk]
        points = (part.reshape(-1, *[1] * x.ndim) * x).flatten(0, 1).requires_grad_()
        with torch.enable_grad():
            (grad,) = torch.autograd.grad(case.model(points)[:, case.target].sum(), points)
        total += torch.tensordot(weights[i : i + chunk], grad.unflatten(0, (len(part), len(x))), dims=1)
    return total * x
