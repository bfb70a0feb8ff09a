"""Small data sets that come with scikit-learn: inputs scaled, a held-out part at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine


@dataclass(frozen=True)
class Data:
    """Inputs and labels; float labels are a regression."""

    x: torch.Tensor
    y: torch.Tensor
    train: int

    @property
    def held_out(self) -> torch.Tensor:
        return self.x[self.train :]


def _table(load: Callable[..., tuple[np.ndarray, np.ndarray]], train: int) -> Data:
    x, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))  # wine and cancer come sorted by class
    x, y = x[order], y[order]
    x = (x - x[:train].mean(0)) / x[:train].std(0)
    if y.dtype.kind == "f":
        y = (y - y.mean()) / y.std()
    label = torch.tensor(y, dtype=torch.float32 if y.dtype.kind == "f" else torch.int64)
    return Data(torch.tensor(x, dtype=torch.float32), label, train)


def _images(size: int) -> Data:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))  # its last writers are harder than the others
    x, y = x[order], y[order]
    images = torch.tensor(x / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    if size > 8:
        images = torch.nn.functional.interpolate(images, size=size, mode="bilinear", align_corners=False)
    return Data(images, torch.tensor(y), 1400)


@cache
def data(name: str) -> Data:
    """Return a data set: digits, digits24 (enlarged to 24x24), cancer, wine or diabetes."""
    if name.startswith("digits"):
        return _images(int(name[6:] or 8))
    table = {"cancer": (load_breast_cancer, 400), "wine": (load_wine, 120), "diabetes": (load_diabetes, 340)}
    return _table(*table[name])


def baseline(kind: str, source: Data, x: torch.Tensor, seed: int) -> torch.Tensor:
    """Return a baseline for every row of x: zero, the training mean, or noise of the training data's spread."""
    train = source.x[: source.train]
    if kind == "zero":
        return torch.zeros_like(x)
    if kind == "mean":
        return train.mean(0, keepdim=True).expand_as(x).contiguous()
    generator = torch.Generator().manual_seed(seed)
    noise = train.mean() + train.std() * torch.randn(x.shape, generator=generator)
    return noise.clamp(float(train.min()), float(train.max()))
