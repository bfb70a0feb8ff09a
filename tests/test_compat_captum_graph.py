"""Attributions come back detached, or connected to inputs and parameters where that is asked for."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import captum.attr as captum
import pytest
import torch
from captum_cases import B, X, seeded, smooth
from torch import nn

import pyig.compat.captum as face


def test_inputs_that_require_a_gradient() -> None:
    model, x = smooth(), X.clone().requires_grad_()
    methods: list[Callable[[], Any]] = [
        lambda: face.IntegratedGradients(model).attribute(x, B, 1),
        lambda: face.LayerIntegratedGradients(model, model[1]).attribute(x, B, 1),
        lambda: face.LayerConductance(model, model[1]).attribute(x, B, 1),
        lambda: face.NeuronIntegratedGradients(model, model[1]).attribute(x, 1, B),
        lambda: face.Saliency(model).attribute(x, 1),
        lambda: face.InputXGradient(model).attribute(x, 1),
        lambda: face.NoiseTunnel(face.IntegratedGradients(model)).attribute(x, target=1),
        lambda: face.GradientShap(model).attribute(x, B, target=1),
        lambda: face.IntegratedGradients(model).attribute(x, B, 1, return_convergence_delta=True)[1],
    ]
    for method in methods:
        assert not method().requires_grad
    assert x.grad is None
    assert captum.IntegratedGradients(model).attribute(x, B, 1).requires_grad, "Captum's hold on to the graph"


def test_attributions_can_be_differentiated_where_that_is_asked_for() -> None:
    model, x = smooth().double(), X.double().requires_grad_()
    start = B.double()

    def total(x: torch.Tensor) -> torch.Tensor:
        found = face.IntegratedGradients(model).attribute(x, start, 1, n_steps=8, create_graph=True)
        return (found**2).sum()

    (slope,) = torch.autograd.grad(total(x), x)
    step = 1e-6
    moved = X.double().clone()
    moved[2, 1] += step
    with torch.no_grad():
        plain = (face.IntegratedGradients(model).attribute(X.double(), start, 1, n_steps=8) ** 2).sum()
        after = (face.IntegratedGradients(model).attribute(moved, start, 1, n_steps=8) ** 2).sum()
    assert float(slope[2, 1]) == pytest.approx(float(after - plain) / step, rel=1e-3)
    (weights,) = torch.autograd.grad(total(X.double()), model[0].weight)
    assert bool(weights.any())
    for options, said in (({"n_steps": "auto"}, "a number as n_steps="),):
        with pytest.raises(AssertionError, match=said):
            face.IntegratedGradients(model).attribute(x, start, 1, create_graph=True, **options)
    with pytest.raises(AssertionError, match="attributions to inputs only"):
        face.LayerIntegratedGradients(model, model[1]).attribute(x, start, 1, grad_kwargs={"create_graph": True})


def test_attributions_through_fused_attention_can_be_differentiated() -> None:
    def fused(x: torch.Tensor) -> torch.Tensor:
        heads = x.reshape(len(x), 1, 2, 2)
        return torch.nn.functional.scaled_dot_product_attention(heads, heads, heads).flatten(1)

    def by_hand(x: torch.Tensor) -> torch.Tensor:
        heads = x.reshape(len(x), 1, 2, 2)
        return ((heads @ heads.mT / 2**0.5).softmax(-1) @ heads).flatten(1)

    found = []
    for attention in (fused, by_hand):
        x = X.clone().requires_grad_()
        shares = face.IntegratedGradients(attention).attribute(x, B, 1, n_steps=8, create_graph=True)
        found.append(torch.autograd.grad((shares**2).sum(), x)[0])
    torch.testing.assert_close(*found, rtol=0, atol=1e-5)
    assert found[0].abs().max() > 1e-3


class Looked(nn.Module):
    """Looks its first column up."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(9, 2), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        out: torch.Tensor = self.out(torch.tanh(torch.cat([self.table(x[:, 0].long()), x[:, 1:]], dim=1)))
        return out


def test_columns_that_the_model_looks_up() -> None:
    model, x = seeded(Looked), X.clone()
    x[:, 0] = torch.arange(7)
    found, gap = face.IntegratedGradients(model).attribute(x, target=1, return_convergence_delta=True)
    theirs, off = captum.IntegratedGradients(model).attribute(x, target=1, return_convergence_delta=True)
    assert float(gap.abs().max()) < 1e-5 < 1e-2 < float(off.abs().max())
    assert found[1:, 0].all()
    assert not theirs[:, 0].any()
    old = face.IntegratedGradients(model, quirks="captum").attribute(x, target=1)
    assert torch.equal(old, theirs)


def test_inference_mode() -> None:
    x, model = X[:, :4], smooth()
    wanted = face.IntegratedGradients(model).attribute(x, B, 1)
    with torch.inference_mode():
        assert torch.equal(face.IntegratedGradients(model).attribute(x * 1, B, 1), wanted)
        made = smooth()
    before = [p.requires_grad for p in made.parameters()]
    with pytest.raises(AssertionError, match=r"outside of torch\.inference_mode"):
        face.IntegratedGradients(made).attribute(x, B, 1)
    assert [p.requires_grad for p in made.parameters()] == before


def test_methods_can_be_copied_after_a_call() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    ig = face.IntegratedGradients(model)
    wanted = [ig.attribute(X, B, 1, n_steps=steps) for steps in (50, "auto")]
    for again in (copy.deepcopy(ig), pickle.loads(pickle.dumps(ig))):
        assert again.forward_func is not model
        found = [again.attribute(X, B, 1, n_steps=steps) for steps in (50, "auto")]
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
