"""The running sum ends at the sum of the attributions, whichever weights the method has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import pyig
from pyig.explanation.running import coarser, running_sum


@pytest.mark.parametrize("value", ["output", "probability", "log_probability"])
@pytest.mark.parametrize("options", [{"method": "adaptive"}, {"n_steps": 12}, {"method": "simpson", "n_steps": 21}])
@pytest.mark.parametrize("steepness", [1.0, 30.0])
def test_it_ends_where_the_attributions_end(value: str, options: dict[str, Any], steepness: float) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
    with torch.no_grad():
        model[2].weight.mul_(steepness)
    x = np.random.default_rng(1).normal(size=(3, 4))
    e = pyig.IntegratedGradients(model).explain(x, target=1, value=value, output_kind="logits", **options)
    for i in range(3):
        reached, total = running_sum(e, i)
        size = np.abs(e.attributions[i]).sum()
        loose = value == "probability" and "n_steps" in options  # its weights there are not those of the record
        assert total[-1] == pytest.approx(e.attributions[i].sum(), abs=(0.1 if loose else 1e-3) * size)
        assert (np.diff(reached) >= 0).all()
        assert reached[-1] == pytest.approx(1)
        # It follows F: never far from what F has risen by there.
        rise = np.interp(reached, e.path(i).alphas, e.path(i).values) - e.baseline_values[i]
        assert np.abs(total - rise).max() <= (1.0 if value == "probability" else 0.6) * size


def smooth() -> pyig.IntegratedGradients:
    return pyig.IntegratedGradients(lambda x: np.exp(x).sum(axis=1), gradient=np.exp)


def test_it_does_not_turn_back_where_a_weight_is_negative() -> None:
    e = smooth().explain(np.array([[2.0, 0.5]]), method="adaptive", rtol=1e-5)
    weights = e.path_weights.copy()
    weights[1:3] += np.array([-1, 1]) * 2 * weights[1]  # as a spline has them beside a much wider stretch
    e = replace(e, path_weights=weights)
    reached, total = running_sum(e, 0)
    assert weights.min() < 0
    assert (np.diff(reached) > 0).all()
    assert reached[-1] == 1
    assert total[-1] == pytest.approx(weights @ e.path_slopes)


@pytest.mark.parametrize("options", [{"method": "adaptive", "rtol": 1e-7}, {"method": "simpson", "n_steps": 33}])
def test_coarser_levels_are_trapezoids_on_nodes_that_were_evaluated(options: dict[str, Any]) -> None:
    x = np.array([[2.0, 0.5]])
    e = smooth().explain(x, **options)
    found = coarser(e, 0)
    assert [count for count, _ in found][:3] == [3, 5, 9]
    assert all(count < e.n_evals[0] for count, _ in found)
    for count, gap in found[:3]:
        alphas = np.linspace(0, 1, count)
        slopes = np.exp(alphas[:, None] * x) @ x[0]
        trapezoids = ((slopes[1:] + slopes[:-1]) / 2).sum() / (count - 1)
        assert gap == pytest.approx(abs(trapezoids - np.expm1(x).sum()), rel=1e-3)
    assert found[0][1] > 3 * found[1][1] > 9 * found[2][1]


@pytest.mark.parametrize(
    "options", [{"n_steps": 20}, {"n_steps": 5, "method": "simpson"}, {"baselines": [[0, 0], [1, 1.0]]}]
)
def test_other_nodes_have_no_coarser_levels(options: dict[str, Any]) -> None:
    assert coarser(smooth().explain(np.array([[2.0, 0.5]]), **options), 0) == []
