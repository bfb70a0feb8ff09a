"""Gauss-Legendre for a probability: on the gradients of its log-odds, and on its own.

Run ``python benchmarks/log_odds.py`` (``--quick`` for a look). Both take the same number of gradients. The table has
the 95th percentile of the relative L1 error of held-out samples, in per cent, against 4096 midpoint nodes in float64;
in brackets that of the rule on the probability itself, which a model with a softmax at its end gets.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from accuracy_parts.data import baseline, data
from accuracy_parts.families import FAMILIES, Family, train
from common import machine, table

import pyig

NODES = (4, 6, 8, 12, 16, 24, 50)
NAMES = ("MLP GELU, digits", "MLP tanh, digits", "MLP GELU, cancer", "ViT-like", "MLP ReLU, digits", "CNN ReLU")


def row(family: Family, seed: int, quick: bool) -> list[str]:
    """Return one line of the table."""
    model, source = train(family, seed, 50 if quick else None).double(), data(family.source)
    x = source.held_out[: 6 if quick else family.samples].double()
    start = baseline("noise", source, x, seed).double()
    logits = pyig.IntegratedGradients(model)
    softmax = pyig.IntegratedGradients(torch.nn.Sequential(model, torch.nn.Softmax(dim=1)))
    options = {"progress": False, "target": model(x).argmax(1).numpy()}
    wanted = softmax.explain(x, start, method="riemann_middle", n_steps=256 if quick else 4096, **options)
    line = [family.name]
    for n in NODES:
        ours = logits.explain(x, start, value="probability", n_steps=n, **options)
        plain = softmax.explain(x, start, n_steps=n, **options)
        found = (100 * p95(e.attributions, wanted.attributions) for e in (ours, plain))
        line.append("{:.2g} ({:.2g})".format(*found))
    return line


def p95(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the 95th percentile of the relative L1 errors."""
    apart, size = (np.abs(a).reshape(len(a), -1).sum(1) for a in (found - wanted, wanted))
    return float(np.quantile(apart / size, 0.95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one small family, barely trained")
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine("pyig-explain", "torch", "numpy"))
    names = NAMES[:1] if given.quick else NAMES
    lines = [row(FAMILIES[name], given.seed, given.quick) for name in names]
    print(table(["P95 error in %", *(f"{n} nodes" for n in NODES)], lines))


if __name__ == "__main__":
    main()
