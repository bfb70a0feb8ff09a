"""Expected gradients over one small background, and what they ought to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import zoo

import pyig

M, D = 9, 5
BACKGROUND = np.random.default_rng(0).normal(size=(M, D))
CLASSES = zoo.ENTRIES["classes"]()
TANH = zoo.ENTRIES["tanh"]()


def reference(entry: Any, background: Any, column: int = 0) -> Any:
    """Return the exact attributions of a network with one hidden layer over a background."""
    w, b = entry.steps[0].weights
    v = entry.steps[2].weights[0][:, column] if entry.steps[2].weights else np.ones(1)
    every = [zoo.ridges(w, b, v, entry.steps[1].op, entry.x, start[None]) for start in background]
    return np.mean(every, axis=0)


def relative(found: Any, wanted: Any) -> Any:
    rest = tuple(range(1, wanted.ndim))
    return np.abs(found - wanted).sum(rest) / np.abs(wanted).sum(rest)


def expected(ig: pyig.IntegratedGradients, x: Any, background: Any = BACKGROUND, **options: Any) -> pyig.Explanation:
    return ig.explain(x, background, method="expected", **({"rng": 0, "progress": False} | options))
