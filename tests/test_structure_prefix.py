"""The affine prefix: found where it is, equal to the plain path where it is used, refused where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from test_structure_record import calling, recorded
from torch import nn
from torch.overrides import TorchFunctionMode
from torch_integrals import gap, gauss, integral
from torch_nets import HOISTED, WITHOUT_PREFIX, Residual, Tied

from pyig.structure.affine import Place, best, pays
from pyig.structure.refusal import Refusal
from pyig.structure.torch_closed_form import find_closed_form
from pyig.structure.torch_piecewise import find_piecewise
from pyig.structure.torch_prefix import Prefix, cuts, explicit_prefix, find_prefix, prefix_at
from pyig.structure.torch_record import record
from pyig.structure.torch_recording import Recording


def data(name: str, dtype: torch.dtype) -> tuple[nn.Module, list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Return model, points, starts and fixed."""
    torch.manual_seed(3)
    make, shapes, moving, _ = HOISTED[name]
    model = make().eval().to(dtype)
    leaves = [torch.randn(4, *shape, dtype=dtype) for shape in shapes]
    starts = [0.1 * torch.randn(4, *shape, dtype=dtype) for shape in shapes[:moving]]
    return model, leaves[:moving], starts, leaves[moving:]


def every_prefix(name: str, dtype: torch.dtype) -> tuple[Any, list[Prefix], list[Any]]:
    model, points, starts, fixed = data(name, dtype)
    found = record(model, calling(model), points, starts, fixed)
    assert isinstance(found, Recording), found
    prefixes = [prefix_at(found, frontier, place) for frontier, place in cuts(found)]
    return model, prefixes, [points, starts, fixed]


def hoisted(prefix: Prefix, points: Any, starts: Any, fixed: Any, index: torch.Tensor, rule: Any) -> list[torch.Tensor]:
    stop, start = prefix.forward(points, fixed), prefix.forward(starts, fixed)

    def suffix(rows: Sequence[torch.Tensor], held: Sequence[torch.Tensor]) -> torch.Tensor:
        return prefix.suffix(rows[0], held)

    (total,) = integral(suffix, [stop], [start], fixed, index, rule)
    return prefix.pullback(points, fixed, total.double())


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", HOISTED)
def test_equals_the_plain_path_at_every_cut(name: str, dtype: torch.dtype, close: float) -> None:
    model, prefixes, (points, starts, fixed) = every_prefix(name, dtype)
    index = torch.arange(4) % 3
    plain = integral(calling(model), points, starts, fixed, index, gauss(5))
    assert prefixes
    for prefix in prefixes:
        assert prefix.verified(calling(model), points, starts, fixed) is prefix
        assert gap(hoisted(prefix, points, starts, fixed, index, gauss(5)), plain) < close
    assert prefixes[-1].frontier_floats == HOISTED[name][3]


@pytest.mark.parametrize("name", HOISTED)
def test_the_best_cut_is_among_the_cuts(name: str) -> None:
    model, points, starts, fixed = data(name, torch.float64)
    found = record(model, calling(model), points, starts, fixed)
    assert isinstance(found, Recording)
    prefix = find_prefix(found)
    places = {place: frontier for frontier, place in cuts(found)}
    if isinstance(prefix, Refusal):
        assert "no work" in prefix.reason
    else:
        assert places[prefix.place] == prefix.frontier
        assert prefix.macs_per_row > 0


@pytest.mark.parametrize("name", WITHOUT_PREFIX)
def test_no_prefix_where_there_is_none(name: str) -> None:
    torch.manual_seed(0)
    make, reason = WITHOUT_PREFIX[name]
    found = find_prefix(recorded(make().eval(), torch.randn(4, 6)))
    assert isinstance(found, Refusal)
    assert reason in found.reason


class Calls(TorchFunctionMode):
    """Counts the rows that go through the layer with these weights."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.rows = weight, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is nn.functional.linear and args[1] is self.weight:
            self.rows += len(args[0])
        return func(*args, **(kwargs or {}))


def test_the_prefix_runs_once_for_each_end_and_once_for_the_pullback() -> None:
    model, points, starts, fixed = data("mlp", torch.float64)
    prefix = find_prefix(recorded(model, points[0]))
    assert isinstance(prefix, Prefix)
    assert isinstance(model, nn.Sequential)
    weights = [model[0].weight, model[2].weight]
    with Calls(weights[0]) as first, Calls(weights[1]) as second:
        hoisted(prefix, points, starts, fixed, torch.arange(4) % 3, gauss(20))
    assert isinstance(first.rows, int)
    assert (first.rows, second.rows) == (3 * 4, 20 * 4)


def test_a_false_prefix_is_found_out() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    found = record(model, calling(model), [x.double()], [torch.zeros(1, 6).double()], mark=model[1])
    assert isinstance(found, Recording)
    prefix = explicit_prefix(found)
    assert isinstance(prefix, Prefix)
    refused = prefix.verified(calling(model), [x.double()], [torch.zeros(1, 6).double()])
    assert isinstance(refused, Refusal)
    assert "is not" in refused.reason


def test_a_stale_recording_is_found_out() -> None:
    torch.manual_seed(0)
    x, start = torch.randn(4, 6).double(), torch.zeros(1, 6).double()
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    prefix = find_prefix(recorded(model, x, start))
    assert isinstance(prefix, Prefix)
    assert prefix.verified(calling(model), [x], [start]) is prefix
    model[2] = nn.Linear(8, 3).double()
    refused = prefix.verified(calling(model), [x], [start])
    assert isinstance(refused, Refusal)
    assert "other values" in refused.reason
    model[2] = nn.Sequential(nn.Linear(8, 3), nn.Linear(3, 2)).double()
    assert not prefix.verified(calling(model), [x], [start])


def test_other_gradients_are_found_out() -> None:
    """Same values, other gradient: what a change after the recording may bring."""
    torch.manual_seed(0)
    x, start = torch.randn(4, 6).double(), torch.zeros(1, 6).double()
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    prefix = find_prefix(recorded(model, x, start))
    assert isinstance(prefix, Prefix)

    def forward(points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]) -> torch.Tensor:
        hidden = model[0](points[0])
        return model[2](torch.tanh(2 * hidden - hidden.detach()))

    refused = prefix.verified(forward, [x], [start])
    assert isinstance(refused, Refusal)
    assert "gradient" in refused.reason


class Centred(nn.Module):
    """Subtracts the mean of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(6, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.layer(x)
        return self.out(torch.relu(hidden - hidden.mean(0)))


@pytest.mark.parametrize("find", [find_prefix, find_closed_form, find_piecewise])
def test_rows_that_mix_are_found_out(find: Any) -> None:
    torch.manual_seed(0)
    model, x, start = Centred(), torch.randn(4, 6), torch.randn(4, 6)
    found = find(recorded(model, x, start))
    assert found
    refused = found.verified(calling(model), [x], [start])
    assert isinstance(refused, Refusal)
    assert "depend on each other" in refused.reason


def test_values_that_are_not_finite_are_refused() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    x = torch.randn(2, 6)
    prefix = find_prefix(recorded(model, x))
    assert isinstance(prefix, Prefix)
    x[0, 0] = torch.nan
    assert not prefix.verified(calling(model), [x], [torch.zeros(1, 6)])


@pytest.mark.parametrize("place", [0, 1])
def test_an_explicit_prefix(place: int) -> None:
    torch.manual_seed(0)
    x, start = torch.randn(4, 6), torch.randn(1, 6)
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3))
    found = record(model, calling(model), [x], [start], mark=model[place])
    assert isinstance(found, Recording)
    prefix = explicit_prefix(found)
    assert isinstance(prefix, Prefix)
    assert prefix.verified(calling(model), [x], [start]) is prefix
    with torch.no_grad():
        assert torch.allclose(prefix.forward([x]), model[: place + 1](x))


@pytest.mark.parametrize(
    ("make", "layer", "reason"),
    [(Tied, "layer", "called 2 times"), (Residual, "layer", "no cut"), (Tied, None, "called 0 times")],
)
def test_an_explicit_prefix_that_is_none(make: Any, layer: str | None, reason: str) -> None:
    torch.manual_seed(0)
    model, x = make(), torch.randn(4, 6)
    mark = nn.Linear(6, 6) if layer is None else model.get_submodule(layer)
    found = record(model, calling(model), [x], [torch.zeros(1, 6)], mark=mark)
    assert isinstance(found, Recording)
    refused = explicit_prefix(found)
    assert isinstance(refused, Refusal)
    assert reason in refused.reason


@pytest.mark.parametrize(
    ("inputs", "floats", "macs", "total", "evaluations", "wanted"),
    [
        (2000, 256, 512_000, 514_560.0, 64 * 50, True),
        (2000, 256, 512_000, 514_560.0, 8, False),  # the check would cost more
        (784, 128, 100_352, 101_632.0, 64 * 8, True),
        (30, 128, 3840, 20_480.0, 1e6, False),  # rows four times as wide
        (150_528, 802_816, 118e6, 4.1e9, 1e6, False),  # the first convolution of a ResNet-50
        (150_528, 151_296, 116e6, 17.6e9, 1e6, False),  # the patches of a ViT-B: under one per cent
    ],
)
def test_a_prefix_pays_where_it_is_most_of_the_work(
    inputs: int, floats: int, macs: float, total: float, evaluations: float, wanted: bool
) -> None:
    assert pays(Place(floats, macs), Place(inputs, 0.0), total, evaluations) is wanted


def test_the_narrow_place_of_a_prefix_is_the_best() -> None:
    places = [Place(100, 0.0), Place(1000, 1e5), Place(10, 1.1e5), Place(1000, 1.2e5)]
    assert best(places, total=2e5) == 2
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(60, 70), nn.Linear(70, 4), nn.Linear(4, 90), nn.Tanh(), nn.Linear(90, 2))
    prefix = find_prefix(recorded(model, torch.randn(2, 60)))
    assert isinstance(prefix, Prefix)
    assert prefix.frontier_floats == 4
    assert prefix.pays(1000)
