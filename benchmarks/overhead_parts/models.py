"""Models and inputs of three sizes: a table, small images, one large image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Case:
    """One model with its input."""

    name: str
    model: nn.Module
    x: torch.Tensor
    target: int = 1


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(30, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 64, 10),
    )  # fmt: skip


class Block(nn.Module):
    """Two convolutions and a skip connection."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside),
        )  # fmt: skip
        self.side = nn.Conv2d(inside, outside, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(x) + self.side(x))


def resnet() -> nn.Module:
    """ResNet-18 with one block per stage."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Block(64, 64, 1), Block(64, 128, 2), Block(128, 256, 2), Block(256, 512, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip


def make(name: str, build: Callable[[], nn.Module], *shape: int) -> Case:
    torch.manual_seed(0)
    return Case(name, build().eval(), torch.randn(*shape))


def cases(quick: bool) -> dict[str, Case]:
    """Return the cases by a short name."""
    if quick:
        return {
            "mlp": make("MLP 30-128-128-2, 16 rows", mlp, 16, 30),
            "cnn": make("CNN 3x32x32, 2 rows", cnn, 2, 3, 32, 32),
            "image": make("ResNet-like, one 64x64 image", resnet, 1, 3, 64, 64),
        }
    return {
        "mlp": make("MLP 30-128-128-2, 256 rows", mlp, 256, 30),
        "cnn": make("CNN 3x32x32, 32 rows", cnn, 32, 3, 32, 32),
        "image": make("ResNet-like, one 224x224 image", resnet, 1, 3, 224, 224),
    }
