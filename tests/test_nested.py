"""Behind a prefix that is nearly all of the model, rules of rising size take the place of the adaptive scheme."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import pyig
from pyig.integrate.nested import Nested

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def wide(activation: type[nn.Module] = nn.GELU, gain: float = 1.0) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [part for a, b in pairwise((600, 24, 16, 3)) for part in (nn.Linear(a, b), activation())]
    model = nn.Sequential(*layers[:-1]).double().eval()
    for parameter in model.parameters():
        parameter.data *= gain
    return model


def points(count: int = 30) -> torch.Tensor:
    return torch.randn(count, 600, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def true_errors(found: Any, wanted: Any) -> Any:
    apart, size = (np.abs(a).reshape(len(a), -1).sum(1) for a in (found - wanted, wanted))
    return apart / size


@pytest.mark.parametrize("activation", [nn.GELU, nn.Tanh, nn.ELU])
@pytest.mark.parametrize("gain", [1.0, 3.0])
@pytest.mark.parametrize("value", [None, "probability"])
@pytest.mark.parametrize("rtol", [1e-2, 1e-4])
def test_keeps_its_tolerance(activation: Any, gain: float, value: str | None, rtol: float) -> None:
    explainer = pyig.IntegratedGradients(wide(activation, gain))
    found = explainer.explain(points(), target=1, value=value, rtol=rtol, progress=False)
    wanted = explainer.explain(points(), target=1, value=value, method="riemann_middle", n_steps=4096, progress=False)
    assert found.meta["method"] == "nested"
    errors = true_errors(found.attributions, wanted.attributions)
    assert (errors[found.converged] <= rtol).all()
    assert found.converged.mean() > 0.9
    sizes = np.abs(found.attributions).sum(axis=1)
    assert (found.error[found.converged] <= rtol * sizes[found.converged] * (1 + 1e-9)).all()


def test_samples_take_what_they_need() -> None:
    x = points()
    x[::3] *= 8
    explainer = pyig.IntegratedGradients(wide(nn.ReLU))
    found = explainer.explain(x, target=1, rtol=0.03, progress=False)
    assert found.meta["method"] == "nested"
    assert set(found.n_evals.tolist()) <= {16, 64, 208, 512}
    assert len(set(found.n_evals.tolist())) > 1
    for row in range(30):
        path = found.path(row)
        assert (path.weights > 0).sum() in (16, 48, 144, 304)
        assert path.weights.sum() == pytest.approx(1)
    wanted = explainer.explain(x, target=1, method="riemann_middle", n_steps=4096, progress=False)
    assert (true_errors(found.attributions, wanted.attributions) <= 0.03).all()


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(5, [5]), (16, [16]), (40, [16, 24]), (100, [16, 84]), (512, [16, 48, 144, 304]), (1000, [16, 48, 144, 792])],
)
def test_the_rules_spend_the_budget(most: int, sizes: list[int]) -> None:
    assert Nested(0.01, most, 1.0).sizes == sizes
    assert sum(sizes) == most


@pytest.mark.parametrize("most", [5, 40, 100])
def test_a_budget_that_is_too_small_is_kept_and_flagged(most: int) -> None:
    found = pyig.IntegratedGradients(wide(gain=8.0)).explain(
        points(), target=1, rtol=1e-13, max_evals=most, progress=False
    )
    assert found.meta["method"] == "nested"
    assert (found.n_evals == most).all()
    assert not found.converged.any()
    assert f"needs more than {most} gradients; raise max_evals" in found.verdict()


def test_several_baselines_and_targets() -> None:
    explainer = pyig.IntegratedGradients(wide(gain=4.0))
    options: dict[str, Any] = {"baselines": [0.0, 0.5], "target": "top2", "progress": False}
    found = explainer.explain(points(), **options)
    wanted = explainer.explain(points(), **options, method="riemann_middle", n_steps=2048)
    assert found.meta["method"] == "nested"
    assert found.converged.all()
    assert (true_errors(found.attributions.reshape(60, -1), wanted.attributions.reshape(60, -1)) <= 0.01).all()
    np.testing.assert_array_equal(found.targets, wanted.targets)


@pytest.mark.parametrize("batch", [7, 64])
def test_batches_give_the_same(batch: int) -> None:
    explainer = pyig.IntegratedGradients(wide(nn.ReLU))
    wanted = explainer.explain(points(), target=1, progress=False)
    found = explainer.explain(points(), target=1, batch_size=batch, progress=False)
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found.n_evals, wanted.n_evals)


@pytest.mark.parametrize("calls", [9, 14])
def test_a_stopped_run_keeps_what_the_smaller_rule_gave(calls: int) -> None:
    asked: list[int] = []
    explainer = pyig.IntegratedGradients(wide(gain=8.0))
    found = explainer.explain(
        points(), target=1, rtol=1e-13, batch_size=100, progress=False,
        cancel=lambda: len(asked.append(0) or asked) > calls,
    )  # fmt: skip
    assert not found.meta["complete"]
    assert not found.converged.any()
    wanted = explainer.explain(points(), target=1, n_steps=16, progress=False)
    same = np.abs(found.attributions - wanted.attributions).sum(axis=1) < 1e-10
    assert same.any()
    assert not same.all() or calls < 10


def test_asking_for_the_adaptive_scheme_gets_it() -> None:
    found = pyig.IntegratedGradients(wide()).explain(points(), target=1, method="adaptive", progress=False)
    assert found.meta["method"] == "adaptive"


def test_a_prefix_that_is_half_of_the_model_is_left_to_the_adaptive_scheme() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 3)).eval()
    found = pyig.IntegratedGradients(model).explain(torch.randn(30, 64), target=1, progress=False)
    assert found.meta["method"] == "adaptive"
