"""Explaining in float64: the same question with more digits, and nothing of the user's changed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import pyig
from pyig.errors import InputError, InputTypeError, ModelError
from pyig.explainer.wide import NOTE


def net(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    made = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
    with torch.no_grad():
        made[2].weight.mul_(1e3)  # a large F, so that float32 rounds where it can be seen
    return made


X = torch.tensor([[0.3, -1.0, 0.5, 2.0], [1.0, 0.1, -0.2, 0.4]])


def test_more_digits_close_the_gap_and_the_model_stays() -> None:
    model, x = net(), X.clone()
    before = copy.deepcopy(model.state_dict())
    ig = pyig.IntegratedGradients(model)
    narrow, wide = (one.explain(x, target=1, n_steps=60) for one in (ig, ig.in_float64()))
    assert np.abs(wide.deltas).max() < 1e-10
    assert np.abs(narrow.deltas).max() > 1e-6
    np.testing.assert_allclose(narrow.attributions, wide.attributions, rtol=1e-3)
    assert wide.attributions.dtype == np.float64
    assert NOTE in wide.meta["notes"]
    assert NOTE not in narrow.meta["notes"]
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == torch.float32 for name in before)
    assert torch.equal(x, X)
    assert x.dtype == torch.float32
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    twin = pyig.IntegratedGradients(copy.deepcopy(model).double()).explain(x.double(), target=1, n_steps=60)
    np.testing.assert_array_equal(wide.attributions, twin.attributions)


@pytest.mark.parametrize("layer", ["1", 1])
def test_a_layer_is_found_in_the_copy(layer: Any) -> None:
    model = net()
    given = model[layer] if isinstance(layer, int) else layer
    wide = pyig.IntegratedGradients(model).in_float64()
    e = wide.explain(X, target=0, layer=given, n_steps=20)
    twin = copy.deepcopy(model).double()
    expected = pyig.IntegratedGradients(twin).explain(X.double(), target=0, layer=twin[1], n_steps=20)
    np.testing.assert_array_equal(e.attributions, expected.attributions)
    again = wide.explain(X, target=0, layer=wide.model[1], n_steps=20)  # as one finds it in the explainer
    np.testing.assert_array_equal(e.attributions, again.attributions)
    with pytest.raises(InputError, match="a part of the model; got another Tanh"):
        wide.explain(X, target=0, layer=torch.nn.Tanh())


def test_all_that_goes_along_is_widened() -> None:
    class Both(torch.nn.Module):
        def forward(self, x: Any, b: Any, scale: Any, shift: Any) -> Any:
            return (torch.tanh(x) * scale + b).sum(1) + shift

    e = (
        pyig.IntegratedGradients(Both())
        .in_float64()
        .explain(
            (X, X.flip(0)),
            baselines=(torch.zeros(1, 4), torch.ones(1, 4)),
            forward_kwargs={"scale": torch.ones(2, 4) * 3, "shift": pyig.static(torch.tensor(0.5))},
            n_steps=30,
        )
    )
    assert np.abs(e.deltas).max() < 1e-13
    data = pyig.several(torch.stack([torch.zeros(4), torch.ones(4)]))
    many = pyig.IntegratedGradients(net()).in_float64().explain(X, baselines=data, target=0)
    assert many.meta["n_baselines"] == 2


def test_numpy_functions_and_frames() -> None:
    seen = set()

    def cube(x: Any) -> Any:
        seen.add(x.dtype)
        return (x**3).sum(axis=1)

    frame = pd.DataFrame({"a": np.array([0.1, 0.7], np.float32), "b": np.array([0.2, 0.3], np.float32)})
    ig = pyig.IntegratedGradients(cube, gradient=lambda x: 3 * x**2)
    e = ig.in_float64().explain(frame, n_steps=4)
    assert seen == {np.dtype(np.float64)}
    assert frame.dtypes.tolist() == [np.float32, np.float32]
    assert np.abs(e.deltas).max() < 1e-15
    again = ig.in_float64().in_float64().explain(frame, n_steps=4)
    assert again.attributions.equals(e.attributions)
    assert again.meta["notes"].count(NOTE) == 1


@pytest.mark.parametrize("method", [{"n_steps": 30}, {}])
def test_lines_along_the_path_are_those_of_the_copy(method: dict[str, Any]) -> None:
    model = net()
    ig = pyig.IntegratedGradients(model).in_float64()
    e = ig.explain(X[:1], target=1, **method)
    for one in (ig, pyig.IntegratedGradients(model).in_float64()):  # whether or not it has explained before
        lines = one.along(e, x=X[:1])
        total = float(e.values[0] - e.baseline_values[0])
        assert abs(float(lines.cumulative[-1].sum()) - total) < 1e-3 * abs(total)
    if method:
        np.testing.assert_allclose(np.sort(lines.attributions), np.sort(e.attributions[0]), rtol=1e-9)
    assert model[0].weight.dtype == torch.float32


def test_a_method_of_a_module() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def head(self, x: Any) -> Any:
            return self.inner(x)[:, 0]

    e = pyig.IntegratedGradients(Two().head).in_float64().explain(X, n_steps=60)
    assert np.abs(e.deltas).max() < 1e-10


def test_what_cannot_be_widened_is_refused() -> None:
    inner = net()
    with pytest.raises(InputTypeError, match="a function that calls one, which would stay in float32"):
        pyig.IntegratedGradients(lambda x: inner(x)[:, 0]).in_float64().explain(X)
    held = torch.nn.Linear(4, 1)
    held.loose = held.weight * 2  # type: ignore[assignment]
    with pytest.raises(ModelError, match="cannot copy Linear for float64"):
        pyig.IntegratedGradients(held).in_float64().explain(X)


@pytest.mark.parametrize(("name", "cure"), [("jax", "jax_enable_x64"), ("tensorflow", "set_dtype_policy")])
def test_other_frameworks_are_refused_with_what_to_do(name: str, cure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ig = pyig.IntegratedGradients(net())
    monkeypatch.setattr(type(ig.backend_for(X)), "name", name)
    with pytest.raises(InputTypeError, match=f"got {name}: .*{cure}"):
        ig.in_float64().explain(X)
