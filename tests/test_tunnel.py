"""The noise tunnel: known answers, plain-Python twins, captum, and draws that nothing else changes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo
from captum.attr import IntegratedGradients as Captum
from captum.attr import NoiseTunnel as Peer
from tunnels import CLASSES, KINDS, W, X, noise, squares, tunnel

import pyig


def twin(kind: str, every: Any) -> tuple[Any, Any]:
    """Return the result and its standard error from all draws (n, ...)."""
    n = len(every)
    if kind == "vargrad":
        fourth = ((every - every.mean(0)) ** 4).mean(0)
        return every.var(0), np.sqrt(np.maximum(0, fourth - (n - 3) / (n - 1) * every.var(0) ** 2) / n)
    every = every**2 if kind == "smoothgrad_sq" else every
    return every.mean(0), every.std(0, ddof=1) / np.sqrt(n)


# --- what it computes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_its_twin(kind: str) -> None:
    found = tunnel(squares(), X, kind=kind, draws=7)
    every = W * (X + 0.5 * noise(0, 7, X.shape)) ** 2
    result, error = twin(kind, every)
    np.testing.assert_allclose(found.attributions, result, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-9)
    assert found.n_evals.tolist() == [7 * 4 + 1] * 2


@pytest.mark.parametrize("options", [{}, {"n_steps": 9}, {"method": "adaptive"}, {"method": "exact"}])
def test_any_method_goes_through(options: dict[str, Any]) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    ig = pyig.IntegratedGradients(net)
    found = pyig.NoiseTunnel(ig).explain(X, stdevs=0.2, draws=4, rng=0, **options)
    every = [ig.explain(x, **options).attributions for x in X + 0.2 * noise(0, 4, X.shape)]
    np.testing.assert_allclose(found.attributions, np.mean(every, axis=0), rtol=1e-9)
    assert found.meta["method"] == ig.explain(X, **options).meta["method"]


def test_the_mean_adds_up_to_the_mean_difference() -> None:
    found = tunnel(squares(), X)
    values = (W * (X + 0.5 * noise(0, 5, X.shape)) ** 2).sum(2).mean(0)
    np.testing.assert_allclose(found.values, values)
    np.testing.assert_allclose(found.deltas, found.attributions.sum(1) - values, atol=1e-12)
    assert np.isnan(tunnel(squares(), X, kind="vargrad").deltas).all()
    assert np.isnan(tunnel(squares(), X, kind="smoothgrad_sq").deltas).all()


def test_no_noise_is_the_plain_explanation(backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    plain = ig.explain(CLASSES.x, n_steps=9)
    found = tunnel(ig, CLASSES.x, stdevs=0, n_steps=9)
    np.testing.assert_allclose(found.attributions, plain.attributions, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.targets, plain.targets)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-12)
    np.testing.assert_allclose(tunnel(ig, CLASSES.x, stdevs=0, kind="vargrad").attributions, 0, atol=1e-20)


@pytest.mark.parametrize("kind", KINDS)
def test_captum_agrees_as_far_as_its_noise_does(kind: str) -> None:
    model = frameworks.framework("torch").build(zoo.ENTRIES["tanh"]().steps, (), np.float64)
    x = torch.from_numpy(zoo.ENTRIES["tanh"]().x)
    torch.manual_seed(0)
    theirs = Peer(Captum(model)).attribute(x, nt_type=kind, nt_samples=2000, stdevs=0.3, n_steps=16).detach().numpy()
    found = tunnel(pyig.IntegratedGradients(model), x, kind=kind, draws=2000, stdevs=0.3, n_steps=16)
    assert (np.abs(found.attributions - theirs) < 6 * found.standard_error + 1e-5).all()
    assert np.abs(found.attributions - theirs).max() > 1e-6, "the draws are others"


def test_the_error_is_about_that_of_repeated_runs() -> None:
    for kind in KINDS:
        runs = [tunnel(squares(), X, kind=kind, draws=40, rng=seed) for seed in range(60)]
        seen = np.std([found.attributions for found in runs], axis=0)
        said = np.sqrt(np.mean([found.standard_error**2 for found in runs], axis=0))
        np.testing.assert_allclose(said, seen, rtol=0.35)
        assert not any(found.converged.any() for found in runs)
    assert tunnel(squares(), X, draws=4000, stdevs=0.01).converged.all()


def test_an_integral_without_estimate_leaves_none() -> None:
    found = tunnel(squares(), X, stdevs=0, n_steps=2)
    assert np.isnan(found.error).all()
    assert not found.converged.any()


# --- the noise ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 128, "auto"])
def test_batches_do_not_change_the_draws(size: Any, backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    found, other = (tunnel(ig, CLASSES.x, batch_size=b) for b in (size, 16))
    np.testing.assert_allclose(found.attributions, other.attributions, rtol=0, atol=1e-12)


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tunnel(squares(), X, draws=9, kind="vargrad")
    asked: list[int] = []
    ig = squares()
    explain = ig.explain
    monkeypatch.setattr(ig, "explain", lambda x, *a, **k: (asked.append(len(x)), explain(x, *a, **k))[1])
    monkeypatch.setattr("pyig.sampling.tunnel._ROWS", 8)
    found = tunnel(ig, X, draws=9, kind="vargrad")
    assert asked == [2, 8, 8, 2], "the input without noise, then four draws at a time"
    np.testing.assert_allclose(found.attributions, whole.attributions, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, whole.standard_error, rtol=1e-9)


def test_a_sample_alone_gets_the_noise_it_gets_in_company() -> None:
    np.testing.assert_allclose(tunnel(squares(), X[:1]).attributions[0], tunnel(squares(), X).attributions[0])


def test_one_generator_seeds_everything() -> None:
    for options in ({}, {"baselines": "uniform"}, {"baselines": X, "method": "expected", "n_steps": 5}):
        one, again, other = (tunnel(squares(), X, rng=seed, **options).attributions for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, again)
        assert not np.array_equal(one, other)
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(tunnel(squares(), X, rng=rng).attributions, tunnel(squares(), X, rng=1).attributions)
    assert not np.array_equal(tunnel(squares(), X, rng=rng).attributions, tunnel(squares(), X, rng=1).attributions)


def test_baselines_are_those_of_the_input_without_noise() -> None:
    found = tunnel(squares(), X, "mean", stdevs=2.0)
    plain = squares().explain(X, "mean", n_steps=4)
    np.testing.assert_allclose(found.baselines, plain.baselines)
    every = W * ((X + 2.0 * noise(0, 5, X.shape)) ** 2 - X.mean(0) ** 2)
    np.testing.assert_allclose(found.attributions, every.mean(0), rtol=1e-12)


@pytest.mark.parametrize("baselines", [X + 1, [X[0], X[1], X[0] - X[1]], pyig.several(np.eye(3))])
def test_baselines_of_every_form(baselines: Any) -> None:
    found = tunnel(squares(), X, baselines)
    every = [squares().explain(x, baselines, n_steps=4).attributions for x in X + 0.5 * noise(0, 5, X.shape)]
    np.testing.assert_allclose(found.attributions, np.mean(every, axis=0), rtol=1e-12)


def test_deviations_per_feature_and_relative_to_the_range() -> None:
    each = np.array([0.0, 0.1, 2.0])
    drawn = noise(0, 5, X.shape)
    found = tunnel(squares(), X, stdevs=each)
    np.testing.assert_allclose(found.attributions, (W * (X + each * drawn) ** 2).mean(0), rtol=1e-12)
    assert (found.standard_error[:, 0] == 0).all()
    spans = (X.max(1) - X.min(1))[:, None]
    found = tunnel(squares(), X, stdevs=0.1, relative=True)
    np.testing.assert_allclose(found.attributions, (W * (X + 0.1 * spans * drawn) ** 2).mean(0), rtol=1e-12)


def test_integers_get_no_noise_and_nothing_is_changed() -> None:
    seen: list[Any] = []

    def model(ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        seen.append(ids.clone())
        return (x * (1 + ids)).sum(1) ** 2

    ids, x = torch.tensor([[1], [4]]), torch.from_numpy(X.copy())
    before = x.clone()
    found = tunnel(pyig.IntegratedGradients(model), (ids, x), stdevs=(9.0, 0.5))
    assert set(torch.cat(seen).flatten().tolist()) == {1, 4}
    assert torch.equal(x, before)
    assert (found.attributions[0] == 0).all()
    assert (found.standard_error[1] > 0).all()
    by_name = pyig.IntegratedGradients(lambda ids, x: model(ids, x))
    same = tunnel(by_name, {"ids": ids, "x": x}, stdevs={"x": 0.5})
    np.testing.assert_allclose(same.attributions["x"], found.attributions[1])


def test_memory_does_not_grow_with_the_draws() -> None:
    ig = pyig.IntegratedGradients(lambda x: x.sum(1), gradient=lambda x: np.ones_like(x))
    x = np.ones((2, 20000))
    peaks = []
    for draws in (150, 150, 600):
        tracemalloc.start()
        tunnel(ig, x, draws=draws, n_steps=3, batch_size=16)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.1 * peaks[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_covers_that_of_the_integrals(kind: str) -> None:
    entry = zoo.ENTRIES["tanh"]()
    ig = frameworks.explainer("callable", entry)
    coarse, fine = (tunnel(ig, entry.x, kind=kind, stdevs=0.05, n_steps=n) for n in (3, 60))
    off = np.abs(coarse.attributions - fine.attributions).sum(1)
    spread = coarse.standard_error.sum(1)
    assert (off > 0.01 * np.abs(fine.attributions).sum(1)).any()
    assert (coarse.error**2 > off**2 + 0.9 * spread**2).all()
    np.testing.assert_allclose(fine.error, fine.standard_error.sum(1), rtol=1e-3)
