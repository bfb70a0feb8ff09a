"""A zoo entry as a `torch.nn.Module`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tape import Step

OPS: dict[str, Any] = {
    "dense": lambda x, w, b: x @ w + b,
    "tanh": torch.tanh,
    "softplus": torch.nn.functional.softplus,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "square": torch.square,
    "mul": torch.mul,
    "add": torch.add,
    "sum": lambda x: x.flatten(1).sum(1),
    "conv": torch.conv2d,
    "embed": lambda tokens, table: torch.nn.functional.embedding(tokens, table),
}


class Net(torch.nn.Module):
    """Plays the steps; the weights are parameters."""

    def __init__(self, steps: Sequence[Step], keys: tuple[str, ...], dtype: Any) -> None:
        super().__init__()
        self.steps, self.keys = steps, keys
        self.weights = torch.nn.ParameterList(
            [torch.from_numpy(np.array(w, dtype=dtype)) for step in steps for w in step.weights]
        )

    def forward(self, *leaves: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        tape, weights = list(leaves or (named[key] for key in self.keys)), iter(self.weights)
        for step in self.steps:
            args = [tape[i] for i in step.args]
            if step.op == "reshape":
                tape.append(args[0].reshape(-1, *step.shape))
            else:
                tape.append(OPS[step.op](*args, *[next(weights) for _ in step.weights]))
        return tape[-1]


build = Net
tensor = torch.from_numpy
