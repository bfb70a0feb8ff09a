"""The ends of the paths: F there, from the loop where it has a node, by forwards elsewhere; gradients beside them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import pyig

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def net() -> tuple[nn.Sequential, list[tuple[int, bool]]]:
    """Return a model, and a list of the rows that each of its forwards gets and whether it is for a gradient."""
    torch.manual_seed(0)
    layers = [part for a, b in pairwise((6, 40, 40, 3)) for part in (nn.Linear(a, b), nn.GELU())]
    model, rows = nn.Sequential(*layers[:-1]).double().eval(), []
    model.register_forward_pre_hook(lambda module, given: rows.append((len(given[0]), given[0].requires_grad)))
    return model, rows


def points(count: int) -> torch.Tensor:
    return 2 * torch.randn(count, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


OPTIONS: dict[str, Any] = {"method": "adaptive", "progress": False}


@pytest.mark.parametrize("count", [1, 5, 40])
def test_the_adaptive_rule_needs_one_forward_for_a_baseline_that_all_share(count: int) -> None:
    model, rows = net()
    found = pyig.IntegratedGradients(model).explain(points(count), target=1, **OPTIONS)
    assert [n for n, gradient in rows if not gradient] == [1], "a negative output: no probability"
    assert sum(n for n, gradient in rows if gradient) == found.n_evals.sum()


@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_few_inputs_tell_where_the_baseline_does_not(count: int) -> None:
    model, rows = net()
    with torch.no_grad():
        model[-1].weight *= 50
        model[-1].bias += 0.5 - model(torch.zeros(1, 6, dtype=torch.float64))[0]
    hidden = type("Hidden", (nn.Module,), {"forward": lambda self, x: model(x)})()  # its last layer is not to be seen
    rows.clear()
    found = pyig.IntegratedGradients(hidden).explain(points(count), target=1, value="probability", **OPTIONS)
    assert sum(n for n, gradient in rows if not gradient) == 1 + min(count, 8)
    assert sum(n for n, gradient in rows if gradient) == found.n_evals.sum()
    np.testing.assert_allclose(found.values, model(points(count)).softmax(1)[:, 1].detach(), rtol=1e-12)


@pytest.mark.parametrize("kind", [None, "probabilities"])
def test_sigmoids_that_sum_to_one_at_the_baseline_are_no_softmax(kind: str | None) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(6, 20, bias=False), nn.Tanh(), nn.Linear(20, 2, bias=False), nn.Sigmoid()]
    explainer, x = pyig.IntegratedGradients(nn.Sequential(*layers).double().eval()), points(5)
    found = explainer.explain(x, target=1, output_kind=kind, rtol=1e-5, **OPTIONS)
    wanted = explainer.explain(x, target=1, n_steps=64, progress=False)
    np.testing.assert_allclose(found.baseline_values, 0.5, rtol=1e-12)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-12)
    np.testing.assert_allclose(found.attributions, wanted.attributions, atol=1e-5)


def test_a_predicted_target_needs_one_forward_per_sample() -> None:
    model, rows = net()
    found = pyig.IntegratedGradients(model).explain(points(20), **OPTIONS)
    assert sum(n for n, gradient in rows if not gradient) == 20 + 1
    assert sum(n for n, gradient in rows if gradient) == found.n_evals.sum()


@pytest.mark.parametrize("value", [None, "probability", "log_probability"])
@pytest.mark.parametrize("target", [1, "predicted", "top2"])
@pytest.mark.parametrize("baselines", [None, [0.0, 0.4]])
def test_the_values_are_those_of_the_model(value: str | None, target: Any, baselines: Any) -> None:
    model, _ = net()
    explainer = pyig.IntegratedGradients(model)
    options = {"baselines": baselines, "target": target, "value": value, "progress": False}
    found = explainer.explain(points(5), method="adaptive", **options)
    wanted = explainer.explain(points(5), n_steps=4, **options)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-12)
    np.testing.assert_allclose(found.baseline_values, wanted.baseline_values, rtol=1e-12)
    np.testing.assert_array_equal(found.targets, wanted.targets)


def test_a_stopped_run_knows_both_ends_of_every_sample() -> None:
    model, _ = net()
    asked: list[int] = []
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(
        points(40), target=1, batch_size=8, cancel=lambda: len(asked.append(0) or asked) > 6, **OPTIONS
    )
    assert not found.meta["complete"]
    wanted = explainer.explain(points(40), target=1, n_steps=4, progress=False)
    known = np.isfinite(found.values)
    assert known.any()
    np.testing.assert_allclose(found.values[known], wanted.values[known], rtol=1e-12)
    np.testing.assert_allclose(found.baseline_values[known], wanted.baseline_values[known], rtol=1e-12)


def test_what_a_framework_calls_the_gradient_of_a_tie_is_not_used() -> None:
    """Without biases F is linear along the path from zero, and at zero every unit sits on its kink."""
    torch.manual_seed(0)
    layers = [part for a, b in pairwise((6, 40, 40, 3)) for part in (nn.Linear(a, b, bias=False), nn.ReLU())]
    model, x = nn.Sequential(*layers[:-1]), points(20).float()
    found = pyig.IntegratedGradients(model).explain(x, target=1, **OPTIONS)
    assert (found.n_evals == 5).all(), "nothing to refine"
    moved = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(model(moved)[:, 1].sum(), moved)
    np.testing.assert_allclose(found.attributions, (wanted * x).numpy(), rtol=1e-4, atol=1e-6)
    zero, first = found.path(0).alphas[:2]
    assert 0 == zero < first < 1e-4
    assert abs(found.deltas).max() < 1e-5
    fixed = pyig.IntegratedGradients(model).explain(x, target=1, method="riemann_trapezoid", n_steps=5, progress=False)
    assert (abs(fixed.attributions - found.attributions).sum(1) > 0.1 * abs(found.attributions).sum(1)).all()


def test_a_jump_at_the_baseline_stays_a_gap_and_spoils_nothing_else() -> None:
    """As a normalisation without an epsilon: zero at zero, and another number a hair's breadth from it."""

    def model(x: torch.Tensor) -> torch.Tensor:
        return (x / (x.abs() + 1e-30)).sum(1) + 0.1 * x.sum(1)

    x = points(4).abs()
    found = pyig.IntegratedGradients(model).explain(x, **OPTIONS)
    np.testing.assert_allclose(found.attributions, 0.1 * x.numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.values - found.baseline_values, 6 + 0.1 * x.numpy().sum(1), rtol=1e-12)
    np.testing.assert_allclose(found.deltas, -6, rtol=1e-9)
    assert not found.converged.any()
    np.testing.assert_allclose(found.error, 6, rtol=1e-6)


def test_a_gradient_that_grows_without_end_towards_the_baseline_is_told_of() -> None:
    """Behind a layer norm of zeros each feature's gradient goes as 1 / alpha, and their sum is nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.LayerNorm(8, eps=1e-20), nn.GELU(), nn.Linear(8, 3)).double()
    x = points(4)
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, target=1, **OPTIONS)
    rises = (model(x) - model(0 * x))[:, 1].detach().numpy()
    np.testing.assert_allclose(found.values - found.baseline_values, rises, rtol=1e-12)
    assert not found.converged.any()
    assert (found.relative_error > 0.1).all()
    assert any("take another baseline" in note for note in found.meta["notes"])
    elsewhere = explainer.explain(x, baselines=torch.full_like(x, 0.3) * points(4).flip(0), target=1, **OPTIONS)
    assert elsewhere.converged.all()
    assert not any("take another baseline" in note for note in elsewhere.meta["notes"])
