"""Captum and pyig's face of it, asked for the same: time, agreement, and memory over the number of steps.

Run ``python benchmarks/compat_captum.py`` (``--quick`` for a look). Everything within one table is timed interleaved in
one process; a ratio is the median of the per-round ratios. Memory is that of fresh processes with one call each.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import captum.attr as captum
import torch
from common import interleave, machine, peak_of, peer_arguments, show_memory, show_ratios, show_verdict
from torch import nn

import pyig.compat.captum as face

N = 50


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


def one_call(who: str, short: str, n: int, quick: bool) -> None:
    """Print what one call adds to the peak memory of this process."""
    case = cases(quick)[short]
    module = {"pyig": face, "captum": captum}[who]
    small = Case("", case.method, case.model, case.x[:1], case.layer, {**case.options, "target": 1})
    print(peak_of(small.call(module, 2), case.call(module, n)))


def main() -> None:
    args = peer_arguments(__doc__, cases(True))
    warnings.simplefilter("ignore")  # Captum's, on inputs that do not require a gradient yet
    torch.set_num_threads(1)
    if args.peak:
        one_call(args.peak[0], args.peak[1], int(args.peak[2]), args.quick)
        return
    print(machine("pyig-explain", "captum", "torch", "numpy"))
    missed: list[str] = []
    known = cases(args.quick)
    for short, case in known.items():
        if args.only in (None, short):
            timings = interleave(contestants(case), rounds=args.rounds or (2 if args.quick else 7))
            agreement = "random draws" if case.random else f"attributions agree to {apart(case):.0e} of the largest"
            missed += show_ratios(f"{case.name}; {agreement}", timings, "captum", None if args.quick else case.wanted)
    if args.only in (None, "memory"):
        names = {short: known[short].name for short in ("table", "block", "image")}
        missed += show_memory(__file__, "captum", names, N, args.quick, tries=1 if args.quick else 2, spare=8)
    show_verdict(missed, args.quick)


if __name__ == "__main__":
    main()
