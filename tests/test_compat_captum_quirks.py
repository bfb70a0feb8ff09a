"""``quirks="captum"`` beside Captum itself: the same bits, where the default has the right numbers."""

from __future__ import annotations

from typing import Any

import captum.attr as captum
import pytest
import torch
from captum_cases import CASES, B, X, form, smooth, tensors
from test_compat_captum_layers import IDS, LAYERED, STARTS, parts, several

import pyig.compat.captum as face

RULES = ["riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid", "gausslegendre"]
WAYS: list[dict[str, Any]] = [
    {},
    {"n_steps": 7, "method": "riemann_trapezoid"},
    {"n_steps": 10, "internal_batch_size": 23},
    {"n_steps": 3, "internal_batch_size": 1},
]
quiet = pytest.mark.filterwarnings("ignore:Internal batch size cannot be less")


def same(ours: Any, theirs: Any) -> None:
    """Compare structure, dtypes and bits."""
    assert form(ours) == form(theirs)
    for a, b in zip(tensors(ours), tensors(theirs), strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b.detach())
        assert not a.requires_grad


@quiet
@pytest.mark.parametrize("multiply", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_inputs(name: str, multiply: bool) -> None:
    case = CASES[name]
    model = case.model()
    delta = name != "whole numbers"  # where Captum's fails
    for way in WAYS:
        options = case.options | way | {"return_convergence_delta": delta}
        ours, theirs = (
            face.IntegratedGradients(model, multiply, quirks="captum"),
            captum.IntegratedGradients(model, multiply),
        )
        same(*(each.attribute(case.inputs, case.baselines, **options) for each in (ours, theirs)))


@quiet
@pytest.mark.parametrize("multiply", [True, False])
@pytest.mark.parametrize(
    ("name", "to_inputs"),
    [(name, False) for name in LAYERED] + [(name, True) for name in LAYERED if "embedding" not in name],
)
def test_layers(name: str, to_inputs: bool, multiply: bool) -> None:
    make, layer, x, start = LAYERED[name]
    model = make()
    given = {"multiply_by_inputs": multiply}
    for way in WAYS:
        options = {"attribute_to_layer_input": to_inputs, "return_convergence_delta": True} | way
        ours = face.LayerIntegratedGradients(model, layer(model), **given, quirks="captum")
        theirs = captum.LayerIntegratedGradients(model, layer(model), **given)
        same(*(each.attribute(x, start, 1, **options) for each in (ours, theirs)))


@several
def test_several_layers_and_neurons() -> None:
    model = parts()
    layers = [model.words, model.places, model.kinds]
    ours = face.LayerIntegratedGradients(model, layers, quirks="captum")
    same(*(each.attribute(IDS, STARTS, 1) for each in (ours, captum.LayerIntegratedGradients(model, layers))))
    net = smooth()
    neurons = face.NeuronIntegratedGradients(net, net[1], quirks="captum")
    same(*(each.attribute(X, 2, B) for each in (neurons, captum.NeuronIntegratedGradients(net, net[1]))))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_rules_and_dtypes(rule: str, dtype: torch.dtype) -> None:
    model, x, start = smooth().to(dtype), X.to(dtype), B.to(dtype)
    options: dict[str, Any] = {"n_steps": 10, "method": rule}
    theirs = captum.IntegratedGradients(model).attribute(x, start, 1, **options)
    same(face.IntegratedGradients(model, quirks="captum").attribute(x, start, 1, **options), theirs)
    right = face.IntegratedGradients(model).attribute(x, start, 1, **options)
    off = float((right - theirs).abs().max() / theirs.abs().max())
    assert off > 0.0
    assert (off > 0.01) == (rule == "riemann_trapezoid") or dtype in (torch.float16, torch.bfloat16)


def test_models_without_rows() -> None:
    for function in (lambda x: (x**3).sum(), lambda x: (x**3).sum(0).sum()[None]):
        for x in (X, X[:1]):
            old, new = (face.IntegratedGradients(function, quirks=quirks).attribute(x) for quirks in ("captum", None))
            torch.testing.assert_close(old, new)
            assert new.any()


def test_what_does_not_fit() -> None:
    with pytest.raises(RuntimeError, match="does not depend on input '1'"):
        face.IntegratedGradients(lambda a, b: a.sum(1), quirks="captum").attribute((X, B))
    used, unused = face.IntegratedGradients(lambda a, b: a.sum(1), quirks="captum").attribute((X, B), allow_unused=True)
    assert used.any()
    assert not unused.any()
    with pytest.raises(AssertionError, match="one of Captum's rules"):
        face.IntegratedGradients(smooth(), quirks="captum").attribute(X, target=1, n_steps=5, method="simpson")
    kept = [
        face.IntegratedGradients(lambda a, mask: (a * mask).sum(1), quirks=quirks).attribute((X, X > 0))
        for quirks in (None, "captum")
    ]
    assert form(kept[0]) == form(kept[1])
    assert [part.dtype for part in kept[0]] == [part.dtype for part in kept[1]]
    assert not kept[1][1].any()
    numpy = face.IntegratedGradients(smooth(), quirks="captum").attribute(X.numpy(), target=1)
    assert torch.equal(torch.from_numpy(numpy), captum.IntegratedGradients(smooth()).attribute(X, target=1))
