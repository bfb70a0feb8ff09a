"""The gradient at a point: the other call to the engine."""

from __future__ import annotations

from typing import Any

import torch

from pyig import tree
from pyig.compat.captum.arguments import Call, Whole, by_rows, first_row
from pyig.explainer.gradients import Gradients


def gradients_at(call: Call, allow_unused: bool, **options: Any) -> Any:
    """Return dF/dx, or dF/dy of a layer, at the inputs of a call."""

    def run(call: Call) -> Any:
        size: dict[str, Any] = {"batch_size": 1} if isinstance(call.model, Whole) else {}
        return Gradients(call.model, output=call.output).sum(
            call.x, None, call.target, forward_kwargs=call.kwargs or None, allow_unused=allow_unused, **size, **options
        )

    found = run(call) if "layer" in options else by_rows(call, run, first_row)
    # A gradient may be one number that is shown at every place, which nobody could write to.
    return tree.tree_map(torch.Tensor.contiguous, found)
