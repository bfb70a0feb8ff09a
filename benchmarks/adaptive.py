"""How many gradients a tolerance costs, and how often a sample claims it and misses.

Small networks of several families are trained on scikit-learn's digits, held-out digits are explained for the predicted
class from the zero baseline, and every result is compared with a midpoint rule of 4096 nodes. Printed per family: mean
gradients per sample (all waste included), P95 of the relative L1 error, the share that claims to have converged and
misses, the share that does not converge; and the smallest Gauss-Legendre and midpoint rules that reach the tolerance.

    python benchmarks/adaptive.py [--quick] [--families "MLP GELU" ...] [--rtol 0.01] [--seed 0]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from common import machine
from sklearn.datasets import load_digits
from torch import nn

import pyig

FIXED = (4, 6, 8, 12, 16, 24, 32, 50, 75, 100, 150, 255)


def mlp(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), activation(), nn.Linear(128, 64), activation(), nn.Linear(64, 10)
    )


def cnn(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
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


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.body(x))


def resnet() -> nn.Module:
    stem = [nn.Conv2d(1, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU()]
    return nn.Sequential(
        *stem, *[Residual(24) for _ in range(4)], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10)
    )


FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "MLP GELU": lambda: mlp(nn.GELU),
    "MLP SiLU": lambda: mlp(nn.SiLU),
    "MLP ELU": lambda: mlp(nn.ELU),
    "MLP tanh": lambda: mlp(nn.Tanh),
    "MLP ReLU": lambda: mlp(nn.ReLU),
    "CNN ReLU": lambda: cnn(nn.ReLU),
    "CNN LeakyReLU": lambda: cnn(lambda: nn.LeakyReLU(0.1)),
    "ViT-like": Attention,
    "BN-ResNet": resnet,
}


def train(build: Callable[[], nn.Module], x: torch.Tensor, y: torch.Tensor, steps: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = build()
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(0, len(x), (64,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimiser.step()
    return model.eval()


def relative(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    rest = tuple(range(1, found.ndim))
    return np.abs(found.astype(float) - wanted).sum(rest) / np.abs(wanted).sum(rest)


def measure(name: str, model: nn.Module, x: torch.Tensor, value: str | None, rtol: float, rules: bool) -> str:
    explainer = pyig.IntegratedGradients(model)
    target = model(x).argmax(1)
    common = {"target": target, "value": value, "progress": False}
    wanted = explainer.explain(x, method="riemann_middle", n_steps=4096, **common).attributions
    found = explainer.explain(x, rtol=rtol, **common)
    error = relative(found.attributions, wanted)
    missed = np.mean(found.converged & (error > rtol))
    cells = [f"{name:14s} {value or 'logit':12s} {found.n_evals.mean():7.1f} {100 * np.quantile(error, 0.95):8.3f}"]
    cells.append(f"{100 * missed:7.0f} {100 * np.mean(~found.converged):7.0f}")
    for method in ("gausslegendre", "riemann_middle") if rules else ():
        enough = "> 255"
        for n in FIXED:
            got = explainer.explain(x, method=method, n_steps=n, **common).attributions
            if np.quantile(relative(got, wanted), 0.95) <= rtol:
                enough = str(n)
                break
        cells.append(f"{enough:>9s}")
    return " ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two families, few samples")
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), help="these alone")
    parser.add_argument("--rtol", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    labels = torch.tensor(digits.target)
    samples = 6 if options.quick else 40
    print(machine("numpy", "torch", "scikit-learn"))
    print(f"rtol {options.rtol}, seed {options.seed}, {samples} held-out digits, zero baseline, predicted class")
    head = f"{'family':14s} {'F':12s} {'grads':>7s} {'P95 %':>8s} {'missed%':>7s} {'open %':>7s}"
    print(f"{head} {'GL':>9s} {'midpoint':>9s}")
    for name in options.families or list(FAMILIES)[:: 4 if options.quick else 1]:
        build = FAMILIES[name]
        model = train(build, images[:1400], labels[:1400], 60 if options.quick else 400, options.seed)
        for value in (None, "probability"):
            print(measure(name, model, images[-samples:], value, options.rtol, rules=not options.quick), flush=True)


if __name__ == "__main__":
    main()
