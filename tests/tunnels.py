"""A small model for noise tunnels, and the noise that they add to its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import zoo

import pyig
from pyig.streams import entropy, stream

X = np.array([[1.0, -2.0, 0.5], [0.3, 0.0, 2.0]])
W = np.array([1.5, -1.0, 0.25])
KINDS = ("smoothgrad", "smoothgrad_sq", "vargrad")
CLASSES = zoo.ENTRIES["classes"]()


def squares() -> pyig.IntegratedGradients:
    """Return w . x^2, whose attributions from zero are w x^2."""
    return pyig.IntegratedGradients(lambda x: (W * x**2).sum(1), gradient=lambda x: 2 * W * x)


def tunnel(ig: pyig.IntegratedGradients, x: Any, *given: Any, **options: Any) -> pyig.Explanation:
    return pyig.NoiseTunnel(ig).explain(
        x, *given, **({"stdevs": 0.5, "draws": 5, "rng": 0, "n_steps": 4, "progress": False} | options)
    )


def noise(seed: int, draws: int, shape: tuple[int, ...]) -> Any:
    """Return what the tunnel adds: a stream for each draw of each sample."""
    words = entropy(np.random.default_rng(seed))
    one = [[stream(words, d, s).standard_normal(shape[1:]) for s in range(shape[0])] for d in range(draws)]
    return np.array(one)
