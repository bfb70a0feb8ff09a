"""Captum's face beside Captum itself: layers that follow while the input moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr as captum
import pytest
import torch
from captum_cases import B, X, agree, seeded, smooth
from test_compat_captum_layers import LAYERED
from torch import nn

import pyig.compat.captum as face


@pytest.mark.parametrize("method", ["InternalInfluence", "LayerConductance"])
@pytest.mark.parametrize("to_inputs", [False, True])
@pytest.mark.parametrize("name", [name for name in LAYERED if "embedding" not in name])
def test_layer_paths_agree(name: str, to_inputs: bool, method: str) -> None:
    make, layer, x, start = LAYERED[name]
    model = make()
    quirks = {"quirks": "captum"} if method == "LayerConductance" else {}
    for rule in ("gausslegendre", "riemann_right"):
        options: dict[str, Any] = {"n_steps": 20, "method": rule, "attribute_to_layer_input": to_inputs}
        if method == "LayerConductance":
            options["return_convergence_delta"] = True
        ours = getattr(face, method)(model, layer(model), **quirks).attribute(x, start, 1, **options)
        agree(ours, getattr(captum, method)(model, layer(model)).attribute(x, start, 1, **options))


def test_conductance_is_complete_where_captum_leaves_the_ends_out() -> None:
    model = smooth()
    change = (model(X) - model(B))[:, 1].detach()
    ours, gap = face.LayerConductance(model, model[1]).attribute(X, B, 1, return_convergence_delta=True)
    _, theirs = captum.LayerConductance(model, model[1]).attribute(X, B, 1, return_convergence_delta=True)
    assert float(gap.abs().max()) < 1e-6
    assert float(theirs.abs().max()) > 1e-4
    torch.testing.assert_close(ours.sum(1), change, rtol=0, atol=1e-6)
    # Captum's steps reach the same with many more of them, on a rule that has the ends.
    many = captum.LayerConductance(model, model[1]).attribute(X, B, 1, n_steps=3000, method="riemann_trapezoid")
    torch.testing.assert_close(ours, many.detach(), rtol=0, atol=1e-4)


def test_conductance_through_operations_without_forward_mode() -> None:
    class Odd(torch.autograd.Function):
        generate_vmap_rule = False

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
            (x,) = ctx.saved_tensors
            return 3 * x**2 * grad

    class Model(nn.Module):
        def __init__(self, cube: Callable[[torch.Tensor], torch.Tensor]) -> None:
            super().__init__()
            self.cube, self.tanh, self.last = cube, nn.Tanh(), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.last(self.tanh(self.cube(x)))
            return out

    found = []
    for cube in (Odd.apply, lambda x: x**3):
        model = seeded(lambda cube=cube: Model(cube))
        found.append(face.LayerConductance(model, model.tanh).attribute(X, B, 1))
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)


def test_conductance_through_fused_attention() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tanh, self.last = nn.Tanh(), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            heads = x.reshape(len(x), 1, 2, 2)
            held = nn.functional.scaled_dot_product_attention(heads, heads, heads)
            out: torch.Tensor = self.last(self.tanh(held.flatten(1)))
            return out

    model = seeded(Model)
    ours, delta = face.LayerConductance(model, model.tanh).attribute(X, B, 1, return_convergence_delta=True)
    assert delta.abs().max() < 1e-6
    many = captum.LayerConductance(model, model.tanh).attribute(X, B, 1, n_steps=3000, method="riemann_trapezoid")
    torch.testing.assert_close(ours, many.detach(), rtol=0, atol=1e-4)


class Attention(nn.Module):
    """A layer that gives its weights as well, which nobody needs."""

    def __init__(self) -> None:
        super().__init__()
        self.key = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mixed values and weights."""
        weights = torch.softmax(self.key(x), dim=1)
        return weights * x, weights


class Attended(nn.Module):
    """A model around it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = Attention(), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        out: torch.Tensor = self.out(torch.tanh(self.attention(x)[0]))
        return out


def test_a_layer_that_gives_more_than_what_follows_needs() -> None:
    model = seeded(Attended)
    for name in ("LayerConductance", "InternalInfluence"):
        quirks = {"quirks": "captum"} if name == "LayerConductance" else {}
        mixed, weights = getattr(face, name)(model, model.attention, **quirks).attribute(X, B, 1)
        theirs = getattr(captum, name)(model, model.attention).attribute(X, B, 1)
        agree(mixed, theirs[0])
        assert not weights.any()  # Captum's go by way of the mixed values, and are counted there already
        assert theirs[1].any()
    _, gap = face.LayerConductance(model, model.attention).attribute(X, B, 1, return_convergence_delta=True)
    assert float(gap.abs().max()) < 1e-5
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        face.LayerIntegratedGradients(model, model.attention).attribute(X, B, 1)
    for module, given in ((face, {"allow_unused": True}), (captum, {"grad_kwargs": {"materialize_grads": True}})):
        integral = module.LayerIntegratedGradients(model, model.attention).attribute(X, B, 1, **given)
        assert integral[0].any()
        assert not integral[1].any()
