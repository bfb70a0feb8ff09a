"""Running moments against numpy on all values at once, in any order and with any counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyig.sampling.moments import Moments

RNG = np.random.default_rng(0)


def run(values: np.ndarray, order: int = 4) -> Moments:
    """Feed values (n, R, D) one by one."""
    moments = Moments(*values.shape[1:], order)
    for value in values:
        moments.add(np.arange(values.shape[1]), value)
    return moments


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.integers(2, 30), st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_agrees_with_numpy(seed: int, n: int, offset: float, scale: float) -> None:
    values = offset + scale * np.random.default_rng(seed).gamma(2.0, size=(n, 3, 4))
    found, noise = run(values), (values - offset) / scale  # as rounded beside a large offset: what really went in
    np.testing.assert_allclose(found.mean, offset + scale * noise.mean(0), rtol=1e-12, atol=1e-9 * scale)
    np.testing.assert_allclose(found.variance, scale**2 * noise.var(0), rtol=1e-6)
    np.testing.assert_allclose(found.error_of_mean(), scale * noise.std(0, ddof=1) / np.sqrt(n), rtol=1e-6)
    fourth = ((noise - noise.mean(0)) ** 4).mean(0)
    spread = np.sqrt(np.maximum(0, fourth - (n - 3) / (n - 1) * noise.var(0) ** 2) / n)
    np.testing.assert_allclose(found.error_of_variance(), scale**2 * spread, rtol=1e-3, atol=1e-6 * scale**2)


def test_digits_survive_a_large_mean() -> None:
    values = 1e8 + RNG.normal(size=(500, 1, 3)) / 10
    found = run(values, order=2)
    np.testing.assert_allclose(found.variance, values.var(0), rtol=1e-6)
    naive = (values**2).mean(0) - values.mean(0) ** 2
    assert np.abs(naive - values.var(0)).max() > 0.1 * values.var(0).max(), "what sums of squares would give"


def test_rows_have_counts_of_their_own() -> None:
    values = RNG.normal(size=(6, 3, 2))
    moments = Moments(3, 2)
    for k, value in enumerate(values):
        rows = np.array([0, 2]) if k % 2 else np.array([0])
        moments.add(rows, value[rows])
    assert moments.count.tolist() == [6, 0, 3]
    np.testing.assert_allclose(moments.mean[0], values[:, 0].mean(0))
    np.testing.assert_allclose(moments.mean[2], values[1::2, 2].mean(0))
    assert np.isnan(moments.variance[1]).all()
    assert np.isnan(moments.error_of_mean()[1]).all()
    assert np.isfinite(moments.error_of_mean()[[0, 2]]).all()


def test_one_value_has_no_standard_error() -> None:
    moments = run(np.ones((1, 2, 2)))
    assert np.isnan(moments.error_of_mean()).all()
    assert np.isnan(moments.error_of_variance()).all()
    np.testing.assert_array_equal(moments.variance, 0)


@pytest.mark.parametrize("n", [20, 200])
def test_the_standard_error_of_a_variance_is_that_of_repeated_runs(n: int) -> None:
    found = run(np.random.default_rng(5).normal(size=(n, 4000, 1)))
    seen = found.variance.std()
    said = np.sqrt((found.error_of_variance() ** 2).mean())
    assert 0.75 < said / seen < 1.15
