"""Expected gradients: closed answers, fewer evaluations than random draws, and an error that is not too small."""

from __future__ import annotations

from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo
from backgrounds import BACKGROUND, CLASSES, TANH, D, M, expected, reference, relative
from captum.attr import GradientShap
from hypothesis import given, settings
from hypothesis import strategies as st

import pyig


def quadratic() -> tuple[pyig.IntegratedGradients, Any, Any]:
    """Return x A x / 2 + b x with its inputs and its attributions over the whole background."""
    rng = np.random.default_rng(1)
    a = rng.normal(size=(D, D))
    a, b, x = a + a.T, rng.normal(size=D), rng.normal(size=(3, D))
    ig = pyig.IntegratedGradients(lambda z: ((z @ a) * z).sum(1) / 2 + z @ b, gradient=lambda z: z @ a + b)
    return ig, x, np.stack([((row - BACKGROUND) * ((row + BACKGROUND) / 2 @ a + b)).mean(0) for row in x])


# --- closed answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [M, M + 1, 2 * M - 1, 2 * M, 40])
def test_a_linear_model_is_exact_once_every_baseline_is_used(n: int, backend: str) -> None:
    entry = zoo.ENTRIES["linear"]()
    w = entry.steps[0].weights[0][:, 0]
    found = expected(frameworks.explainer(backend, entry), entry.x, n_steps=n)
    np.testing.assert_allclose(found.attributions, (entry.x - BACKGROUND.mean(0)) * w, rtol=0, atol=1e-13)
    assert found.converged.all()
    assert found.error.max() < 1e-12
    assert found.n_evals.tolist() == [n] * len(entry.x)


def test_a_part_of_the_baselines_is_not_exact_and_says_so() -> None:
    entry = zoo.ENTRIES["linear"]()
    w = entry.steps[0].weights[0][:, 0]
    found = expected(frameworks.explainer("torch", entry), entry.x, n_steps=M - 1)
    assert relative(found.attributions, (entry.x - BACKGROUND.mean(0)) * w).min() > 1e-3
    assert not found.converged.any()
    assert "n_steps=8 is fewer than the 9 baselines" in found.meta["notes"][0]
    whole = expected(frameworks.explainer("torch", entry), entry.x, n_steps=M)
    assert whole.meta["notes"] == []


@pytest.mark.parametrize("n", [M, 2 * M, 3 * M + 4])
def test_the_mean_over_seeds_is_the_answer(n: int) -> None:
    ig, x, exact = quadratic()
    runs = np.stack([expected(ig, x, n_steps=n, rng=seed).attributions for seed in range(300)])
    standard = runs.std(axis=0) / np.sqrt(len(runs))
    assert (np.abs(runs.mean(axis=0) - exact) < 4.5 * standard + 1e-12).all()
    assert relative(runs[0], exact).min() > 1e-4, "one run alone is off"


def test_a_part_of_the_baselines_is_unbiased_too() -> None:
    ig, x, exact = quadratic()
    runs = np.stack([expected(ig, x, n_steps=4, rng=seed).attributions for seed in range(400)])
    assert (np.abs(runs.mean(axis=0) - exact) < 4.5 * runs.std(axis=0) / np.sqrt(len(runs))).all()


def test_many_gradients_come_close(backend: str) -> None:
    exact = reference(TANH, BACKGROUND)
    few = expected(frameworks.explainer(backend, TANH), TANH.x, n_steps=2 * M)
    many = expected(frameworks.explainer(backend, TANH), TANH.x, n_steps=200 * M)
    assert relative(many.attributions, exact).max() < 1e-3 < relative(few.attributions, exact).max()
    assert many.converged.all()
    np.testing.assert_allclose(many.attributions.sum(axis=1) - (many.values - many.baseline_values), many.deltas)


def test_the_gap_is_taken_against_the_mean_over_the_baselines() -> None:
    found = expected(frameworks.explainer("torch", TANH), TANH.x, n_steps=M)
    model = frameworks.framework("torch").build(TANH.steps, (), np.float64)
    with torch.no_grad():
        start = float(model(torch.from_numpy(BACKGROUND)).mean())
    np.testing.assert_allclose(found.baseline_values, start)
    np.testing.assert_allclose(found.deltas, found.attributions.sum(axis=1) - (found.values - start), atol=1e-12)
    np.testing.assert_allclose(found.baselines, BACKGROUND.mean(0, keepdims=True))


# --- fewer evaluations, an honest error --------------------------------------------------------------------------


def random_draws(ig: pyig.IntegratedGradients, x: Any, n: int, seed: int) -> Any:
    """Draw the way of GradientShap: a random baseline and a random alpha each time."""
    rng = np.random.default_rng(seed)
    total = np.zeros_like(x)
    for _ in range(n):
        start, alpha = BACKGROUND[rng.integers(0, M, len(x))], rng.random((len(x), 1))
        total += (x - start) * ig.model.gradient(start + alpha * (x - start))[0]
    return total / n


@pytest.mark.parametrize(("n", "gain"), [(M, 2.0), (2 * M, 3.0), (6 * M, 8.0)])
def test_the_error_is_a_fraction_of_that_of_random_draws(n: int, gain: float) -> None:
    ig = frameworks.explainer("callable", TANH)
    exact = reference(TANH, BACKGROUND)
    ours = [relative(expected(ig, TANH.x, n_steps=n, rng=seed).attributions, exact) for seed in range(20)]
    theirs = [relative(random_draws(ig, TANH.x, n, seed), exact) for seed in range(20)]
    assert gain * np.median(ours) < np.median(theirs)


def test_captum_estimates_the_same_with_a_larger_error() -> None:
    model = frameworks.framework("torch").build(TANH.steps, (), np.float64)
    x, background = torch.from_numpy(TANH.x), torch.from_numpy(BACKGROUND)
    exact = reference(TANH, BACKGROUND)
    np.random.seed(0)  # noqa: NPY002 - captum draws from numpy's global generator
    theirs = GradientShap(model).attribute(x, background, n_samples=4000, stdevs=0.0).detach().numpy()
    assert relative(theirs, exact).max() < 0.1, "the two mean the same"
    ours = pyig.IntegratedGradients(model).explain(x, background, method="expected", n_steps=400, rng=0)
    assert relative(ours.attributions, exact).max() < 0.5 * relative(theirs, exact).max()


@pytest.mark.parametrize("n", [M - 2, M, 2 * M - 1, 2 * M, 3 * M, 8 * M])
@pytest.mark.parametrize("name", ["tanh", "softplus", "kinked", "relu"])
def test_the_error_is_rarely_larger_than_the_estimate(name: str, n: int) -> None:
    entry = zoo.ENTRIES[name]()
    background = np.random.default_rng(7).normal(size=(M, entry.x.shape[1]))
    exact, ig = reference(entry, background), frameworks.explainer("callable", entry)
    runs = [expected(ig, entry.x, background, n_steps=n, rng=seed) for seed in range(40)]
    true = np.stack([np.abs(found.attributions - exact).sum(axis=1) for found in runs])
    said = np.stack([found.error for found in runs])
    assert np.mean(true > said) <= 0.15
    assert np.median(said / true) < 20, "nor is it so large as to say nothing"


@pytest.mark.parametrize("n", [M, 2 * M, 4 * M])
def test_what_no_node_saw_is_seen_by_the_gap(n: int) -> None:
    entry = zoo.ENTRIES["saturated"]()  # a step so steep that most gradients are zero
    background = np.random.default_rng(7).normal(size=(M, 3))
    exact, ig = reference(entry, background), frameworks.explainer("callable", entry)
    for seed in range(40):
        found = expected(ig, entry.x, background, n_steps=n, rng=seed)
        assert not (found.converged & (relative(found.attributions, exact) > 0.01)).any()
        assert (found.error >= np.abs(found.deltas) - 1e-9).all()


@pytest.mark.parametrize("n", [M - 2, M, 2 * M, 5 * M])
def test_standard_errors_are_those_of_repeated_runs_or_larger(n: int) -> None:
    ig = frameworks.explainer("callable", TANH)
    runs = [expected(ig, TANH.x, n_steps=n, rng=seed) for seed in range(150)]
    said = np.sqrt(np.mean([found.standard_error**2 for found in runs], axis=0))
    seen = np.std([found.attributions for found in runs], axis=0)
    assert (said > 0.8 * seen).all()
    assert np.median(said / seen) < 10


def test_one_gradient_has_no_estimate_and_never_converges() -> None:
    found = expected(frameworks.explainer("torch", zoo.ENTRIES["linear"]()), TANH.x, np.zeros((1, D)), n_steps=1)
    assert found.standard_error is None
    assert np.isnan(found.error).all()
    assert not found.converged.any()
    two = expected(frameworks.explainer("torch", zoo.ENTRIES["linear"]()), TANH.x, np.zeros((1, D)), n_steps=2)
    assert two.converged.all()


# --- draws -------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(1, 4 * M), st.integers(0, 2**31), st.sampled_from(["callable", "torch"]))
def test_batches_do_not_change_the_draws(n: int, seed: int, kind: str) -> None:
    ig = frameworks.explainer(kind, CLASSES)
    runs = [
        expected(ig, CLASSES.x, n_steps=n, rng=seed, batch_size=size, target="top2") for size in (1, 7, 128, "auto")
    ]
    for found in runs[1:]:
        np.testing.assert_allclose(found.attributions, runs[0].attributions, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.error, runs[0].error, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.path_alphas, runs[0].path_alphas)


def test_a_seed_repeats_and_none_does_not() -> None:
    ig = frameworks.explainer("torch", TANH)
    one, again, other = (expected(ig, TANH.x, rng=seed).attributions for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    fresh = [expected(ig, TANH.x, rng=None).attributions for _ in range(2)]
    assert not np.array_equal(*fresh)


def test_samples_have_draws_of_their_own() -> None:
    found = expected(frameworks.explainer("torch", TANH), np.repeat(TANH.x[:1], 2, axis=0))
    assert not np.array_equal(found.attributions[0], found.attributions[1])
    first = expected(frameworks.explainer("torch", TANH), TANH.x[:1])
    np.testing.assert_allclose(first.attributions[0], found.attributions[0])


@pytest.mark.parametrize(("baselines", "n"), [(1, 50), (9, 54), (30, 120), (80, 320)])
def test_by_default_there_are_four_for_each_baseline_and_at_least_fifty(baselines: int, n: int) -> None:
    found = expected(frameworks.explainer("torch", TANH), TANH.x, np.random.default_rng(0).normal(size=(baselines, D)))
    assert found.n_evals.tolist() == [n] * len(TANH.x)
    assert found.meta["n_steps"] == n
