"""Rows for the models of `metadata_models`, and what every explanation of them has to keep."""

from __future__ import annotations

from typing import Any

import numpy as np

GL50: dict[str, Any] = {"n_steps": 50, "progress": False}
ROWS = [
    {"zip_codes": ["94043", "10001"], "age": 0.3, "height": -1.0},
    {"zip_codes": ["94105", ""], "age": 1.5, "height": 0.2},
    {"zip_codes": ["60601", "00000"], "age": -0.4, "height": 0.7},
]
SPARSE: dict[str, Any] = {
    "words": [
        {"values": ["good", "film"], "indices": [0, 3], "weights": [2.0, 0.5]},
        {"values": ["bad"], "indices": [1]},
        {"values": [], "indices": []},
    ],
    "x": [[0.1, 0.2], [1.0, -1.0], [0.5, 0.5]],
}


def total(explanation: Any) -> Any:
    """Sum the attributions of every path."""
    axes = explanation.values.ndim
    parts = [np.asarray(leaf, np.float64) for leaf in explanation.attributions.values()]
    return sum(part.sum(axis=tuple(range(axes, part.ndim))) for part in parts)


def completes(explanation: Any, within: float = 2e-6) -> bool:
    """Tell whether the features' attributions add up to F(x) - F(x')."""
    gap = total(explanation) - (explanation.values - explanation.baseline_values)
    return bool(np.abs(gap).max() < within) and bool(np.abs(gap - explanation.deltas).max() < within)
