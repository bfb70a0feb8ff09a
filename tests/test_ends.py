"""F at the ends of the paths: from the loop where it has nodes there, by forwards elsewhere."""

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
def test_the_adaptive_rule_needs_no_forwards_for_its_ends(count: int) -> None:
    model, rows = net()
    found = pyig.IntegratedGradients(model).explain(points(count), target=1, **OPTIONS)
    plain = sum(n for n, gradient in rows if not gradient)
    assert plain == min(count, 8)  # they tell whether the model gives probabilities
    assert sum(n for n, gradient in rows if gradient) == found.n_evals.sum()


def test_a_predicted_target_needs_one_forward_per_sample() -> None:
    model, rows = net()
    found = pyig.IntegratedGradients(model).explain(points(20), **OPTIONS)
    assert sum(n for n, gradient in rows if not gradient) == 20
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
