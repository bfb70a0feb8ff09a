"""Captum and pyig's face of it, asked for the same: time, agreement, and memory over the number of steps.

Run ``python benchmarks/compat_captum.py`` (``--quick`` for a look). Everything within one table is timed interleaved in
one process; a ratio is the median of the per-round ratios. Memory is that of fresh processes with one call each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import captum.attr as captum
import torch
from common import Timing, interleave, machine, peak_memory, show_seconds, table
from torch import nn

import pyig.compat.captum as face

N = 50
FLAT = 1.1


@dataclass(frozen=True)
class Case:
    """What both are asked for."""

    name: str
    method: str
    model: Any
    x: torch.Tensor
    layer: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    wanted: float | None = None
    tolerance: float = 1e-4
    random: bool = False

    def call(self, module: Any, n: int | str | None = N, **options: Any) -> Callable[[], Any]:
        """Return the call of one of the two; `n` is None where the method takes no steps."""
        steps = {} if n is None or "n_samples" in self.options or self.method == "Saliency" else {"n_steps": n}
        explainer = getattr(module, self.method)(self.model, *self.layer)
        given = self.options | steps | options
        return lambda: explainer.attribute(self.x, **given)


def tabular() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)).eval()


def deep(width: int) -> nn.Module:
    """Return eight blocks of the same size, and a head."""
    blocks = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(8)]
    return nn.Sequential(*blocks, nn.Linear(width, 10)).eval()


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 64, 10),
    ).eval()  # fmt: skip


def cases(quick: bool) -> dict[str, Case]:
    torch.manual_seed(0)
    rows, width, images = (50, 64, 2) if quick else (1000, 512, 16)
    x, each = torch.randn(rows, 20), torch.randint(0, 3, (rows,))
    net, blocks, image = tabular(), deep(width), torch.randn(images, 3, 32, 32)
    y = torch.randn(32, width)
    conv, base = convolutions(), torch.randn(20, 20)
    steps = "gausslegendre"
    return {
        "table": Case(f"IG, table {rows} x 20", "IntegratedGradients", net, x, options={"target": each}, wanted=4.0),
        "block": Case(
            f"LayerIG, last of 8 blocks, {width} wide, 32 rows", "LayerIntegratedGradients", blocks, y, (blocks[7],),
            {"target": 1}, wanted=4.0,
        ),
        "image": Case(f"IG, CNN, {images} images 3 x 32 x 32", "IntegratedGradients", conv, image,
                      options={"target": 1, "method": steps}),
        "one": Case("IG, one row of the table", "IntegratedGradients", net, x[:1], options={"target": 1}),
        "conductance": Case("LayerConductance, table", "LayerConductance", net, x[:200], (net[1],),
                            {"target": 1}, tolerance=0.1),
        "neuron": Case("NeuronIG, table", "NeuronIntegratedGradients", net, x[:200], (net[1],), {"neuron_selector": 3}),
        "shap": Case("GradientShap, table, 20 samples", "GradientShap", net, x[:200], (),
                     {"target": 1, "baselines": base, "n_samples": 20}, random=True),
        "saliency": Case(f"Saliency, CNN, {images} images", "Saliency", conv, image, options={"target": 1}),
    }  # fmt: skip


def apart(case: Case) -> float:
    """Return how far the two are from each other, relative to the largest attribution."""
    found, wanted = (case.call(module)().detach() for module in (face, captum))
    difference = float((found - wanted).abs().max() / wanted.abs().max())
    assert case.random or difference < case.tolerance, f"{case.name}: attributions differ by {difference:.1e}"
    return difference


def contestants(case: Case) -> dict[str, Callable[[], Any]]:
    found = {"captum": case.call(captum), "pyig": case.call(face)}
    if case.method in ("IntegratedGradients", "LayerIntegratedGradients"):
        found['pyig, n_steps="auto"'] = case.call(face, "auto")
        size = len(case.x)
        found[f"captum, internal_batch_size={size}"] = case.call(captum, internal_batch_size=size)
    return found


def show(case: Case, timings: dict[str, Timing], judge: bool) -> list[str]:
    """Print the table of one case, and return what misses its target."""
    rows = [
        (name, show_seconds(t.median), show_seconds(t.best), f"{timings['captum'].over(t):.1f}x")
        for name, t in timings.items()
    ]
    agreement = "random draws" if case.random else f"attributions agree to {apart(case):.0e} of the largest"
    print(f"\n{case.name}; {agreement}")
    print(table(["", "median", "best", "captum / this"], rows))
    ratio = timings["captum"].over(timings["pyig"])
    if case.wanted is None or not judge:
        return []
    print(f"  {'kept' if ratio >= case.wanted else 'MISSED'}: captum / pyig = {ratio:.1f}, wanted >= {case.wanted:g}")
    return [] if ratio >= case.wanted else [f"{case.name}: {ratio:.1f}, wanted >= {case.wanted:g}"]


def one_call(who: str, short: str, n: int, quick: bool) -> None:
    """Print what one call adds to the peak memory of this process."""
    case = cases(quick)[short]
    module = {"pyig": face, "captum": captum}[who]
    small = Case("", case.method, case.model, case.x[:1], case.layer, {**case.options, "target": 1})
    small.call(module, 2)()
    call, before = case.call(module, n), peak_memory()
    call()
    print((peak_memory() - before) / 2**20)


def memory(quick: bool) -> list[str]:
    """Print peak memory at n and 10 n steps, and return what grows."""
    rows, missed = [], []
    script = [sys.executable, __file__, *(["--quick"] if quick else [])]
    for who in ("pyig", "captum"):
        for short in ("table", "block", "image"):
            few, many = (
                min(
                    float(subprocess.run(
                        [*script, "--peak", who, short, str(n)], stdout=subprocess.PIPE, text=True, check=True
                    ).stdout.split()[-1])
                    for _ in range(1 if quick else 2)
                )
                for n in (N, 10 * N)
            )  # fmt: skip
            rows.append((f"{who}, {cases(quick)[short].name}", f"{few:.0f} MiB", f"{many:.0f} MiB"))
            if who == "pyig" and not quick and many > FLAT * few + 8:  # the allocator scatters by some MiB
                missed.append(f"memory, {cases(quick)[short].name}: {few:.0f} and {many:.0f} MiB")
    print("\nWhat one call adds to the peak memory of a fresh process")
    print(table(["", f"{N} steps", f"{10 * N} steps"], rows))
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: shows that it runs")
    parser.add_argument("--only", choices=[*cases(True), "memory"], help="one part")
    parser.add_argument("--rounds", type=int, help="rounds per table")
    parser.add_argument("--peak", nargs=3, metavar=("WHO", "CASE", "STEPS"), help="one call in this process")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # Captum's, on inputs that do not require a gradient yet
    torch.set_num_threads(1)
    if args.peak:
        one_call(args.peak[0], args.peak[1], int(args.peak[2]), args.quick)
        return
    print(machine("pyig-explain", "captum", "torch", "numpy"))
    missed: list[str] = []
    for short, case in cases(args.quick).items():
        if args.only in (None, short):
            timings = interleave(contestants(case), rounds=args.rounds or (2 if args.quick else 7))
            missed += show(case, timings, judge=not args.quick)
    if args.only in (None, "memory"):
        missed += memory(args.quick)
    verdict = "small sizes: no target is judged" if args.quick else "every target is kept"
    print("\n" + ("\n".join(["missed:", *missed]) if missed else verdict))
    print(machine())


if __name__ == "__main__":
    main()
