"""What the algebra saves: closed form and hoisted prefix against Captum's 50 steps, interleaved in one run.

Closed form and hoisting include everything that a call spends: the recording of the model, the search and the checks.
The last column is the largest relative L1 distance of a sample to a fine reference in float64.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from captum.attr import IntegratedGradients
from common import interleave, machine, show_seconds, table

from pyig import _core
from pyig.structure.torch_closed_form import find_closed_form
from pyig.structure.torch_prefix import find_prefix
from pyig.structure.torch_record import record

STEPS = 50
Forward = Callable[[Sequence[torch.Tensor], Sequence[torch.Tensor]], torch.Tensor]


def network(*widths: int) -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [torch.nn.Linear(wide, narrow), torch.nn.GELU()]
    return torch.nn.Sequential(*layers[:-1]).eval()


def integral(forward: Forward, x: torch.Tensor, start: torch.Tensor, index: torch.Tensor, n: int) -> torch.Tensor:
    """Integrate the gradient by a Gauss rule, all nodes in one call."""
    nodes, weights, _ = _core.rule("gausslegendre", n)
    shape = (n, 1, *[1] * (x.ndim - 1))
    alphas = torch.tensor(nodes, dtype=x.dtype).reshape(shape)
    points = torch.lerp(start[None], x[None], alphas).reshape(-1, *x.shape[1:]).requires_grad_()
    outputs = forward([points], [])
    along = torch.zeros_like(outputs).scatter_(1, index.repeat(n)[:, None], 1.0)
    along *= torch.tensor(weights, dtype=x.dtype).repeat_interleave(len(x))[:, None]
    (grads,) = torch.autograd.grad(outputs, [points], along)
    return grads.reshape(n, *x.shape).sum(0)


def closed_form(forward: Forward, model: torch.nn.Module, x: torch.Tensor, start: torch.Tensor, index: Any) -> Any:
    recording = record(model, forward, [x], [start])
    assert recording, recording
    found = find_closed_form(recording)
    assert found, found
    found = found.verified(forward, [x], [start])
    assert found, found
    return found.evaluate([x], [start]).attributions(index)[0]


def found_before(forward: Forward, model: torch.nn.Module, x: torch.Tensor, start: torch.Tensor, index: Any) -> Any:
    recording = record(model, forward, [x], [start])
    assert recording, recording
    found = find_closed_form(recording)
    assert found, found
    return lambda: found.evaluate([x], [start]).attributions(index)[0]


def hoisted(forward: Forward, model: torch.nn.Module, x: torch.Tensor, start: torch.Tensor, index: Any) -> Any:
    recording = record(model, forward, [x], [start])
    assert recording, recording
    found = find_prefix(recording)
    assert found, found
    assert found.pays(STEPS * len(x))
    found = found.verified(forward, [x], [start])
    assert found, found
    ends = found.forward([x]), found.forward([start])
    total = integral(lambda points, fixed: found.suffix(points[0], fixed), *ends, index, STEPS)
    return (x - start) * found.pullback([x], [], total)[0]


def reference(model: torch.nn.Module, x: torch.Tensor, start: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return attributions by 16 nodes in each of 16 panels."""
    wide = copy.deepcopy(model).double()
    cuts = [start + k / 16 * (x - start) for k in range(17)]
    parts = [integral(lambda points, fixed: wide(points[0]), b, a, index, 16) for a, b in pairwise(cuts)]
    return (x - start) * torch.stack(parts).mean(0)


def worst(found: torch.Tensor, exact: torch.Tensor) -> float:
    gap = (found.double() - exact).abs().flatten(1).sum(1)
    return float((gap / exact.abs().flatten(1).sum(1)).max())


def rows(widths: tuple[int, ...], samples: int, rounds: int) -> list[list[object]]:
    torch.manual_seed(0)
    model = network(*widths)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    x, start = torch.randn(samples, widths[0]), torch.zeros(1, widths[0])
    index = torch.arange(samples) % widths[-1]
    captum = IntegratedGradients(model)

    def forward(points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]) -> torch.Tensor:
        out: torch.Tensor = model(points[0])
        return out

    cases: dict[str, Callable[[], torch.Tensor]] = {
        f"captum, n={STEPS}": lambda: captum.attribute(x, start, target=index, n_steps=STEPS),
        f"hoisted, n={STEPS}": lambda: hoisted(forward, model, x, start, index),
    }
    if len(widths) == 3:
        cases["closed form"] = lambda: closed_form(forward, model, x, start, index)
        cases["closed form, found before"] = found_before(forward, model, x, start, index)
    timings = interleave(cases, rounds=rounds, at_least=2e-2)
    exact = reference(model, x.double(), start.double(), index)
    first = next(iter(timings.values()))
    name = "-".join(map(str, widths)) + f", {samples} rows"
    found: list[list[object]] = []
    for case, timing in timings.items():
        ratios = f"{first.over(timing):.1f}x", f"{first.best / timing.best:.1f}x"
        error = f"{worst(cases[case](), exact):.1e}"
        found.append([f"{name}: {case}", show_seconds(timing.median), show_seconds(timing.best), *ratios, error])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 15")
    rounds = 3 if parser.parse_args().quick else 15
    torch.set_num_threads(1)
    print(machine("torch", "captum", "pyig-explain"))
    found: list[list[object]] = []
    for widths in ((2000, 256, 10), (784, 128, 10), (784, 512, 512, 10)):
        found += rows(widths, 64, rounds)
    print(table(["", "median", "best", "faster", "best of each", "error"], found))


if __name__ == "__main__":
    main()
