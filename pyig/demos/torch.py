"""The demo's networks in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pyig.demos import DIGITS, RISK, Recipe


class Standardise(nn.Module):
    """(x - mean) / scale, so that the network takes the table's own units."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, x: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(x.mean(0)))
        self.register_buffer("scale", torch.from_numpy(x.std(0) + 1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return standardised rows."""
        return (x - self.mean) / self.scale


class TorchTrainer:
    """Fits by AdamW; leaves torch's global generator as it was."""

    label = f"PyTorch {torch.__version__}"

    def risk(self, x: NDArray[np.float32], y: NDArray[np.float32], seed: int) -> nn.Module:
        """Fit a network with one hidden layer."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = nn.Sequential(Standardise(x), nn.Linear(x.shape[1], 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
        return _fit(model, x, y[:, None], nn.BCELoss(), RISK, seed)

    def digits(self, images: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> nn.Module:
        """Fit a convolutional network."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = nn.Sequential(
                nn.Unflatten(1, (1, 8)),
                nn.Conv2d(1, 16, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 32, 3),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(32 * 6 * 6, 10),
            )
        return _fit(model, images, labels, nn.CrossEntropyLoss(), DIGITS, seed)

    def predict(self, model: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's outputs as numpy."""
        with torch.no_grad():
            outputs: NDArray[np.float32] = model(torch.from_numpy(x)).numpy()
        return outputs


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on batches this small, threads wait for each other longer than they compute
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@_one_thread()
def _fit(model: nn.Module, x: NDArray[Any], y: NDArray[Any], loss: nn.Module, recipe: Recipe, seed: int) -> nn.Module:
    inputs, wanted, rng = torch.from_numpy(x), torch.from_numpy(y), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    for _ in range(recipe.epochs):
        for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // recipe.batch)):
            optimiser.zero_grad()
            loss(model(inputs[rows]), wanted[rows]).backward()
            optimiser.step()
    return model.eval()
