"""Gradients on a path of inputs, taken at the inputs or at a layer, and what else the faces ask of the engine."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pyig
from pyig.backends.torch_differentiable import integral
from pyig.errors import InputError, InputTypeError, ModelError
from pyig.explainer.gradients import POINT, Gradients
from pyig.explainer.values import values
from pyig.held import modules_of
from pyig.quadrature import Rule, make_rule
from pyig.structure.torch_tap import UpTo


def numpy_square(x: Any) -> Any:
    return (x**2).sum(axis=1)


X = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).double()
B = torch.randn(9, 4, generator=torch.Generator().manual_seed(1)).double()
RULE = make_rule("gausslegendre", 40)


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = (nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.Softplus(), nn.Linear(5, 3))
        return nn.Sequential(*parts).double().eval()


def brute(model: nn.Sequential, cut: int, tangent: bool) -> torch.Tensor:
    """Return the sums node by node, with gradients and tangents by themselves."""
    head, tail = model[:cut], model[cut:]
    total: Any = 0.0
    for alpha, weight in zip(RULE.nodes, RULE.weights, strict=True):
        y, dy = torch.autograd.functional.jvp(head, B + alpha * (X - B), X - B)
        grad = torch.func.grad(lambda y: tail(y)[:, 1].sum())(y.detach())
        total = total + weight * (grad * dy if tangent else grad)
    found: torch.Tensor = total.detach()
    return found


# --- sums of gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 1000, "auto"])
@pytest.mark.parametrize("follow", [None, "tangent"])
@pytest.mark.parametrize("cut", [1, 2, 4])
def test_at_a_layer_as_node_by_node(cut: int, follow: str | None, size: Any) -> None:
    model = network()
    found = Gradients(model).sum(X, B, 1, rule=RULE, layer=model[cut - 1], follow=follow, batch_size=size)
    torch.testing.assert_close(found, brute(model, cut, follow == "tangent"), rtol=0, atol=1e-12)
    at_inputs = Gradients(model).sum(
        X, B, 1, rule=RULE, layer=model[cut], follow=follow, attribute_to_layer_inputs=True
    )
    torch.testing.assert_close(at_inputs, found, rtol=0, atol=1e-12)


def test_conductance_adds_up_at_every_layer_and_influence_does_not() -> None:
    model = network()
    with torch.no_grad():
        change = (model(X) - model(B))[:, 1]
    for cut in (0, 1, 2, 3):
        given = {"rule": RULE, "layer": model[cut]}
        torch.testing.assert_close(
            Gradients(model).sum(X, B, 1, follow="tangent", **given).sum(1), change, rtol=0, atol=1e-10
        )
        assert float((Gradients(model).sum(X, B, 1, **given).sum(1) - change).abs().max()) > 1e-2


def test_steps_of_the_layer_instead_of_its_tangent() -> None:
    model = network()
    nodes = np.linspace(0.0, 1.0, 2001)
    rule = Rule("steps", nodes[:-1], np.ones(2000), np.full(2000, np.nan), 0)
    steps = Gradients(model).sum(X, B, 1, rule=rule, layer=model[1], follow=nodes[1:])
    exact = Gradients(model).sum(X, B, 1, rule=RULE, layer=model[1], follow="tangent")
    torch.testing.assert_close(steps, exact, rtol=0, atol=2e-3)
    assert float((steps - exact).abs().max()) > 1e-6


def test_a_point_is_the_plain_gradient() -> None:
    model, x = network(), X.clone().requires_grad_()
    (plain,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    for target in (1, np.ones(9, dtype=int), lambda out: out[:, 1]):
        assert torch.equal(Gradients(model).sum(X, target=target), plain)
    torch.testing.assert_close(Gradients(model).sum(X, target=1, batch_size=2), plain, rtol=0, atol=1e-14)
    assert POINT.nodes.tolist() == POINT.weights.tolist() == [1.0]


def test_a_point_calls_the_model_once() -> None:
    calls: list[int] = []

    def model(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        return (x**2).sum(1)

    Gradients(model).sum(X)
    assert calls == [9]


def test_numpy_functions_and_structures() -> None:
    x = np.array([[1.0, 3.0]])
    found = Gradients(numpy_square, gradient=lambda x: 2 * x).sum(x, rule=make_rule("gausslegendre", 3))
    np.testing.assert_allclose(found, x)
    both = Gradients(lambda a, n: (a**2).sum(1) * n).sum((X, torch.full((9,), 2)))
    torch.testing.assert_close(both[0], 4 * X)
    assert not both[1].any(), "whole numbers are held fixed"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"follow": "tangent"}, InputError, "only with layer="),
        ({"baselines": [X, X]}, InputError, "one baseline; got 2"),
        ({"target": "top2"}, InputError, "one target per sample"),
        ({"layer": "9"}, InputError, "unknown layer"),
    ],
)
def test_what_is_refused(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Gradients(network()).sum(X, **({"target": 1} | options))


def test_unused_and_unreached() -> None:
    model = network()
    with pytest.raises(InputError, match="does not depend on input '1'"):
        Gradients(lambda a, b: a.sum(1)).sum((X, B))
    assert not Gradients(lambda a, b: a.sum(1)).sum((X, B), allow_unused=True)[1].any()
    for follow in (None, "tangent", RULE.nodes):
        with pytest.raises(ModelError, match="to be called by the model; it was not"):
            Gradients(lambda x: model[0](x)).sum(X, B, 1, rule=RULE, layer=model[2], follow=follow)
    with pytest.raises(InputTypeError, match="torch model"):
        Gradients(numpy_square, gradient=lambda x: 2 * x).sum(np.ones((1, 2)), layer="a")


# --- options of the engine -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", [False, True])
@pytest.mark.parametrize("options", [{"n_steps": 40}, {"rtol": 1e-6, "max_evals": 2000}, {"method": "expected"}])
def test_without_the_factor(options: dict[str, Any], device: bool) -> None:
    model = network()
    ig = pyig.IntegratedGradients(model)
    dtype = torch.float64 if not device else torch.float32
    x, start, ig_model = X.to(dtype), B.to(dtype), model.to(dtype)
    ig = pyig.IntegratedGradients(ig_model)
    options = options | ({"rng": 0} if "method" in options else {})
    whole = ig.attribute(x, start, 1, **options)
    local = ig.attribute(x, start, 1, multiply_by_inputs=False, **options)
    torch.testing.assert_close(local * (x - start), whole, rtol=0, atol=2e-6)
    assert float((local - whole).abs().max()) > 1e-2


def test_without_the_factor_behind_a_prefix_and_at_a_layer() -> None:
    wide = nn.Sequential(nn.Linear(400, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    x, start = torch.randn(30, 400).double(), torch.randn(30, 400).double()
    whole, local = (
        pyig.IntegratedGradients(wide).attribute(x, start, 1, n_steps=40, prefix="0", multiply_by_inputs=multiply)
        for multiply in (True, False)
    )
    torch.testing.assert_close(local * (x - start), whole, rtol=0, atol=1e-12)
    model = network()
    ig = pyig.IntegratedGradients(model)
    y, y0 = model[:2](X).detach(), model[:2](B).detach()
    whole, local = (
        ig.attribute(X, B, 1, n_steps=40, layer=model[1], multiply_by_inputs=multiply) for multiply in (True, False)
    )
    torch.testing.assert_close(local * (y - y0), whole, rtol=0, atol=1e-12)


def test_where_the_factor_belongs() -> None:
    ig = pyig.IntegratedGradients(network())
    with pytest.raises(InputError, match="in attribute only"):
        ig.explain(X, B, 1, multiply_by_inputs=False)
    with pytest.raises(InputError, match="nothing sums to F"):
        ig.attribute(X, B, 1, multiply_by_inputs=False, return_convergence_delta=True)
    exact = pyig.IntegratedGradients(nn.Linear(4, 1).double())
    with pytest.raises(InputError, match="exact"):
        exact.attribute(X, method="exact", multiply_by_inputs=False)


def test_a_rule_as_the_method() -> None:
    ig = pyig.IntegratedGradients(network())
    assert torch.equal(ig.attribute(X, B, 1, method=RULE), ig.attribute(X, B, 1, n_steps=40))
    assert ig.explain(X, B, 1, method=RULE).meta["method"] == "gausslegendre"
    with pytest.raises(InputError, match="40 nodes of the rule"):
        ig.attribute(X, B, 1, method=RULE, n_steps=3)
    with pytest.raises(InputTypeError, match="as a name"):
        ig.attribute(X, B, 1, method=3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_where_that_is_asked_for(dtype: torch.dtype) -> None:
    ig = pyig.IntegratedGradients(network().to(dtype))
    x, start = X.to(dtype), B.to(dtype)
    narrow, wide = (ig.attribute(x, start, 1, n_steps=20, widen=widen) for widen in (False, True))
    assert (narrow.dtype, wide.dtype) == (dtype, torch.float32)
    assert torch.equal(wide.to(dtype), narrow)
    assert not torch.equal(wide, narrow.float())


def test_several_layers_at_a_time_add_up() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.c(torch.tanh(self.a(x) * self.b(x)))
            return out

    model = Sum().double()
    found = pyig.IntegratedGradients(model).explain(X, B, 1, layer=["a", model.b], n_steps=60)
    assert isinstance(found.attributions, list)
    assert [part.shape for part in found.attributions] == [(9, 3), (9, 3)]
    assert np.abs(found.deltas).max() < 1e-10
    alone = pyig.IntegratedGradients(model).explain(X, B, 1, layer="a", n_steps=60)
    assert np.abs(alone.attributions - found.attributions[0]).max() > 1e-3, "alone it moves past the other at x"
    for layers, said in (([], "at least one layer"), (["a", "a"], "one twice")):
        with pytest.raises(InputError, match=said):
            pyig.IntegratedGradients(model).explain(X, B, 1, layer=layers)


def test_values_are_those_of_the_model() -> None:
    model = network()
    with torch.no_grad():
        plain = model(X).numpy()
    np.testing.assert_allclose(values(model, X, 1), plain[:, 1])
    np.testing.assert_allclose(values(model, X, 1, batch_size=2), plain[:, 1])
    np.testing.assert_allclose(values(model, X, lambda out: out.sum(1)), plain.sum(1))
    np.testing.assert_allclose(values(lambda x: (x**2).sum(), X), (X**2).sum(1), err_msg="no batch axis")
    ids = torch.tensor([[1, 2], [0, 1]])
    assert values(nn.Sequential(nn.Embedding(3, 1), nn.Flatten()), ids, target=0).shape == (2,)
    assert np.isnan(values(model, X * np.nan, 1)).all()
    with pytest.raises(InputError, match="out of range"):
        values(model, X, 3)


# --- modules in functions ------------------------------------------------------------------------------------------

GLOBAL = network()


def uses_a_global(x: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = GLOBAL(x)
    return out


class Predictor:
    """An object that is called, with a model inside."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        out: torch.Tensor = self.model(x)
        return out

    def method(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        return self(x)


def ways(model: nn.Module) -> list[Any]:
    def through(x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = model(x)
        return out

    def default(x: torch.Tensor, model: Any = model) -> torch.Tensor:
        out: torch.Tensor = model(x)
        return out

    predictor = Predictor(model)
    partial = functools.partial(lambda model, x: model(x), model)
    return [model, model.forward, through, default, predictor, predictor.method, partial, lambda x: through(x)]


def test_modules_are_found_in_every_form() -> None:
    model = network()
    for way in ways(model):
        assert modules_of(way) == [model]
    assert modules_of(uses_a_global) == [GLOBAL]
    assert modules_of(torch.sigmoid) == modules_of(nn.Linear) == modules_of(len) == []
    assert modules_of(lambda x: model[0](x) + model(x)) == [model], "the outermost"


def test_they_are_frozen_and_cut_like_a_model() -> None:
    model = network()
    expected = pyig.IntegratedGradients(model).attribute(X, B, 1, layer=model[1], n_steps=20)
    for way in ways(model)[1:]:
        found = pyig.IntegratedGradients(way).attribute(X, B, 1, layer=model[1], n_steps=20)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    seen = []

    def looks(x: torch.Tensor) -> torch.Tensor:
        seen.append(any(p.requires_grad for p in model.parameters()))
        out: torch.Tensor = model(x)
        return out

    pyig.IntegratedGradients(looks).attribute(X, B, 1, n_steps=3)
    assert not any(seen)
    assert all(p.requires_grad for p in model.parameters())


def test_a_layer_that_a_function_was_not_seen_to_use() -> None:
    model = network()
    hidden = {"deep": [[[[model]]]]}
    found = pyig.IntegratedGradients(lambda x: hidden["deep"][0][0][0][0](x))
    torch.testing.assert_close(
        found.attribute(X, B, 1, layer=model[1], n_steps=20),
        pyig.IntegratedGradients(model).attribute(X, B, 1, layer=model[1], n_steps=20),
        rtol=0,
        atol=1e-12,
    )


def test_a_model_that_ends_at_a_layer() -> None:
    model = network()
    assert torch.equal(UpTo(model, model[1])(X), model[:2](X))
    assert torch.equal(UpTo(model, model[1], to_inputs=True)(X), model[:1](X))
    assert UpTo(model, model[1], then=lambda y: y.sum(1))(X).shape == (9,)
    with pytest.raises(ModelError, match="it was not"):
        UpTo(model[0], model[1])(X)
    assert "forward" not in model[1].__dict__


# --- attributions that can be differentiated -----------------------------------------------------------------------


def test_a_differentiable_integral() -> None:
    model, x = network(), X.clone().requires_grad_()
    (found,) = integral(lambda x: model(x)[:, 1], [x], [B], RULE.nodes, RULE.weights)
    torch.testing.assert_close(
        found.detach(), pyig.IntegratedGradients(model).attribute(X, B, 1, n_steps=40), rtol=0, atol=1e-12
    )
    assert torch.autograd.gradcheck(
        lambda x: integral(lambda x: model(x)[:, 1], [x], [B[:2]], [0.2, 0.7], [0.5, 0.5])[0],
        X[:2].clone().requires_grad_(),
    )
    (local,) = integral(lambda x: model(x)[:, 1], [X], [B], RULE.nodes, RULE.weights, multiply=False)
    torch.testing.assert_close((local * (X - B)).detach(), found.detach())


def test_what_cannot_be_differentiated_is_said() -> None:
    with pytest.raises(ModelError, match="differentiable operations"):
        integral(lambda x: torch.ones(9), [X], [B], [0.5], [1.0])
    with pytest.raises(InputError, match="does not depend on input 1"):
        integral(lambda a, b: a.sum(1), [X, X], [B, B], [0.5], [1.0])
    found = integral(lambda a, b: a.sum(1), [X, X], [B, B], [0.5], [1.0], allow_unused=True)
    assert not found[1].any()
