"""Gauss-Legendre for a probability takes the gradients of its log-odds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyig
from pyig.integrate.log_odds import log_odds_weights
from pyig.quadrature import make_rule

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def net(activation: type[nn.Module] = nn.GELU, outputs: int = 3, gain: float = 4.0) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), activation(), nn.Linear(16, 8), activation(), nn.Linear(8, outputs))
    for parameter in model.parameters():
        parameter.data *= gain
    return model.double().eval()


def points(count: int = 12) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def worst(found: Any, wanted: Any) -> float:
    apart, size = (np.abs(np.asarray(a)).reshape(len(a), -1).sum(1) for a in (found - wanted, wanted))
    return float(np.median(apart / size))


def sigma(s: Any) -> Any:
    return 1 / (1 + np.exp(-s))


@given(st.integers(3, 40), st.lists(st.floats(-6, 6), min_size=1, max_size=4), st.floats(-3, 3))
@settings(deadline=None, max_examples=60)
def test_a_polynomial_of_log_odds_is_integrated_exactly(n: int, rises: list[float], start: float) -> None:
    """With s a polynomial that the nodes hold, sum of weights times s' is the rise of p."""
    nodes = make_rule("gausslegendre", n).nodes
    powers = [(k + 1, rise) for k, rise in enumerate(rises) if k + 2 <= n]
    s = start + sum(rise * nodes**k for k, rise in powers)
    slope = sum(k * rise * nodes ** (k - 1) for k, rise in powers)
    weights = log_odds_weights(np.asarray(s)[None])
    rise = sigma(start + sum(r for _, r in powers)) - sigma(start)
    assert float(weights[0, 0] @ slope) == pytest.approx(rise, abs=1e-9)
    if len(powers) + 1 <= len(range((n - 1) % 2, n, 2)):
        assert float(weights[1, 0] @ slope) == pytest.approx(rise, abs=1e-9)


def test_too_few_nodes_have_no_second_opinion() -> None:
    assert np.isnan(log_odds_weights(np.zeros((2, 2)))[1]).all()
    np.testing.assert_allclose(log_odds_weights(np.zeros((2, 2)))[0], 0.125)


def test_many_nodes_stay_stable() -> None:
    nodes = make_rule("gausslegendre", 1024).nodes
    weights = log_odds_weights((40 * nodes - 20)[None])
    assert float(weights[0, 0].sum()) == pytest.approx((sigma(20) - sigma(-20)) / 40, rel=1e-12)
    assert float(np.abs(weights[0, 0]).sum()) == pytest.approx(float(weights[0, 0].sum()), rel=1e-6)


@pytest.mark.parametrize("outputs", [1, 3])
def test_needs_fewer_nodes_than_the_rule_on_the_probability(outputs: int) -> None:
    model, options = net(nn.Tanh, outputs, gain=1.0), {"target": 0, "progress": False}
    model[-1].weight.data *= 200  # a steep probability of smooth log-odds
    ends = nn.Sequential(model, nn.Sigmoid() if outputs == 1 else nn.Softmax(1))
    kind = {"output_kind": "logits"}
    explainer = pyig.IntegratedGradients(model)
    wanted = explainer.explain(points(), value="probability", n_steps=400, **kind, **options)
    found = explainer.explain(points(), value="probability", n_steps=8, **kind, **options)
    plain = pyig.IntegratedGradients(ends).explain(points(), n_steps=8, **options)
    sign = -1.0 if outputs == 1 else 1.0  # of two classes, the sigmoid is that of the second
    ours, theirs = (worst(a, wanted.attributions) for a in (found.attributions, sign * plain.attributions))
    assert ours < 0.1 * theirs
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-12)
    assert found.n_evals.tolist() == [8] * 12
    assert found.meta["method"] == "gausslegendre"
    errors = np.abs(found.attributions - wanted.attributions).sum(axis=1)
    assert (errors <= found.error + 1e-9).all()


def test_converges_to_all_digits() -> None:
    explainer = pyig.IntegratedGradients(net(nn.Tanh, gain=2.0))
    found = explainer.explain(points(), target=1, value="probability", n_steps=80, progress=False)
    again = explainer.explain(points(), target=1, value="probability", n_steps=120, progress=False)
    np.testing.assert_allclose(found.attributions, again.attributions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 24, 30, 64, "auto"])
def test_paths_may_be_cut_anywhere(batch: Any) -> None:
    explainer, options = pyig.IntegratedGradients(net()), {"value": "probability", "n_steps": 24, "progress": False}
    wanted = explainer.explain(points(), [0.0, 0.5], "top2", batch_size=24 * 12, **options)
    found = explainer.explain(points(), [0.0, 0.5], "top2", batch_size=batch, **options)
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.error, wanted.error, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.path_values, wanted.path_values, rtol=0, atol=1e-13)


def test_the_record_is_that_of_the_probability() -> None:
    found = pyig.IntegratedGradients(net()).explain(points(), target=1, value="probability", n_steps=60, progress=False)
    path = found.path(0)
    inner = path.weights > 0
    assert ((path.values >= 0) & (path.values <= 1)).all()
    np.testing.assert_allclose(path.slopes[inner], np.gradient(path.values, path.alphas)[inner], atol=0.4)
    rise = found.values[0] - found.baseline_values[0]
    assert float(path.weights[inner] @ path.slopes[inner]) == pytest.approx(rise, abs=1e-3)


@pytest.mark.parametrize("options", [{"method": "riemann_middle"}, {"contrast": 2}])
def test_other_rules_and_differences_stay_as_they_are(options: dict[str, Any]) -> None:
    model = net()
    found = pyig.IntegratedGradients(model).explain(
        points(), target=1, value="probability", n_steps=10, progress=False, **options
    )
    softmax = nn.Sequential(model, nn.Softmax(1))
    plain = pyig.IntegratedGradients(softmax).explain(points(), target=1, n_steps=10, progress=False, **options)
    np.testing.assert_allclose(found.attributions, plain.attributions, rtol=0, atol=1e-13)


def test_a_stopped_run_is_an_estimate() -> None:
    asked: list[int] = []
    explainer, options = (
        pyig.IntegratedGradients(net(gain=1.5)),
        {"target": 1, "value": "probability", "progress": False},
    )
    found = explainer.explain(
        points(2), n_steps=32, batch_size=10, cancel=lambda: len(asked.append(0) or asked) > 4, **options
    )
    assert not found.meta["complete"]
    assert not found.converged.any()
    wanted = explainer.explain(points(2), n_steps=32, **options)
    assert 0 < found.n_evals[0] < 32
    assert worst(found.attributions[:1], wanted.attributions[:1]) < 0.5


def test_steep_log_odds_hide_nothing_where_the_probability_is_flat() -> None:
    """Before the first node the gradient of the log-odds is steep, that of the probability next to nothing."""
    model = nn.Linear(4, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[40.0, 0, 0, 1], [0, 0, 0, 0]]))
        model.bias.copy_(torch.tensor([-20.0, 0]))
    x = torch.ones(1, 4, dtype=torch.float64)
    found = pyig.IntegratedGradients(model).explain(
        x, target=0, value="probability", output_kind="logits", method="adaptive", rtol=1e-3, progress=False
    )
    assert found.converged.all(), found
    exact = 1 / (1 + np.exp(-21.0)) - 1 / (1 + np.exp(20.0))
    assert found.attributions[0, 0] == pytest.approx(exact * 40 / 41, rel=2e-3)
