"""Families of small networks, and which of them the adaptive scheme's constants were tuned on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from overhead_parts.models import Block
from torch import nn

from accuracy_parts.data import data

Make = Callable[[], nn.Module]


def mlp(activation: Make, *widths: int) -> Make:
    def build() -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for inside, outside in pairwise(widths):
            layers += [nn.Linear(inside, outside), activation()]
        return nn.Sequential(*layers[:-1])

    return build


def cnn(activation: Make) -> Make:
    return lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), activation(), nn.Conv2d(16, 32, 3, padding=1), activation(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), activation(), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip


class Attention(nn.Module):
    """A two-block vision transformer on 2x2 patches."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.position = nn.Parameter(torch.randn(16, width) * 0.1)
        layer = nn.TransformerEncoderLayer(
            width, 4, 96, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.blocks(tokens).mean(1))


def resnet() -> nn.Module:
    """Six residual blocks with batch normalisation, 88 k parameters, on 24x24 pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Block(16, 16, 1), Block(16, 24, 2), Block(24, 24, 1),
        Block(24, 32, 2), Block(32, 32, 1), Block(32, 40, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, 10),
    )  # fmt: skip


class Gated(nn.Module):
    """Linear layers gated by a Swish of another linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate = nn.Linear(64, 96), nn.Linear(64, 96)
        self.second, self.gate2 = nn.Linear(96, 64), nn.Linear(96, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        x = self.first(x) * nn.functional.silu(self.gate(x))
        return self.head(self.second(x) * nn.functional.silu(self.gate2(x)))


class Mixer(nn.Module):
    """Two mixer blocks over 16 patches."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, 2, stride=2)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.tokens = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)) for _ in range(2))
        self.channels = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width)) for _ in range(2)
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for i, (tokens, channels) in enumerate(zip(self.tokens, self.channels, strict=True)):
            x = x + tokens(self.norms[2 * i](x).transpose(1, 2)).transpose(1, 2)
            x = x + channels(self.norms[2 * i + 1](x))
        return self.head(self.norms[4](x).mean(1))


@dataclass(frozen=True)
class Family:
    """A network, its data, and how long it is trained.

    Attributes
    ----------
    kind : str
        smooth, attention, relu, cnn or resnet: what the goals are set for.
    tuned : bool
        Whether the scheme's constants were chosen with a look at it.
    """

    name: str
    kind: str
    source: str
    build: Make
    tuned: bool
    steps: int = 1500
    rate: float = 3e-3
    samples: int = 60


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.1)


_ALL = (
    Family("MLP GELU, digits", "smooth", "digits", mlp(nn.GELU, 64, 128, 64, 10), True),
    Family("MLP GELU, cancer", "smooth", "cancer", mlp(nn.GELU, 30, 64, 64, 2), True),
    Family("MLP ELU, digits", "smooth", "digits", mlp(nn.ELU, 64, 128, 64, 10), True),
    Family("MLP tanh, digits", "smooth", "digits", mlp(nn.Tanh, 64, 128, 64, 10), True),
    Family("MLP ReLU, digits", "relu", "digits", mlp(nn.ReLU, 64, 128, 64, 10), True),
    Family("MLP ReLU, cancer", "relu", "cancer", mlp(nn.ReLU, 30, 64, 64, 2), True),
    Family("CNN ReLU", "cnn", "digits", cnn(nn.ReLU), True, steps=600, samples=36),
    Family("ViT-like", "attention", "digits", Attention, True, steps=1500, rate=1e-3, samples=36),
    Family("BN-ResNet", "resnet", "digits24", resnet, True, steps=300, samples=12),
    Family("MLP SiLU, digits", "smooth", "digits", mlp(nn.SiLU, 64, 128, 64, 10), False),
    Family("MLP GELU, wine", "smooth", "wine", mlp(nn.GELU, 13, 64, 64, 3), False, steps=300),
    Family("MLP Softplus, cancer", "smooth", "cancer", mlp(nn.Softplus, 30, 64, 64, 2), False),
    Family("MLP GELU, diabetes", "smooth", "diabetes", mlp(nn.GELU, 10, 64, 64, 1), False),
    Family("MLP Mish, deep", "smooth", "digits", mlp(nn.Mish, 64, 64, 64, 64, 64, 10), False),
    Family("Swish-gated", "smooth", "digits", Gated, False),
    Family("Mixer", "attention", "digits", Mixer, False, steps=1500, rate=1e-3, samples=36),
    Family("CNN LeakyReLU", "cnn", "digits", cnn(_leaky), False, steps=600, samples=36),
    Family("MLP ReLU, wine", "relu", "wine", mlp(nn.ReLU, 13, 64, 64, 3), False, steps=300),
)
FAMILIES = {family.name: family for family in _ALL}


def train(family: Family, seed: int, steps: int | None = None) -> nn.Module:
    """Train on the family's data; the seed draws the weights and the batches."""
    torch.manual_seed(seed)
    source, model = data(family.source), family.build()
    optimiser = torch.optim.Adam(model.parameters(), family.rate)
    for _ in range(family.steps if steps is None else steps):
        rows = torch.randint(0, source.train, (64,))
        optimiser.zero_grad()
        out, wanted = model(source.x[rows]), source.y[rows]
        if wanted.is_floating_point():
            loss = nn.functional.mse_loss(out[:, 0], wanted)
        else:
            loss = nn.functional.cross_entropy(out, wanted)
        loss.backward()
        optimiser.step()
    return model.eval()
