"""Mean slopes in TensorFlow are those between the ends, however close these are."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from pyig.structure.keras_secant import mean_slope  # noqa: E402


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 6e-8), ("float64", 1e-12)])
@pytest.mark.parametrize("width", [0.0, 1e-12, 1e-8, 1e-5, 1e-3, 0.1, 1.0, 5.0])
def test_close_ends_lose_no_digits(width: float, dtype: str, bound: float) -> None:
    start = tf.cast(tf.linspace(tf.constant(-4.0, tf.float64), 4.0, 33)[None], dtype)
    stop = start + tf.cast(width, dtype)
    a, b = (end.numpy().astype(np.longdouble) for end in (start, stop))
    with np.errstate(invalid="ignore"):  # 0 / 0, which `where` leaves out
        # tanh b - tanh a = sinh(b - a) / (cosh a cosh b)
        exact = np.where(a == b, 1 / np.cosh(a) ** 2, np.sinh(b - a) / (b - a) / (np.cosh(a) * np.cosh(b)))
    found = mean_slope(tf.tanh, start, stop)
    assert found.dtype == tf.float64
    assert np.abs((found.numpy() - exact) / exact).max() < bound


def test_a_kink_between_close_ends_is_seen() -> None:
    start, stop = (tf.constant([ends], tf.float64) for ends in ([-1e-9, 1 - 1e-9], [3e-9, 1 + 3e-9]))
    found = mean_slope(lambda z: tf.clip_by_value(z, 0.0, 1.0), start, stop)
    np.testing.assert_allclose(found, [[0.75, 0.25]], rtol=0, atol=1e-6)


def test_one_start_serves_all_rows() -> None:
    start, stop = tf.constant([[0.5, -1.0]], tf.float64), tf.constant([[1.0, 1.0], [2.0, -1.0]], tf.float64)
    np.testing.assert_allclose(mean_slope(tf.square, start, stop), [[1.5, 0.0], [2.5, -2.0]], rtol=0, atol=1e-14)
