"""Small networks with kinks are integrated exactly, without being asked where that costs less than the tolerance."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import pyig

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


def net(*sizes: int, activation: type[nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers[:-1]).double().eval()


def points(count: int = 12, features: int = 5) -> torch.Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def apart(a: Any, b: Any) -> float:
    return float((np.abs(a - b).reshape(len(a), -1).sum(1) / np.abs(b).reshape(len(b), -1).sum(1)).max())


def convolution() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.LeakyReLU(0.2),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3),
    ).double().eval()  # fmt: skip


@pytest.mark.parametrize("make", [lambda: net(5, 8, 6, 3), lambda: net(5, 6, 6, 6, 3, activation=nn.LeakyReLU)])
@pytest.mark.parametrize("baselines", [None, 0.3])
@pytest.mark.parametrize("target", [1, "top2"])
def test_small_networks_are_exact_by_themselves(make: Any, baselines: Any, target: Any) -> None:
    explainer = pyig.IntegratedGradients(make())
    found = explainer.explain(points(), baselines, target, progress=False)
    assert found.meta["method"] == "exact"
    assert found.converged.all()
    assert (np.asarray(found.error) < 1e-12).all()
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)
    wanted = explainer.explain(points(), baselines, target, method="riemann_middle", n_steps=20_000, progress=False)
    assert apart(found.attributions, wanted.attributions) < 1e-3


def exact_by_hand(model: nn.Sequential, x: torch.Tensor, index: int) -> np.ndarray:
    """Integrate one path of a network with one output by bisecting for every kink."""

    def pattern(alpha: float) -> tuple[bool, ...]:
        z, signs = (alpha * x)[None], []
        for layer in model:
            if isinstance(layer, nn.ReLU):
                signs += (z[0] > 0).tolist()
            z = layer(z)
        return tuple(signs)

    def kinks(a: float, b: float) -> list[float]:
        if pattern(a) == pattern(b):  # as good as surely one region, between neighbours of a fine grid
            return []
        for _ in range(60):
            m = 0.5 * (a + b)
            a, b = (m, b) if pattern(a) == pattern(m) else (a, m)
        return [b]

    grid = np.linspace(1e-9, 1, 4001)
    edges = [0.0, *(k for a, b in pairwise(grid) for k in kinks(a, b)), 1.0]
    total = torch.zeros_like(x)
    for a, b in pairwise(edges):
        leaf = (0.5 * (a + b) * x)[None].requires_grad_()
        total += (b - a) * torch.autograd.grad(model(leaf)[0, index], leaf)[0][0]
    return (x * total).numpy()


def test_twelve_digits_against_bisection() -> None:
    model, x = net(5, 8, 6, 3), points(4)
    found = pyig.IntegratedGradients(model).explain(x, target=2, progress=False)
    wanted = np.stack([exact_by_hand(model, row, 2) for row in x])
    assert apart(found.attributions, wanted) < 1e-12


@pytest.mark.parametrize("value", ["probability", "log_probability", "log_odds"])
def test_smooth_functions_of_the_outputs_are_exact_too(value: str) -> None:
    explainer = pyig.IntegratedGradients(net(5, 8, 6, 3))
    found = explainer.explain(points(), target=0, value=value, progress=False)
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.deltas, 0, atol=1e-11)
    wanted = explainer.explain(points(), target=0, value=value, method="riemann_middle", n_steps=20_000, progress=False)
    assert apart(found.attributions, wanted.attributions) < 1e-3


def test_a_contrast() -> None:
    explainer = pyig.IntegratedGradients(net(5, 8, 6, 3))
    found = explainer.explain(points(), target=0, contrast=2, progress=False)
    parts = [explainer.explain(points(), target=t, progress=False).attributions for t in (0, 2)]
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.attributions, parts[0] - parts[1], rtol=0, atol=1e-13)


def test_pools_and_norms_when_asked() -> None:
    explainer = pyig.IntegratedGradients(convolution())
    found = explainer.explain(points(6, 16), target=1, method="exact", progress=False)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)
    wanted = explainer.explain(points(6, 16), target=1, method="riemann_middle", n_steps=20_000, progress=False)
    assert apart(found.attributions, wanted.attributions) < 1e-3


def test_several_baselines_are_averaged() -> None:
    explainer = pyig.IntegratedGradients(net(5, 8, 6, 3))
    found = explainer.explain(points(), [0.0, 0.5, -1.0], 1, progress=False)
    parts = [explainer.explain(points(), b, 1, progress=False).attributions for b in (0.0, 0.5, -1.0)]
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.attributions, np.mean(parts, axis=0), rtol=0, atol=1e-13)


def test_the_record_is_that_of_the_regions() -> None:
    found = pyig.IntegratedGradients(net(5, 8, 6, 3)).explain(points(), target=1, progress=False)
    for row in range(12):
        path = found.path(row)
        inner = path.weights > 0
        assert inner.sum() == found.n_evals[row]
        assert path.weights.sum() == pytest.approx(1)
        rise = found.values[row] - found.baseline_values[row]
        assert float(path.weights[inner] @ path.slopes[inner]) == pytest.approx(rise, abs=1e-12)


def test_batches_give_the_same() -> None:
    explainer = pyig.IntegratedGradients(net(5, 8, 6, 3))
    wanted = explainer.explain(points(40), target=1, progress=False)
    found = explainer.explain(points(40), target=1, batch_size=7, progress=False)
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(found.n_evals, wanted.n_evals)


@pytest.mark.parametrize("baselines", [None, [0.0, 0.5]])
def test_a_path_with_too_many_regions_is_integrated_adaptively(baselines: Any) -> None:
    x = points(20)
    x[::2] *= 1e-3  # near the baseline nothing bends
    explainer = pyig.IntegratedGradients(net(5, 8, 6, 3))
    free = explainer.explain(x, baselines, 1, method="exact", progress=False)
    most = int(np.median(free.n_evals)) // (1 if baselines is None else 2)
    most = max(most, 5)
    found = explainer.explain(x, baselines, 1, method="exact", max_evals=most, rtol=0.5, progress=False)
    left = np.asarray(found.error) > 1e-12
    assert 0 < left.sum() < 20
    np.testing.assert_allclose(found.attributions[~left], free.attributions[~left], rtol=0, atol=1e-13)
    assert any(f"{left.sum()} of 20" in note for note in found.meta["notes"])
    for row in np.flatnonzero(left):
        assert found.n_evals[row] <= most * (1 if baselines is None else 2)


def test_large_networks_stay_adaptive_and_a_finer_tolerance_does_not() -> None:
    model, x = net(5, 40, 40, 3), 3 * points()
    explainer = pyig.IntegratedGradients(model)
    assert explainer.explain(x, target=1, progress=False).meta["method"] == "adaptive"
    assert explainer.explain(x, target=1, rtol=1e-3, progress=False).meta["method"] == "exact"
    assert explainer.explain(x, target=1, method="adaptive", rtol=1e-3, progress=False).meta["method"] == "adaptive"


@pytest.mark.parametrize("model", [net(5, 8, 6, 3, activation=nn.GELU), nn.Sequential(net(5, 6, 3), nn.Tanh())])
def test_smooth_networks_have_no_regions(model: nn.Module) -> None:
    found = pyig.IntegratedGradients(nn.Sequential(model, nn.Linear(3, 2).double())).explain(points(), target=1)
    assert found.meta["method"] == "adaptive"


def test_a_network_that_has_changed_is_looked_at_again() -> None:
    model = net(5, 8, 6, 3)
    explainer = pyig.IntegratedGradients(model)
    explainer.explain(points(), target=1, progress=False)
    with torch.no_grad():
        model[0].bias.add_(0.5)
    found = explainer.explain(points(), target=1, progress=False)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)
    model[1] = nn.GELU()
    assert explainer.explain(points(), target=1, progress=False).meta["method"] == "adaptive"


@pytest.mark.parametrize(
    ("sizes", "activation", "method"),
    [((5, 8, 6, 3), nn.ReLU, "exact"), ((400, 64, 8, 3), nn.Tanh, "nested"), ((5, 40, 40, 3), nn.ReLU, "adaptive")],
)
def test_the_first_call_records_once(
    sizes: tuple[int, ...], activation: type[nn.Module], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyig.structure import torch_record

    record, calls = torch_record.record, []
    monkeypatch.setattr(torch_record, "record", lambda *given: calls.append(given) or record(*given))
    model, x = net(*sizes, activation=activation), 3 * points(12, sizes[0])
    explainer = pyig.IntegratedGradients(model)
    assert explainer.explain(x, target=1, progress=False).meta["method"] == method
    assert len(calls) == 1  # for the closed form, the regions and the affine prefix
    explainer.explain(x, target=1, progress=False)
    assert len(calls) == 1
    pyig.IntegratedGradients(model).explain(x, target=1, progress=False)
    assert len(calls) == 2


def test_stopping() -> None:
    asked: list[int] = []
    found = pyig.IntegratedGradients(net(5, 8, 6, 3)).explain(
        points(600), target=1, progress=False, cancel=lambda: len(asked.append(0) or asked) > 2
    )
    assert not found.meta["complete"]
    assert 0 < found.converged.sum() < 600
    assert np.isnan(found.attributions[~found.converged]).all() or (found.attributions[~found.converged] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_explained(dtype: torch.dtype) -> None:
    model, x = net(5, 8, 6, 3).to(dtype), points().to(dtype)
    found = pyig.IntegratedGradients(model).explain(x, target=1, progress=False)
    wanted = pyig.IntegratedGradients(model.double()).explain(x.double(), target=1, progress=False)
    assert apart(found.attributions, wanted.attributions) < 0.05


def test_float32_stays_float32() -> None:
    explainer = pyig.IntegratedGradients(net(5, 8, 6, 3).float())
    found = explainer.explain(points().float(), target=1, progress=False)
    assert found.meta["method"] == "exact"
    assert found.attributions.dtype == np.float32
    assert explainer.attribute(points().float(), target=1, progress=False).dtype == torch.float32
    np.testing.assert_allclose(found.deltas, 0, atol=1e-5)
