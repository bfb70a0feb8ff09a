"""How many gradients expected gradients take, against captum's GradientShap, for the same error per feature.

The networks of `accuracy.py` are trained on data sets that come with scikit-learn. Held-out samples are explained for
the predicted class over 100 training samples as baselines; the reference is a midpoint rule of 64 nodes on the path
from each of them. Printed per family: the median over samples and seeds of the relative L1 error, at budgets of N
gradients per sample, GradientShap's (a random baseline and a random alpha per draw) and pyig's; and how honest pyig's
estimate is: its median over the true error ("estimate"), and the share of samples whose true error is above it
("above"). The lines with rtol are the default method at a loose tolerance, on the path from each baseline: N is its
mean number of gradients. At the end, for each budget, how many gradients GradientShap takes for the error that pyig
has there, over that budget: read off its curve, and beyond its last budget ("~") by its law of one over the root of N.

    python benchmarks/expected.py [--quick] [--families "CNN ReLU" ...] [--value probability] [--seed 0]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from accuracy_parts.data import data
from accuracy_parts.families import FAMILIES, train
from captum.attr import GradientShap
from common import machine, table
from torch import nn

import pyig

BASELINES, NODES, SEEDS = 100, 64, 4
BUDGETS = (50, 100, 200, 400, 800)
DEFAULT = (
    "MLP GELU, digits", "MLP GELU, cancer", "MLP GELU, wine", "MLP tanh, digits", "Swish-gated", "MLP ReLU, digits",
    "MLP ReLU, cancer", "CNN ReLU", "CNN LeakyReLU", "ViT-like", "Mixer", "BN-ResNet",
)  # fmt: skip
PEER = (100, 200, 400, 800, 1600, 3200)
_PART = 400  # draws of one GradientShap call: it holds them all at once


def relative(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    rest = tuple(range(1, found.ndim))
    return np.abs(found - wanted).sum(rest) / np.abs(wanted).sum(rest)


class Probability(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x).softmax(1)


def peer(model: nn.Module, x: torch.Tensor, background: torch.Tensor, wanted: np.ndarray, draws: int) -> float:
    """Return GradientShap's median error; it draws from numpy's and torch's global generators."""
    explain, target, errors = GradientShap(model), model(x).argmax(1), []
    for seed in range(SEEDS):
        np.random.seed(seed)  # noqa: NPY002 - the only seed that it listens to
        torch.manual_seed(seed)
        total = 0.0
        for _ in range(0, draws, _PART):
            part = explain.attribute(x, background, n_samples=min(draws, _PART), stdevs=0.0, target=target)
            total = total + part.detach().double().numpy()
        errors.append(relative(total / max(1, draws // _PART), wanted))
    return float(np.median(errors))


def ours(
    model: nn.Module, x: torch.Tensor, background: torch.Tensor, wanted: np.ndarray, n: int
) -> tuple[float, float, float]:
    """Return the median error, the median of the estimate over it, and the share of larger errors."""
    explainer, errors, estimates = pyig.IntegratedGradients(model), [], []
    for seed in range(SEEDS):
        found = explainer.explain(
            x, background, model(x).argmax(1), method="expected", n_steps=n, rng=seed, progress=False
        )
        errors.append(relative(found.attributions.astype(float), wanted))
        estimates.append(found.error / np.abs(wanted).sum(tuple(range(1, wanted.ndim))))
    true, said = np.concatenate(errors), np.concatenate(estimates)
    return float(np.median(true)), float(np.median(said / true)), float(np.mean(true > said))


def adaptive(
    model: nn.Module, x: torch.Tensor, background: torch.Tensor, wanted: np.ndarray, rtol: float
) -> tuple[float, float, float, float]:
    """Return the mean number of gradients, the median error, the median of the estimate over it, and how often more."""
    found = pyig.IntegratedGradients(model).explain(x, background, model(x).argmax(1), rtol=rtol, progress=False)
    true = relative(found.attributions.astype(float), wanted)
    said = found.error / np.abs(wanted).sum(tuple(range(1, wanted.ndim)))
    return (
        float(found.n_evals.mean()),
        float(np.median(true)),
        float(np.median(said / true)),
        float(np.mean(true > said)),
    )


def reach(curve: dict[int, float], error: float) -> tuple[float, bool]:
    """Return the budget at which a falling curve comes down to an error, and whether it was seen to."""
    budgets, errors = np.log(list(curve)), np.log(np.minimum.accumulate(list(curve.values())))
    last = list(curve)[-1]
    if np.log(error) < errors[-1]:
        return last * (np.exp(errors[-1]) / error) ** 2, False
    return float(np.exp(np.interp(-np.log(error), -errors, budgets))), True


def compared(curve: dict[int, float], error: float, n: int) -> str:
    """Return how many times the n gradients the curve takes for an error."""
    needed, seen = reach(curve, error)
    return f"{'' if seen else '~'}{needed / n:.0f}x"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one family, few samples")
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), help="these alone")
    parser.add_argument("--value", choices=["logit", "probability"], default="logit")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    samples, peers = (3, PEER[:3]) if options.quick else (options.samples, PEER)
    print(machine("numpy", "torch", "captum", "scikit-learn"))
    print(
        f"F: {options.value}; {BASELINES} baselines, {samples} held-out samples, {SEEDS} seeds, network {options.seed}"
    )
    print(f"{'family':18s} {'N':>4s} {'GradientShap %':>15s} {'pyig %':>7s} {'estimate':>9s} {'above %':>8s}")
    rows = []
    for name in options.families or DEFAULT[: 1 if options.quick else None]:
        source, family = data(FAMILIES[name].source), FAMILIES[name]
        x = source.held_out[:samples]
        background = source.x[np.random.default_rng(options.seed).choice(source.train, BASELINES, replace=False)]
        model = train(family, options.seed, 60 if options.quick else None)
        model = model if options.value == "logit" else Probability(model)
        wanted = pyig.IntegratedGradients(model).explain(
            x, background, model(x).argmax(1), method="riemann_middle", n_steps=NODES, progress=False
        )  # fmt: skip
        exact = wanted.attributions.astype(float)
        curve = {draws: peer(model, x, background, exact, draws) for draws in peers}
        own = {}
        for n in BUDGETS:
            own[n], said, above = ours(model, x, background, exact, n)
            theirs = f"{100 * curve[n]:.2f}" if n in curve else ""
            print(f"{name:18s} {n:4d} {theirs:>15s} {100 * own[n]:7.2f} {said:9.1f} {100 * above:8.0f}", flush=True)
        for rtol in (0.3, 0.1):
            n, error, said, above = adaptive(model, x, background, exact, rtol)
            print(
                f"{name:18s} {n:4.0f} {f'rtol {rtol}':>15s} {100 * error:7.2f} {said:9.1f} {100 * above:8.0f}",
                flush=True,
            )
        rows.append([name, *(compared(curve, own[n], n) for n in BUDGETS)])
    print()
    print(table(["family", *(f"N = {n}" for n in BUDGETS)], rows))


if __name__ == "__main__":
    main()
