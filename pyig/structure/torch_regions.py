"""When a small torch model is looked at for exact integration over its linear regions."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch

from pyig.contracts import Forward
from pyig.structure.curves import MOST_LAYERS
from pyig.structure.refusal import Refusal
from pyig.structure.torch_piecewise import Piecewise, find_piecewise
from pyig.structure.torch_record import recorded
from pyig.structure.torch_signature import layers_in


def piecewise(
    model: object,
    forward: Forward,
    points: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor],
    known: Piecewise | None = None,
    kept: MutableMapping[str, Any] | None = None,
) -> Piecewise | Refusal:
    """Record the model, find its kinks, and compare it with the model; see `pyig.structure.piecewise_linear`."""
    if known is not None and known.verified(forward, points, starts, fixed):
        return known
    if len(layers_in(model)) > MOST_LAYERS:
        return Refusal("the model has too many layers to count its linear regions")
    recording = recorded(kept, model, forward, points, starts, fixed)
    if isinstance(recording, Refusal):
        return recording
    found = find_piecewise(recording)
    return found if isinstance(found, Refusal) else found.verified(forward, points, starts, fixed)
