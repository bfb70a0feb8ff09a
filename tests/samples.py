"""Explanations made by hand: exact, small, one per shape that a view or a file meets.

F(x) = sum of w * x + a quadratic along the path, so that attributions, F on the path and the gap are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from pyig.explanation import Explanation

NODES, WEIGHTS = np.polynomial.legendre.leggauss(5)
ALPHAS, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
META = {
    "method": "gausslegendre",
    "n_steps": 5,
    "rtol": 0.01,
    "value": None,
    "backend": "callable",
    "device": "cpu",
    "model": "Net",
    "layer": None,
    "n_baselines": 1,
    "seconds": 0.125,
    "batch_rows": 15,
    "model_calls": 1,
    "versions": {"pyig": "0.1.0", "numpy": "2.0.0"},
    "notes": [],
    "complete": True,
}
FEATURES = ["age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "cp"]


def make(inputs: Any, attributions: Any, baselines: Any = 0.0, gap: float = 0.0, **changes: Any) -> Explanation:
    """Build an explanation around given attributions: F rises as a + a^2 over 2, and misses them by `gap`."""
    sample = np.asarray(inputs)
    n = len(sample)
    attributions = np.asarray(attributions)
    k = () if attributions.ndim == sample.ndim else attributions.shape[1:2]
    shape = (n, *k)
    total = attributions.sum(axis=tuple(range(len(shape), attributions.ndim)), dtype=np.float64)
    change = total - gap
    start = np.full(shape, 0.25)
    paths = int(np.prod(shape))
    rise = np.tile((ALPHAS + ALPHAS**2) / 2, paths) * np.repeat(change.ravel(), 5)
    fields: dict[str, Any] = {
        "attributions": attributions,
        "inputs": inputs,
        "baselines": np.broadcast_to(np.asarray(baselines, dtype=sample.dtype), (1, *sample.shape[1:])),
        "values": start + change,
        "baseline_values": start,
        "deltas": np.full(shape, float(gap)),
        "error": np.full(shape, 0.001),
        "n_evals": np.full(shape, 5),
        "converged": np.full(shape, True),
        "path_offsets": np.arange(paths + 1) * 5,
        "path_alphas": np.tile(ALPHAS, paths),
        "path_values": np.repeat(start.ravel(), 5) + rise,
        "path_slopes": np.tile((1 + 2 * ALPHAS) / 2, paths) * np.repeat(total.ravel(), 5),
        "path_weights": np.tile(WEIGHTS, paths),
        "meta": META,
    }
    return Explanation(**(fields | changes))


def table(gap: float = 0.002, **changes: Any) -> Explanation:
    """Three patients, twelve named features, one target each."""
    rng = np.random.default_rng(7)
    x = np.array(
        [
            [63.0, 1, 145, 233, 1, 150, 0, 2.3, 3, 0, 6, 1],
            [67.0, 1, 160, 286, 0, 108, 1, 1.5, 2, 3, 3, 4],
            [37.0, 1, 130, 250, 0, 187, 0, 3.5, 3, 0, 3, 3],
        ]
    )
    phi = rng.normal(size=(3, 12)) * np.array([0.05, 0.3, 0.1, 0.04, 0.02, 0.25, 0.3, 0.6, 0.1, 0.9, 0.5, 0.4])
    phi = phi * (x != x.mean(0))
    return make(x, phi, x.mean(0), gap, **({"targets": [1, 1, 0], "feature_names": FEATURES} | changes))


def frame() -> Explanation:
    """The same patients as a DataFrame with names for rows."""
    plain = table()
    labels = {"columns": FEATURES, "index": ["p-1", "p-2", "p-3"]}
    return replace(
        plain,
        inputs=pd.DataFrame(plain.inputs, **labels),
        attributions=pd.DataFrame(plain.attributions, **labels),
        baselines=pd.DataFrame(plain.baselines, columns=FEATURES, index=["mean"]),
    )


def several_targets() -> Explanation:
    """Two samples of three features, two targets each, with names for the outputs."""
    x = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    phi = np.array([[[0.5, -0.2, 0.1], [0.1, 0.4, -0.6]], [[0.3, 0.3, 0.3], [-0.1, 0.0, 0.2]]])
    return make(x, phi, targets=[[0, 2], [2, 1]], output_names=["ant", "bee", "<cow>"])


def picture(shape: tuple[int, ...] = (16, 20), n: int = 1, normalised: bool = False) -> Explanation:
    """Draw a ring on a ramp: its left half speaks for, its right half against; all else is exactly zero."""
    channels = [axis for axis, size in enumerate(shape) if size <= 4 and len(shape) == 3]
    sides = [size for axis, size in enumerate(shape) if axis not in channels]
    rows, columns = np.ogrid[-1 : 1 : sides[0] * 1j, -1 : 1 : sides[1] * 1j]
    radius = np.hypot(rows, columns)
    ring = np.exp(-(((radius - 0.6) / 0.15) ** 2)) * (radius < 0.95) * (radius > 0.25)
    image = np.clip(0.15 + 0.3 * (columns + 1) / 2 + 0.5 * ring, 0, 1)
    phi = ring * np.where(columns < 0, 1.0, -0.6) * (np.abs(columns) > 0.1)
    if channels:
        tints = np.linspace(1.0, 0.5, shape[channels[0]])
        image = np.stack([image * tint for tint in tints], axis=channels[0])
        phi = np.stack([phi * weight for weight in tints / tints.sum()], axis=channels[0])
    x = np.repeat(image[None], n, axis=0).astype(np.float32)
    if normalised:
        x = (x - x.mean()) / x.std()
    return make(x, np.repeat(phi[None], n, axis=0).astype(np.float32) / 50, targets=[3] * n)


def mixed() -> Explanation:
    """A dict of a lone number, a table and integer codes that are held fixed."""
    leaves = {"age": np.array([61.0, 35.0]), "lab": np.array([[1.0, 2.0], [0.5, 4.0]]), "ward": np.array([[3], [1]])}
    phi = {"age": np.array([0.2, -0.1]), "lab": np.array([[0.1, 0.3], [0.0, -0.4]]), "ward": np.zeros((2, 1))}
    total = phi["age"] + phi["lab"].sum(1)
    base = make(np.zeros((2, 1)), total[:, None])
    baselines = {"age": np.array([50.0]), "lab": np.zeros((1, 2)), "ward": leaves["ward"]}
    return replace(base, attributions=phi, inputs=leaves, baselines=baselines)


def sequence() -> Explanation:
    """Two samples of six steps and sixty channels: neither a table nor a picture."""
    rng = np.random.default_rng(3)
    return make(rng.normal(size=(2, 6, 60)), rng.normal(size=(2, 6, 60)))


def empty() -> Explanation:
    """No samples at all."""
    return table()[:0]


ALL: dict[str, Callable[[], Explanation]] = {
    "table": table,
    "frame": frame,
    "several_targets": several_targets,
    "picture": picture,
    "mixed": mixed,
    "sequence": sequence,
    "empty": empty,
}
