"""The closed form of one nonlinear layer, against fine rules; where it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from test_structure_record import calling, recorded
from torch import nn
from torch.nn import functional
from torch_integrals import attributions, bisected, gap, gauss
from torch_nets import HOISTED, Masked, Pair

from pyig.structure.refusal import Refusal
from pyig.structure.torch_closed_form import ClosedForm, find_closed_form
from pyig.structure.torch_record import record
from pyig.structure.torch_recording import Recording
from pyig.structure.torch_secant import mean_slope

SMOOTH: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU, "gelu, tanh": lambda: nn.GELU("tanh"), "silu": nn.SiLU, "mish": nn.Mish, "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid, "softplus": nn.Softplus, "logsigmoid": nn.LogSigmoid,
    "tanhshrink": nn.Tanhshrink,
}  # fmt: skip
KINKED: dict[str, tuple[Callable[[], nn.Module], tuple[float, ...]]] = {
    "relu": (nn.ReLU, (0,)), "relu in place": (lambda: nn.ReLU(inplace=True), (0,)), "relu6": (nn.ReLU6, (0, 6)),
    "leaky relu": (nn.LeakyReLU, (0,)), "prelu": (lambda: nn.PReLU(8), (0,)), "elu": (nn.ELU, (0,)),
    "selu": (nn.SELU, (0,)), "celu": (lambda: nn.CELU(0.5), (0,)), "hardtanh": (nn.Hardtanh, (-1, 1)),
    "hardswish": (nn.Hardswish, (-3, 3)), "hardsigmoid": (nn.Hardsigmoid, (-3, 3)),
    "softshrink": (nn.Softshrink, (-0.5, 0.5)), "softsign": (nn.Softsign, (0,)), "rrelu": (nn.RReLU, (0,)),
}  # fmt: skip


def data(seed: int = 0, shared: bool = False, rows: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, start = (torch.randn(rows, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    return 2 * x, start[:1] if shared else start, torch.arange(rows) % 3


def find(model: nn.Module, x: torch.Tensor, start: torch.Tensor) -> ClosedForm:
    found = find_closed_form(recorded(model.eval(), x, start))
    assert isinstance(found, ClosedForm), found
    assert found.verified(calling(model), [x], [start]) is found
    return found


def network(middle: nn.Module) -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Linear(6, 8), middle, nn.Linear(8, 3)).double().eval()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_layers(name: str, shared: bool) -> None:
    model, (x, start, index) = network(SMOOTH[name]()), data(shared=shared)
    ends = find(model, x, start).evaluate([x], [start])
    exact = attributions(calling(model), [x], [start.expand_as(x)], index, gauss(16, np.linspace(0, 1, 33)))
    assert gap(ends.attributions(index), exact) < 1e-12
    assert torch.equal(ends.outputs, model(x))
    assert torch.allclose(ends.start_outputs, model(start), rtol=1e-13)


@pytest.mark.parametrize("name", KINKED)
def test_layers_with_kinks(name: str) -> None:
    make, kinks = KINKED[name]
    model, (x, start, index) = network(make()), data()
    assert isinstance(model, nn.Sequential)
    first = model[0]
    found = find(model, x, start).evaluate([x], [start]).attributions(index)[0]
    for s in range(len(x)):

        def pattern(alpha: float, s: int = s) -> Any:
            with torch.no_grad():
                hidden = first(start[s] + alpha * (x[s] - start[s])).numpy()
            return np.concatenate([hidden > kink for kink in kinks])

        cuts = np.unique(np.concatenate([bisected(pattern), np.linspace(0, 1, 9)]))
        one = slice(s, s + 1)
        exact = attributions(calling(model), [x[one]], [start[one]], index[one], gauss(12, cuts))
        # Torch's own derivative of hardsigmoid is a sixth in float32, whatever the dtype.
        assert gap([found[one]], exact) < (1e-7 if name == "hardsigmoid" else 1e-12)


class WideAndDeep(nn.Module):
    """Hand-written activations, a learned one, sines, two branches and a linear skip: one nonlinearity on each way."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.square, self.wide = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.out, self.other = nn.Linear(6, 3), nn.Linear(6, 3)
        self.slope = nn.Parameter(torch.rand(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z, q = self.deep(x), self.square(x)
        gelu = 0.5 * z * (1 + torch.tanh(0.8 * (z + 0.044 * z**3)))
        swish = q * torch.sigmoid(self.slope * q) - q
        mixed = self.other(torch.cat([torch.sin(x[:, :3]), x[:, 3:]], dim=1))
        return self.out(gelu + x) + self.wide(swish) / 2 + mixed


class Signals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.gelu(self.norm(self.conv(x[:, None])))
        return self.out(functional.avg_pool1d(hidden, 2).flatten(1))


@pytest.mark.parametrize("make", [WideAndDeep, Signals])
def test_whatever_meets_one_nonlinearity_on_each_way(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, (x, start, index) = make().double().eval(), data()
    found = find(model, x, start).evaluate([x], [start])
    exact = attributions(calling(model), [x], [start], index, gauss(16, np.linspace(0, 1, 33)))
    assert gap(found.attributions(index), exact) < 1e-12


def test_a_contrast_is_a_difference() -> None:
    model, (x, start, index) = network(nn.GELU()), data()
    ends = find(model, x, start).evaluate([x], [start])
    other = (index + 1) % 3
    both = [ends.attributions(flat)[0] for flat in (index, other)]
    assert gap(ends.attributions(index, other), [both[0] - both[1]]) < 1e-14
    assert not ends.attributions(index, index)[0].any()


def test_an_affine_model_has_a_constant_gradient() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3)).double()
    x, start, index = data()
    found = find(model, x, start)
    assert found.constant
    exact = attributions(calling(model), [x], [start], index, gauss(1))
    assert gap(found.evaluate([x], [start]).attributions(index), exact) < 1e-14
    assert not find(network(nn.GELU()), x, start).constant


def test_several_inputs_and_fixed_ones() -> None:
    torch.manual_seed(0)
    pair, masked = Pair().double(), Masked().double()
    points, starts = ([torch.randn(4, n, dtype=torch.float64) for n in (4, 3)] for _ in range(2))
    index = torch.arange(4) % 3
    found = record(pair, calling(pair), points, starts)
    assert isinstance(found, Recording)
    form = find_closed_form(found)
    assert isinstance(form, ClosedForm)
    exact = attributions(calling(pair), points, starts, index, gauss(16, np.linspace(0, 1, 17)))
    assert gap(form.evaluate(points, starts).attributions(index), exact) < 1e-12

    x, start, mask = (torch.randn(4, 6, dtype=torch.float64) for _ in range(3))
    found = record(masked, calling(masked), [x], [start[:1]], [mask])
    assert isinstance(found, Recording)
    form = find_closed_form(found)
    assert isinstance(form, ClosedForm)
    one = start[:1].expand(4, 6)

    def forward(points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]) -> torch.Tensor:
        out: torch.Tensor = masked(points[0], mask)
        return out

    exact = attributions(forward, [x], [one], index, gauss(16, np.linspace(0, 1, 17)))
    assert gap(form.evaluate([x], [start[:1]], [mask]).attributions(index), exact) < 1e-12


def test_float32_keeps_its_digits() -> None:
    torch.manual_seed(0)
    model, (x, start, index) = network(nn.GELU()), data(rows=16)
    exact = find(model, x, start).evaluate([x], [start]).attributions(index)
    model, x, start = model.float(), x.float(), start.float()
    found = find(model, x, start).evaluate([x], [start]).attributions(index)
    assert found[0].dtype == torch.float32
    assert gap(found, exact) < 2e-6


@pytest.mark.parametrize("distance", [1e-1, 1e-3, 1e-5, 1e-7, 1e-10, 0.0])
def test_ends_that_are_close_keep_their_digits(distance: float) -> None:
    start = torch.linspace(-3, 3, 41, dtype=torch.float64)
    stop = start + distance
    nodes, weights = gauss(12)
    for curve, slope in (
        (torch.tanh, lambda z: 1 / torch.cosh(z) ** 2),
        (functional.softplus, torch.sigmoid),
    ):
        exact = sum(w * slope(start + a * (stop - start)) for a, w in zip(nodes, weights, strict=True))
        for any_entries in (False, True):
            found = mean_slope(curve, start, stop, any_entries)
            assert float(((found - exact) / exact).abs().max()) < 1e-13


def test_a_kink_between_close_ends_is_seen() -> None:
    start, stop = (torch.tensor([ends], dtype=torch.float64) for ends in ([-1e-9, 1 - 1e-9], [3e-9, 1 + 3e-9]))
    found = mean_slope(lambda z: functional.hardtanh(z, 0.0, 1.0), start, stop)
    assert torch.allclose(found, torch.tensor([[0.75, 0.25]], dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize(
    ("middle", "why"),
    [
        ([nn.Tanh(), nn.Linear(8, 8), nn.Tanh()], "two layers"),
        ([nn.Softmax(dim=1)], "not entry by entry"),
        ([nn.LayerNorm(8)], "not entry by entry"),
        ([nn.Hardshrink()], "jumps"),
        ([nn.Threshold(0.1, 20.0)], "jumps"),
        ([nn.ReLU(), nn.Unflatten(1, (2, 4)), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 8)], "two, one a pool"),
    ],
)  # fmt: skip
def test_refused_beyond_one_nonlinear_layer(middle: list[nn.Module], why: str) -> None:
    del why
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), *middle, nn.Linear(8, 3)).eval()
    found = find_closed_form(recorded(model, torch.randn(4, 6)))
    assert isinstance(found, Refusal)
    assert "more than one nonlinear" in found.reason


def test_products_of_two_ways_are_refused() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value, self.gate = nn.Linear(6, 3), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.value(x) * torch.sigmoid(self.gate(x))

    assert not find_closed_form(recorded(Gated(), torch.randn(4, 6)))


def test_the_model_runs_once_for_the_check_and_never_for_the_result() -> None:
    calls = []
    model, (x, start, index) = network(nn.GELU()), data()
    model.register_forward_hook(lambda module, args, out: calls.append(len(out)))
    found = find_closed_form(recorded(model, x, start))
    assert isinstance(found, ClosedForm)
    assert calls == [2, 3]
    found.evaluate([x], [start]).attributions(index)
    assert calls == [2, 3]
    assert found.verified(calling(model), [x], [start]) is found
    assert calls == [2, 3, 3]


def test_the_same_models_are_found_again() -> None:
    """Of the models with an affine prefix, these have one nonlinear layer behind it."""
    torch.manual_seed(0)
    found = set()
    for name, (make, shapes, moving, _) in HOISTED.items():
        model = make().eval()
        leaves = [torch.randn(3, *shape) for shape in shapes]
        starts = [torch.zeros_like(leaf) for leaf in leaves[:moving]]
        recording = record(model, calling(model), leaves[:moving], starts, leaves[moving:])
        assert isinstance(recording, Recording)
        if find_closed_form(recording):
            found.add(name)
    assert found == {
        "mlp", "flatten first", "signal", "normalised", "functional", "in place", "branches", "affine skip", "hooked",
        "tied", "two inputs", "two inputs, one fixed", "mask", "pad, pool, transposed convolution",
    }  # fmt: skip
