"""How many gradients expected gradients take, against captum's GradientShap, for the same error per feature.

Small networks of several families are trained on scikit-learn's digits. Held-out digits are explained for the predicted
class over 100 training digits as baselines; the reference is a midpoint rule of 64 nodes on the path from each of them.
Printed per family: the median over samples and seeds of the relative L1 error, at budgets of N gradients per sample,
GradientShap's first (a random baseline and a random alpha per draw) and then pyig's. "evaluations" is how many
gradients GradientShap takes for pyig's error at that budget, over that budget: read off its own curve where the curve
reaches that far ("~": beyond it, by its law of one over the root of N). And the honesty of the estimate: its median
over the true error ("estimate"), and the share of samples whose true error is above it ("above").

    python benchmarks/expected.py [--quick] [--families "MLP GELU" ...] [--value probability] [--seed 0]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from adaptive import FAMILIES, train
from captum.attr import GradientShap
from common import machine
from sklearn.datasets import load_digits
from torch import nn

import pyig

BASELINES, NODES, SEEDS = 100, 64, 4
BUDGETS = (50, 100, 200, 400, 800)
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


def reach(curve: dict[int, float], error: float) -> tuple[float, bool]:
    """Return the budget at which a falling curve comes down to an error, and whether it was seen to."""
    budgets, errors = np.log(list(curve)), np.log(np.minimum.accumulate(list(curve.values())))
    last = list(curve)[-1]
    if np.log(error) < errors[-1]:
        return last * (np.exp(errors[-1]) / error) ** 2, False
    return float(np.exp(np.interp(-np.log(error), -errors, budgets))), True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one family, few samples")
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), help="these alone")
    parser.add_argument("--value", choices=["logit", "probability"], default="logit")
    parser.add_argument("--samples", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    digits = load_digits()
    images = torch.tensor(digits.data / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    labels = torch.tensor(digits.target)
    samples, peers = (3, PEER[:3]) if options.quick else (options.samples, PEER)
    x = images[-samples:]
    background = images[np.random.default_rng(options.seed).choice(1400, BASELINES, replace=False)]
    print(machine("numpy", "torch", "captum", "scikit-learn"))
    print(
        f"F: {options.value}; {BASELINES} baselines, {samples} held-out digits, {SEEDS} seeds, network {options.seed}"
    )
    heads = f"{'GradientShap %':>15s} {'pyig %':>7s} {'evaluations':>12s} {'estimate':>9s} {'above %':>8s}"
    print(f"{'family':14s} {'N':>4s} {heads}")
    for name in options.families or list(FAMILIES)[: 1 if options.quick else None]:
        model = train(FAMILIES[name], images[:1400], labels[:1400], 60 if options.quick else 400, options.seed)
        model = model if options.value == "logit" else Probability(model)
        wanted = pyig.IntegratedGradients(model).explain(
            x, background, model(x).argmax(1), method="riemann_middle", n_steps=NODES, progress=False
        )  # fmt: skip
        exact = wanted.attributions.astype(float)
        curve = {draws: peer(model, x, background, exact, draws) for draws in peers}
        for n in BUDGETS:
            error, said, above = ours(model, x, background, exact, n)
            needed, seen = reach(curve, error)
            theirs = f"{100 * curve[n]:.2f}" if n in curve else ""
            times = f"{'' if seen else '~'}{needed / n:.0f}x"
            line = f"{name:14s} {n:4d} {theirs:>15s} {100 * error:7.2f} {times:>12s} {said:9.1f} {100 * above:8.0f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
