"""Exact attributions of piecewise-linear models, against rules within regions that bisection finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from test_structure_record import calling, recorded
from torch import nn
from torch.nn import functional
from torch_integrals import bisected, gap, gauss
from torch_nets import Masked, Pair, _trained

from pyig.backends.torch import TorchBackend
from pyig.heads import CustomHead, TargetHead
from pyig.structure.piecewise import Breakpoints, averages, crossings, takeovers
from pyig.structure.refusal import Refusal
from pyig.structure.regions import Exact, Head
from pyig.structure.torch_piecewise import Piecewise, find_piecewise
from pyig.structure.torch_record import record
from pyig.structure.torch_recording import Recording


class Kinks(nn.Module):
    """Every kind of kink, a residual, and a maximum over groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(6, 12), nn.Linear(12, 12), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        hidden = hidden.abs() + hidden.clamp(-1, 0.5) + functional.relu6(hidden)
        hidden = hidden + functional.leaky_relu(self.second(hidden), 0.2)
        best, _ = functional.hardtanh(hidden, -2.0, 2.0).view(-1, 6, 2).max(dim=2)
        return self.out(best - 0.3)


def _mlp() -> nn.Module:
    first, second = [nn.Linear(6, 16), nn.ReLU(inplace=True)], [nn.Linear(16, 16), nn.PReLU(16)]
    return nn.Sequential(*first, *second, nn.Linear(16, 3))


def _cnn() -> nn.Module:
    front = [nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)]
    back = [nn.Conv2d(3, 4, 2), nn.LeakyReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    return _trained(nn.Sequential(*front, *back))


def _signal() -> nn.Module:
    front = [nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3, padding=1), nn.Hardtanh(), nn.MaxPool1d(2)]
    return nn.Sequential(*front, nn.Flatten(), nn.Linear(12, 3))


MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "mlp": (_mlp, 6), "kinks": (Kinks, 6), "cnn": (_cnn, 36), "signal": (_signal, 6),
    "affine": (lambda: nn.Linear(6, 3), 6),
}  # fmt: skip
HEADS: dict[str, tuple[TargetHead, bool, float]] = {
    "output": (TargetHead(), True, 1e-12),
    "probability": (TargetHead("probability"), False, 3e-10),
    "log_odds": (TargetHead("log_odds"), False, 3e-10),
}


def setting(name: str, seed: int = 0, rows: int = 3) -> tuple[nn.Module, torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    make, width = MODELS[name]
    model = make().double().eval()
    x, start = (torch.randn(rows, width, dtype=torch.float64) for _ in range(2))
    return model, 2 * x, start, torch.arange(rows) % 3


def bound(model: Any, head: Any) -> Head:
    return partial(head, TorchBackend(model))


def find(model: nn.Module, x: torch.Tensor, start: torch.Tensor) -> Piecewise:
    found = find_piecewise(recorded(model, x, start))
    assert isinstance(found, Piecewise), found
    assert found.verified(calling(model), [x], [start]) is found
    return found


def gradient(model: nn.Module, head: Head, points: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    leaf = points.detach().requires_grad_()
    outputs = model(leaf.clone())
    _, along = head(outputs.detach(), [index.expand(len(points))])
    return torch.autograd.grad(outputs, leaf, along)[0]


def reference(
    model: nn.Module, head: Head, x: torch.Tensor, start: torch.Tensor, index: torch.Tensor
) -> tuple[torch.Tensor, list[int]]:
    """Return attributions and the number of regions, sample by sample, from regions of constant d(output)/dx."""
    out, counts = torch.zeros_like(x), []
    for s, (a, b) in enumerate(zip(x, start, strict=True)):

        def pattern(alpha: float, a: torch.Tensor = a, b: torch.Tensor = b) -> Any:
            point = (b + alpha * (a - b))[None].requires_grad_()
            total = sum((k + 1.7) * out for k, out in enumerate(model(point.clone())[0]))
            assert isinstance(total, torch.Tensor)
            return np.array([np.round(torch.autograd.grad(total, point)[0].numpy(), 9)]).ravel()

        cuts = bisected(pattern)
        nodes, weights = gauss(20, cuts)
        points = b + torch.from_numpy(nodes)[:, None] * (a - b)
        grads = gradient(model, head, points, index[s])
        out[s] = (a - b) * (torch.from_numpy(weights)[:, None] * grads).sum(0)
        counts.append(len(cuts) - 1)
    return out, counts


@pytest.mark.parametrize("value", HEADS)
@pytest.mark.parametrize("name", MODELS)
def test_exact_within_rounding(name: str, value: str) -> None:
    model, x, start, index = setting(name)
    head, linear, close = HEADS[value]
    regions = find(model, x, start).regions([x], [start], most=2000)
    found = regions.attributions(bound(model, head), [index], linear=linear)
    assert isinstance(found, Exact)
    exact, counts = reference(model, bound(model, head), x, start, index)
    assert gap(found.attributions, [exact]) < close
    assert (regions.counts >= counts).all()
    if name in ("mlp", "affine"):  # a maximum hides kinks of those that lose
        assert regions.counts.tolist() == counts


@pytest.mark.parametrize("value", ["output", "probability"])
def test_a_head_inside_the_model(value: str) -> None:
    model, x, start, index = setting("mlp")
    with_head = nn.Sequential(model, nn.Softmax(dim=1)).eval()
    probability = bound(model, HEADS["probability"][0])
    exact = find(model, x, start).regions([x], [start], most=500).attributions(probability, [index])
    inside = bound(with_head, TargetHead(value, "probabilities"))
    found = find(with_head, x, start).regions([x], [start], most=500).attributions(inside, [index], linear=True)
    assert isinstance(exact, Exact)
    assert isinstance(found, Exact)
    assert gap(found.attributions, exact.attributions) < 1e-13


def test_a_contrast_and_a_binary_head() -> None:
    model, x, start, index = setting("mlp")
    regions = find(model, x, start).regions([x], [start], most=500)
    contrast = regions.attributions(bound(model, TargetHead()), [index, (index + 1) % 3], linear=True)
    parts = [regions.attributions(bound(model, TargetHead()), [i], linear=True) for i in (index, (index + 1) % 3)]
    assert isinstance(contrast, Exact)
    assert all(isinstance(part, Exact) for part in parts)
    both = [part.attributions[0] for part in parts if isinstance(part, Exact)]
    assert gap(contrast.attributions, [both[0] - both[1]]) < 1e-13

    one = nn.Sequential(model, nn.Linear(3, 1).double()).eval()
    regions = find(one, x, start).regions([x], [start], most=500)
    binary = bound(one, TargetHead("probability", binary=True))
    up, down = (regions.attributions(binary, [torch.full((3,), c)]) for c in (1, 0))
    assert isinstance(up, Exact)
    assert isinstance(down, Exact)
    assert gap(up.attributions, [-down.attributions[0]]) < 1e-13
    exact, _ = reference(one, binary, x, start, torch.ones(3, dtype=torch.long))
    assert gap(up.attributions, [exact]) < 3e-10


@pytest.mark.parametrize("rows", [8, 1024])
def test_batches_do_not_matter(rows: int) -> None:
    model, x, start, index = setting("kinks", rows=4)
    head = bound(model, HEADS["probability"][0])
    found = find(model, x, start)
    whole = found.regions([x], [start], most=500).attributions(head, [index])
    parts = found.regions([x], [start], most=500, rows=rows).attributions(head, [index])
    assert isinstance(whole, Exact)
    assert isinstance(parts, Exact)
    assert gap(parts.attributions, whole.attributions) < 1e-13
    assert (abs(np.diff(parts.offsets) - np.diff(whole.offsets)) <= 1).all()


def test_the_record_of_the_path_adds_up() -> None:
    model, x, start, index = setting("kinks")
    head = bound(model, HEADS["probability"][0])
    regions = find(model, x, start).regions([x], [start], most=500)
    found = regions.attributions(head, [index])
    assert isinstance(found, Exact)
    with torch.no_grad():
        rise = head(model(x), [index])[0] - head(model(start), [index])[0]
    assert found.offsets.tolist() == [0, *np.cumsum(regions.counts)]
    added = np.add.reduceat(found.widths * found.slopes, found.offsets[:-1])
    np.testing.assert_allclose(added, rise.numpy(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(np.add.reduceat(found.widths, found.offsets[:-1]), 1, rtol=1e-14)
    for s in range(3):
        one = slice(found.offsets[s], found.offsets[s + 1])
        points = start[s] + torch.from_numpy(found.alphas[one])[:, None] * (x[s] - start[s])
        with torch.no_grad():
            values = head(model(points), [index[s].expand(len(points))])[0]
        np.testing.assert_allclose(found.values[one], values.numpy(), rtol=0, atol=1e-13)


def test_a_sample_over_its_budget_is_dropped_alone() -> None:
    model, x, start, index = setting("kinks", rows=4)
    found = find(model, x, start)
    head = bound(model, TargetHead())
    whole = found.regions([x], [start], most=500)
    counts = whole.counts
    most = int(np.sort(counts)[1])
    some = found.regions([x], [start], most=most)
    assert some.counts.tolist() == [n if n <= most else 0 for n in counts]
    assert some.forwards < whole.forwards
    kept, exact = some.attributions(head, [index], linear=True), whole.attributions(head, [index], linear=True)
    assert isinstance(kept, Exact)
    assert isinstance(exact, Exact)
    assert kept.samples.tolist() == np.flatnonzero(counts <= most).tolist()
    assert gap(kept.attributions, [exact.attributions[0][kept.samples]]) < 1e-14


def test_counting_asks_for_no_gradient_and_the_rest_for_one_in_each_region() -> None:
    model, x, start, index = setting("mlp")
    rows: list[tuple[bool, int]] = []

    class Watched(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is functional.linear and args[1] is model[2].weight:  # type: ignore[index]
                rows.append((args[0].requires_grad, len(args[0])))
            return func(*args, **(kwargs or {}))

    found = find(model, x, start)
    with Watched():
        regions = found.regions([x], [start], most=500)
        counted = list(rows)
        regions.attributions(bound(model, TargetHead()), [index], linear=True)
    assert counted
    assert not any(grad for grad, _ in counted)
    assert sum(n for grad, n in rows if grad) == regions.counts.sum()


def test_float32_is_as_exact_as_it_can_be() -> None:
    model, x, start, index = setting("mlp", rows=8)
    head = bound(model, HEADS["probability"][0])
    exact = find(model, x, start).regions([x], [start], most=500).attributions(head, [index])
    model, x, start = model.float(), x.float(), start.float()
    found = find(model, x, start).regions([x], [start], most=500).attributions(head, [index])
    assert isinstance(exact, Exact)
    assert isinstance(found, Exact)
    assert gap(found.attributions, exact.attributions) < 1e-4


def test_two_inputs_and_a_mask() -> None:
    torch.manual_seed(0)
    pair, masked = Pair().double(), Masked().double()
    points, starts = ([torch.randn(3, n, dtype=torch.float64) for n in (4, 3)] for _ in range(2))
    assert not find_piecewise_of(pair, points, starts, [])  # a sigmoid
    pair.forward = lambda a, b: pair.out(torch.relu(pair.layer(torch.cat([a, b], 1))))  # type: ignore[method-assign]
    found = find_piecewise_of(pair, points, starts, [])
    assert isinstance(found, Piecewise)
    index = torch.arange(3)
    exact = found.regions(points, starts, most=100).attributions(bound(pair, TargetHead()), [index], linear=True)
    assert isinstance(exact, Exact)
    with torch.no_grad():
        rise = (pair(*points) - pair(*starts)).gather(1, index[:, None])[:, 0]
    assert torch.allclose(sum(part.sum(1) for part in exact.attributions), rise)

    masked.forward = lambda x, m: masked.out(torch.relu(masked.layer(x * m)) * m)  # type: ignore[method-assign]
    x, start, mask = (torch.randn(3, 6, dtype=torch.float64) for _ in range(3))
    found = find_piecewise_of(masked, [x], [start], [mask])
    assert isinstance(found, Piecewise)
    head = bound(masked, TargetHead("probability"))
    together = found.regions([x], [start], [mask], most=100).attributions(head, [index])
    assert isinstance(together, Exact)
    for s in range(3):
        one = nn.Module()
        one.forward = lambda x, s=s: masked(x, mask[s : s + 1].expand(len(x), 6))  # type: ignore[method-assign]
        exact_one, _ = reference(one, head, x[s : s + 1], start[s : s + 1], index[s : s + 1])
        assert gap([together.attributions[0][s : s + 1]], [exact_one]) < 3e-10


def find_piecewise_of(model: nn.Module, points: Any, starts: Any, fixed: Any) -> Piecewise | Refusal:
    recording = record(model, calling(model), points, starts, fixed)
    assert isinstance(recording, Recording), recording
    return find_piecewise(recording)


@pytest.mark.parametrize(
    "middle",
    [
        [nn.GELU()],
        [nn.ReLU(), nn.Linear(8, 8), nn.Tanh()],
        [nn.ReLU(), nn.LayerNorm(8)],
        [nn.Softmax(dim=1)],
        [nn.Hardswish()],
        [nn.Hardshrink()],
        [nn.RReLU(), nn.Sigmoid()],
    ],
)
def test_refused_where_it_is_not_piecewise_linear(middle: list[nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), *middle, nn.Linear(8, 3)).eval()
    found = find_piecewise(recorded(model, torch.randn(4, 6)))
    assert isinstance(found, Refusal)
    assert "not piecewise linear" in found.reason


def test_indices_of_a_maximum_are_no_values() -> None:
    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            best, place = x.view(-1, 3, 2).max(dim=2)
            return self.out(best + place.float())

    assert not find_piecewise(recorded(Places(), torch.randn(4, 6)))


def test_a_head_that_is_not_smooth_is_refused() -> None:
    model, x, start, index = setting("mlp")
    regions = find(model, x, start).regions([x], [start], most=500)
    with torch.no_grad():
        middle = model((x + start) / 2)[:, 0].mean()
    kinked = bound(model, CustomHead(lambda out: torch.relu(out[:, 0] - middle)))
    found = regions.attributions(kinked, [index])
    assert isinstance(found, Refusal)
    assert "not smooth" in found.reason
    smooth = bound(model, CustomHead(lambda out: torch.sin(out[:, 0])))
    assert isinstance(regions.attributions(smooth, [index]), Exact)


# --- the parts that know nothing of torch --------------------------------------------------------------------------
def test_breakpoints_that_are_close_are_one() -> None:
    found = Breakpoints.ends([0, 2], gap=1e-3)
    new = found.insert(np.array([2, 0, 2, 2, 0]), np.array([0.5, 0.9999, 0.5001, 0.7, 0.0001]))
    assert found.samples.tolist() == [0, 0, 2, 2, 2, 2]
    assert found.alphas.tolist() == [0, 1, 0, 0.5, 0.7, 1]
    assert new.tolist() == [False, False, False, True, True, False]
    assert found.regions(3).tolist() == [1, 0, 3]
    assert found.left().tolist() == [0, 2, 3, 4]
    found.drop(np.array([2]))
    assert found.alphas.tolist() == [0, 1]


def test_crossings_are_strict() -> None:
    values = np.array([[1.0, 0.0, -1.0, 2.0], [-3.0, 1.0, -2.0, 0.0]])
    rows, shares = crossings(values, np.array([0]), (0.0,))
    assert rows.tolist() == [0]
    assert shares.tolist() == [0.25]
    rows, shares = crossings(values, np.array([0]), (0.0, 1.0))
    assert shares.tolist() == [0.25, 0.5]


def test_takeovers_are_where_two_lines_meet() -> None:
    values = np.array([[3.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    winners = values.argmax(1)[:, None]
    rows, shares = takeovers(values, winners, np.array([0]))
    assert rows.tolist() == [0]
    np.testing.assert_allclose(shares, 0.75)
    tied = np.array([[1.0, 1.0], [1.0, 2.0]])
    assert takeovers(tied, np.array([[0], [1]]), np.array([0]))[1].size == 0


def test_averages_are_refined_where_they_must_be() -> None:
    asked: list[int] = []

    def function(regions: Any, shares: Any) -> Any:
        asked.append(len(regions))
        return np.where(regions == 0, shares**2, 1 / (1 + np.exp(-40 * (shares - 0.4))))[:, None]

    found, converged = averages(function, 3, np.array([0, 1, 1]))
    assert converged
    exact = (np.logaddexp(0, 24) - np.logaddexp(0, -16)) / 40
    np.testing.assert_allclose(found[:, 0], [1 / 3, exact, exact], rtol=1e-13)
    assert set(asked) == {3, 2}  # the first region needed no more
    assert not averages(lambda regions, shares: (shares > 0.37)[:, None] * 1.0, 1, np.array([0]))[1]
    asked.clear()
    averages(function, 3, np.array([0, 1, 1]), smooth=False)
    assert asked == [3]
