"""What the structure of a model saves: pyig's default and its fixed rule against Captum's 50 steps, in one run.

Run ``python benchmarks/structure.py`` (``--quick`` for a look). A first call records the model, searches it and checks
what it found; an explainer that has seen the model before only checks. The last columns are the gradients that a sample
takes and the largest relative L1 distance of a sample to a fine reference in float64.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from captum.attr import IntegratedGradients
from common import interleave, machine, show_seconds, table

import pyig

STEPS = 50
TARGETS = {(2000, 256, 10): 40.0, (784, 128, 10): 20.0}  # the default, known, against captum
TEN = 0.65  # ten targets of a fixed rule, against ten calls


def network(widths: tuple[int, ...], activation: type[torch.nn.Module]) -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [torch.nn.Linear(wide, narrow), activation()]
    return torch.nn.Sequential(*layers[:-1]).eval()


def reference(model: torch.nn.Module, x: torch.Tensor, index: np.ndarray) -> np.ndarray:
    """Return attributions by 4096 midpoints, in float64; of a small network with kinks by its linear regions."""
    explainer, options = pyig.IntegratedGradients(copy.deepcopy(model).double()), {"target": index, "progress": False}
    found = explainer.explain(x.double(), **options)
    if found.meta["method"] != "exact":
        found = explainer.explain(x.double(), method="riemann_middle", n_steps=4096, **options)
    return found.attributions


def rows(
    widths: tuple[int, ...], activation: type[torch.nn.Module], rounds: int
) -> tuple[list[list[object]], list[str]]:
    torch.manual_seed(0)
    model, x = network(widths, activation), torch.randn(64, widths[0])
    index = np.arange(64) % widths[-1]
    captum, known = IntegratedGradients(model), pyig.IntegratedGradients(model)
    target, options = torch.from_numpy(index), {"target": index, "progress": False}

    def default(explainer: pyig.IntegratedGradients) -> torch.Tensor:
        return explainer.attribute(x, **options)

    cases: dict[str, Callable[[], torch.Tensor]] = {
        f"captum, n={STEPS}": lambda: captum.attribute(x, x * 0, target=target, n_steps=STEPS),
        "pyig, first call": lambda: default(pyig.IntegratedGradients(model)),
        "pyig": lambda: default(known),
        f"pyig, n_steps={STEPS}": lambda: known.attribute(x, n_steps=STEPS, **options),
    }
    timings = interleave(cases, rounds=rounds, at_least=2e-2)
    exact, first = reference(model, x, index), next(iter(timings.values()))
    name = f"{'-'.join(map(str, widths))} {activation.__name__}"
    found: list[list[object]] = []
    for case, timing in timings.items():
        apart = np.abs(cases[case]().numpy() - exact).sum(1) / np.abs(exact).sum(1)
        how = known.explain(x, **options | ({"n_steps": STEPS} if str(STEPS) in case else {}))
        taken = [how.meta["method"], f"{how.n_evals.mean():.1f}"] if "pyig" in case else ["", STEPS]
        found.append(
            [f"{name}: {case}", show_seconds(timing.median), f"{first.over(timing):.1f}x", *taken, f"{apart.max():.1e}"]
        )
    wanted, ratio = TARGETS.get(widths, 0.0), first.over(timings["pyig"])
    return found, [] if ratio >= wanted else [f"{name}: {ratio:.1f}x captum, wanted {wanted:.0f}x"]


def ten_targets(rounds: int) -> tuple[str, list[str]]:
    """Compare one call for ten targets with ten calls."""
    torch.manual_seed(0)
    conv = torch.nn.Conv2d
    model = torch.nn.Sequential(
        conv(3, 32, 3, padding=1), torch.nn.ReLU(), conv(32, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        conv(32, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(64 * 64, 10),
    ).eval()  # fmt: skip
    x, explainer = torch.randn(4, 3, 32, 32), pyig.IntegratedGradients(model)
    options = {"n_steps": 20, "progress": False}
    cases = {
        "one call": lambda: explainer.attribute(x, target="top10", **options),
        "ten calls": lambda: [explainer.attribute(x, target=t, **options) for t in range(10)],
    }
    timings = interleave(cases, rounds=rounds, at_least=2e-2)
    ratio = timings["one call"].over(timings["ten calls"])
    line = f"ten targets, CNN 3x32x32: {ratio:.2f} of ten calls, wanted <= {TEN}"
    return line, [] if ratio <= TEN else [line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 15")
    quick = parser.parse_args().quick
    rounds = 3 if quick else 15
    torch.set_num_threads(1)
    print(machine("torch", "captum", "pyig-explain"))
    found, missed = [], []
    gelu, relu = torch.nn.GELU, torch.nn.ReLU
    for widths, activation in (
        ((2000, 256, 10), gelu), ((784, 128, 10), gelu), ((2000, 256, 64, 10), gelu), ((2000, 256, 64, 10), relu),
        ((784, 512, 512, 10), gelu), ((30, 16, 16, 2), relu),
    ):  # fmt: skip
        lines, short = rows(widths, activation, rounds)
        found, missed = found + lines, missed + short
    print(table(["64 rows", "median", "faster", "method", "gradients", "error"], found))
    line, short = ten_targets(rounds)
    print(line)
    for miss in [] if quick else missed + short:
        print("MISSED:", miss)


if __name__ == "__main__":
    main()
