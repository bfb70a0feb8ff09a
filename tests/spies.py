"""Models that write down every point they are asked for, so that a test asserts the path itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import pyig

Array = NDArray[Any]
W = np.array([0.7, -1.1, 0.4])


@dataclass
class Log:
    """What the model saw: copies of the points, call by call, of forwards without a gradient and with one."""

    ends: list[Array] = field(default_factory=list)
    nodes: list[Array] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)

    def rows(self) -> list[int]:
        return [len(points) for points in self.nodes]

    def pairs(self, x: Array, start: Array, alphas: Array) -> list[tuple[int, int]]:
        """Return the (sample, node) of every point; a point off the lines, or between the nodes, is an error."""
        found = []
        for point in np.concatenate(self.nodes):
            step = x - start
            along = ((point - start) * step).sum(1) / (step * step).sum(1)
            off = np.abs(start + along[:, None] * step - point).max(axis=1)
            sample = int(off.argmin())
            node = int(np.abs(alphas - along[sample]).argmin())
            assert off[sample] < 1e-12, f"{point} lies on no path"
            assert abs(alphas[node] - along[sample]) < 1e-12, f"alpha={along[sample]} is no node"
            found.append((sample, node))
        return found


class NumpySpy:
    """F(x) = tanh(x w) in numpy: `gradient` is asked after the forward of the same points."""

    def __init__(self) -> None:
        self.log = Log()
        self._forwards: list[Array] = []

    def __call__(self, x: Array) -> Array:
        self._forwards.append(x.copy())
        self.log.ends.append(x.copy())
        return np.tanh(x @ W.astype(x.dtype))

    def gradient(self, x: Array) -> Array:
        np.testing.assert_array_equal(self.log.ends.pop(), x)
        self.log.nodes.append(x.copy())
        self.log.addresses.append(x.__array_interface__["data"][0])
        w = W.astype(x.dtype)
        return (1 - np.tanh(x @ w) ** 2)[:, None] * w


class TorchSpy(torch.nn.Module):
    """The same function in torch."""

    def __init__(self, columns: int = 1) -> None:
        super().__init__()
        self.log = Log()
        self.weight = torch.nn.Parameter(torch.from_numpy(np.stack([W * (1 + c) for c in range(columns)], axis=1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (self.log.nodes if x.requires_grad else self.log.ends).append(x.detach().numpy().copy())
        return torch.tanh(x @ self.weight)


def spy(backend: str) -> tuple[pyig.IntegratedGradients, Log]:
    """Return an explainer of a spy, and the spy's log."""
    if backend == "torch":
        module = TorchSpy()
        return pyig.IntegratedGradients(module), module.log
    function = NumpySpy()
    return pyig.IntegratedGradients(function, gradient=function.gradient), function.log
