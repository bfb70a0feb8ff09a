"""Models whose gradients are not those of their values: what is claimed of them, and what no scalar can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import pyig

Floats = NDArray[np.float64]
Gradient = Callable[[Floats], Floats]
WEIGHTS = np.random.default_rng(3).normal(size=(6, 9)) / 2
OUT = np.random.default_rng(4).normal(size=9)
X = np.random.default_rng(5).normal(size=(12, 6)) * 2


def value(x: Floats) -> Floats:
    return np.tanh(x @ WEIGHTS) @ OUT


def gradient(x: Floats) -> Floats:
    return (OUT / np.cosh(x @ WEIGHTS) ** 2) @ WEIGHTS.T


def where(x: Floats) -> Floats:
    """How far along its path from 0 each point is: all of a path's points lie on one ray."""
    ends = X / np.linalg.norm(X, axis=1, keepdims=True)
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    row = (unit @ ends.T).argmax(axis=1)
    return np.linalg.norm(x, axis=1) / np.linalg.norm(X[row], axis=1)


def across(x: Floats) -> Floats:
    """Per point, a direction with nothing along its path."""
    fixed = np.linspace(1, 2, 6)
    size = (x * x).sum(axis=1, keepdims=True)
    return fixed - x * (x @ fixed)[:, None] / np.where(size > 0, size, 1)


def explain(lie: Gradient, f: Gradient = value, **options: Any) -> pyig.Explanation:
    explainer = pyig.IntegratedGradients(f, gradient=lie)
    return explainer.explain(X, **{"method": "adaptive", "progress": False, "max_evals": 129} | options)


def truth() -> Floats:
    return explain(gradient, method="riemann_middle", n_steps=4096).attributions


def noisy(share: float) -> Gradient:
    """The same error each time for the same point."""

    def lie(x: Floats) -> Floats:
        seeds = np.abs(x).sum(axis=1).view(np.int64)
        errors = np.stack([np.random.default_rng(seed).normal(size=6) for seed in seeds])
        return gradient(x) * (1 + share * errors)

    return lie


def rescaled(factor: float, start: float, stop: float) -> Gradient:
    def lie(x: Floats) -> Floats:
        at = where(x)
        return gradient(x) * np.where((at >= start) & (at <= stop), factor, 1.0)[:, None]

    return lie


LIES: dict[str, Gradient] = {
    "twice as large": lambda x: 2 * gradient(x),
    "3 % too large": lambda x: 1.03 * gradient(x),
    "of the other sign": lambda x: -gradient(x),
    "nothing at all": lambda x: 0 * gradient(x),
    "larger in the first half": rescaled(1.5, 0, 0.5),
    "larger at the end": rescaled(1.5, 0.8, 1),
    "dead in a stretch": rescaled(0.0, 0.3, 0.6),
    "of another function": lambda x: (OUT[::-1] / np.cosh(x @ WEIGHTS) ** 2) @ WEIGHTS.T,
    "at another point": lambda x: gradient(x + 0.3),
    "of one feature too many": lambda x: gradient(x) + np.eye(6)[0],
    "noisy": noisy(0.5),
}


def test_the_truth_converges() -> None:
    found = explain(gradient)
    assert found.converged.all()
    assert found.n_evals.mean() < 12
    size = np.abs(truth()).sum(axis=1)
    assert (np.abs(found.attributions - truth()).sum(axis=1) <= 0.01 * size).all()


@pytest.mark.parametrize("confidence", ["typical", "p95", "strict"])
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_that_changes_the_integral_is_not_called_converged(lie: str, confidence: str) -> None:
    found = explain(LIES[lie], confidence=confidence)
    size = np.abs(found.attributions).sum(axis=1)
    off = np.abs(found.deltas) > 0.011 * size  # the model's values tell
    assert off.any()
    assert not found.converged[off].any()
    assert (found.error[off] >= 0.99 * np.abs(found.deltas[off])).all()
    assert "not converged" in found.verdict()


@pytest.mark.parametrize("lie", ["larger in the first half", "dead in a stretch", "of another function", "noisy"])
def test_nothing_that_is_called_converged_misses_its_completeness(lie: str) -> None:
    for rtol in (0.1, 0.03, 1e-3):
        found = explain(LIES[lie], rtol=rtol)
        size = np.abs(found.attributions).sum(axis=1)
        assert (np.abs(found.deltas) <= rtol * size * (1 + 1e-6))[found.converged].all()


def test_lies_about_log_odds_are_caught_in_the_probability() -> None:
    def probability(x: Floats) -> Floats:
        return 1 / (1 + np.exp(-value(x)))

    def slope(x: Floats, share: float = 1.0) -> Floats:
        p = probability(x)
        return share * gradient(x) * (p * (1 - p))[:, None]

    options = {"output_kind": "probabilities", "f": probability}
    assert explain(slope, **options).converged.all()
    found = explain(lambda x: slope(x, 1.1), **options)
    off = np.abs(found.deltas) > 0.011 * np.abs(found.attributions).sum(axis=1)
    assert off.mean() > 0.5
    assert not found.converged[off].any()


@pytest.mark.parametrize("where_nan", ["value", "gradient"])
def test_a_marked_nan_is_never_converged(where_nan: str) -> None:
    def spoilt(f: Gradient) -> Gradient:
        def call(x: Floats) -> Floats:
            found = f(x)
            bad = (np.linalg.norm(x, axis=1) > np.median(np.linalg.norm(X, axis=1))) & (where(x) < 0.9)
            found[bad] = np.nan
            return found

        return call

    if where_nan == "value":
        found = explain(gradient, spoilt(value), nan_policy="mark")
    else:
        found = explain(spoilt(gradient), nan_policy="mark")
    clean = explain(gradient)
    hit = ~found.converged
    assert hit.any()
    assert not hit.all()
    assert np.isfinite(found.attributions[~hit]).all()
    np.testing.assert_allclose(found.attributions[~hit], clean.attributions[~hit], rtol=0, atol=1e-12)
    with pytest.raises(pyig.PyigError, match="finite"):
        explain(spoilt(gradient))


def test_noise_across_the_path_shows_in_the_estimate() -> None:
    def lie(x: Floats) -> Floats:
        seeds = np.abs(x).sum(axis=1).view(np.int64)
        return gradient(x) + across(x) * np.array([np.random.default_rng(s).normal() for s in seeds])[:, None]

    found = explain(lie)
    assert not found.converged.any()
    gaps = np.abs(found.deltas) / np.abs(found.attributions).sum(axis=1)
    assert np.median(gaps) < 0.01  # small only by cancellation: the vector estimate tells
    assert "small only by cancellation" in found.verdict()


def test_a_smooth_error_across_the_path_is_beyond_any_scalar() -> None:
    """What `docs/numerics.md` says cannot be seen: gradients of a function that differs off the path alone."""

    def lie(x: Floats) -> Floats:
        return gradient(x) + across(x)

    found = explain(lie)
    assert found.converged.mean() > 0.9
    missed = np.abs(found.attributions - truth()).sum(axis=1) / np.abs(truth()).sum(axis=1)
    assert missed.min() > 0.1
