"""The iris tutorial: a small Keras net, a baseline of the mean with noise, drawn again and again and averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

import pyig

keras = pytest.importorskip("keras")

X, Y = (np.asarray(part) for part in load_iris(return_X_y=True))
X = X.astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(10, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    )
    net.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    net.fit(X, Y, epochs=30, verbose=0)
    return net


def noisy(repeats: int, seed: int) -> Any:
    """Return as many baselines: the mean flower, with noise of standard deviation 0.25."""
    rng = np.random.default_rng(seed)
    return pyig.several((X.mean(0) + rng.normal(0, 0.25, (repeats, 4))).astype(np.float32))


def test_the_gap_is_near_zero_and_repeats_are_averaged(model: Any) -> None:
    ig, flowers, classes = pyig.IntegratedGradients(model), X[::30], Y[::30]
    found = ig.explain(flowers, noisy(5, seed=1), target=classes, progress=False)
    assert np.abs(found.deltas).max() < 5e-3
    assert found.meta["n_baselines"] == 5
    single = [ig.explain(flowers, each, target=classes, rtol=1e-3, progress=False) for each in noisy(5, seed=1).items]
    mean = np.mean([one.attributions for one in single], axis=0)
    assert np.abs(found.attributions - mean).sum() < 0.02 * np.abs(mean).sum()
    np.testing.assert_allclose(
        found.values, [model.predict(flowers, verbose=0)[i, c] for i, c in enumerate(classes)], rtol=1e-4
    )


def test_a_seed_gives_the_same_and_another_one_does_not(model: Any) -> None:
    ig = pyig.IntegratedGradients(model)
    one, same, other = (
        ig.explain(X[:3], noisy(3, seed), target=0, n_steps=32, progress=False).attributions for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(one, same, rtol=1e-6)
    assert np.abs(one - other).max() > 1e-4
