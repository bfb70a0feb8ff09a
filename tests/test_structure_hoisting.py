"""The door to the affine prefix, torch half: found where it pays, remembered, refused with a reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_structure_record import calling
from torch import nn

from pyig.backends.callable import CallableBackend
from pyig.backends.torch import TorchBackend
from pyig.calling import PrefixForward
from pyig.errors import InputError, InputTypeError
from pyig.structure import find_prefix
from pyig.structure.refusal import Refusal
from pyig.structure.torch_prefix import Prefix

X, START = torch.randn(3, 200), torch.zeros(1, 200)


def wide(*extra: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(200, 8), nn.GELU(), *extra, nn.Linear(8, 3)).eval()


def find(model: Any, evaluations: float = 1000, **options: Any) -> Any:
    return find_prefix(TorchBackend(model), model, calling(model), [X], [START], [], evaluations, **options)


def test_a_prefix_that_pays_is_found_and_serves_as_a_forward() -> None:
    model = wide()
    found = find(model)
    assert isinstance(found, Prefix)
    assert (found.macs_per_row, found.frontier_floats) == (1600, 8)
    behind = PrefixForward(found)
    torch.testing.assert_close(behind([found.forward([X])], []), model(X))
    assert behind == PrefixForward(found)
    assert len({behind, PrefixForward(found), PrefixForward(find(model))}) == 2


@pytest.mark.parametrize("evaluations", [1.0, 12.0, 12.1])
def test_a_small_call_is_refused_for_now(evaluations: float) -> None:
    model = wide()
    known = find(model)
    for earlier in (None, known):
        refused = find(model, evaluations, known=earlier)
        assert isinstance(refused, Refusal)
        assert not refused.lasting
    assert find(model, 1000, known=known) is known


def test_what_is_known_is_compared_again() -> None:
    model = wide()
    known = find(model)
    model[2] = nn.Linear(8, 3)
    found = find(model, known=known)
    assert isinstance(found, Prefix)
    assert found is not known


def test_a_deep_model_is_recorded_only_for_a_large_first_layer() -> None:
    deep = [layer for _ in range(10) for layer in (nn.Linear(8, 8), nn.Tanh())]
    assert isinstance(find(wide(*deep)), Prefix)
    small = nn.Sequential(nn.Linear(200, 1), nn.Linear(1, 400), nn.Linear(400, 8), *deep)
    refused = find(small.eval())
    assert isinstance(refused, Refusal)
    assert refused.lasting
    assert "deep" in refused.reason


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: wide(nn.BatchNorm1d(8)).train(), "training mode"),
        (lambda: nn.Sequential(nn.Tanh(), nn.Linear(200, 3)), "does not begin"),
        (lambda: nn.Sequential(nn.Linear(200, 190), nn.Tanh(), nn.Linear(190, 5000), nn.Tanh()), "too small a part"),
    ],
)
def test_other_models_are_refused_for_good(make: Any, reason: str) -> None:
    refused = find(make())
    assert isinstance(refused, Refusal)
    assert refused.lasting
    assert reason in refused.reason


@pytest.mark.parametrize("explicit", ["0", lambda model: model[0]])
def test_an_explicit_prefix_need_not_pay(explicit: Any) -> None:
    found = find(wide(), 1, explicit=explicit)
    assert isinstance(found, Prefix)
    assert found.frontier_floats == 8


def test_an_explicit_prefix_that_is_not_affine_is_refused() -> None:
    refused = find(wide(), explicit="1")
    assert isinstance(refused, Refusal)
    assert "affine" in refused.reason


@pytest.mark.parametrize(("explicit", "error"), [("9", InputError), (3, InputTypeError), (nn.Tanh(), InputError)])
def test_an_explicit_prefix_that_the_model_lacks_is_an_error(explicit: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        find(wide(), explicit=explicit)


def test_functions_are_refused() -> None:
    model = wide()
    found = find_prefix(TorchBackend(model), lambda x: model(x), calling(model), [X], [START], [], 1000)
    assert isinstance(found, Prefix)  # its operations are seen, whatever it is
    with pytest.raises(InputTypeError, match="prefix="):
        find(lambda x: model(x), explicit="0")
    rows = CallableBackend(lambda x: x, gradient=lambda x: x)
    refused = find_prefix(rows, None, calling(model), [X], [START], [], 1000)
    assert isinstance(refused, Refusal)
    assert "'callable'" in refused.reason


def test_a_keras_model_on_torch_has_no_marks() -> None:
    model = wide()
    model.compute_output_shape = None  # what a Keras model has
    refused = find(model, explicit="0")
    assert isinstance(refused, Refusal)
    assert "Keras" in refused.reason
    assert isinstance(find(model), Prefix)
