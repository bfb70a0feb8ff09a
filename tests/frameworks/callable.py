"""A zoo entry as a numpy function with its vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tape import Array, Step, value, vjp


class Net:
    """The function, and its `gradient`; leaves come as positions, or as keywords for a dict."""

    def __init__(self, steps: Sequence[Step], keys: tuple[str, ...], dtype: Any) -> None:
        self.steps = [replace(step, weights=tuple(w.astype(dtype) for w in step.weights)) for step in steps]
        self.keys = keys

    def __call__(self, *leaves: Array, **named: Array) -> Array:
        return value(self.steps, leaves or [named[key] for key in self.keys])

    def gradient(self, *leaves: Array, cotangent: Array | None = None, **named: Array) -> Any:
        leaves = leaves or tuple(named[key] for key in self.keys)
        ones = np.ones(len(leaves[0]), dtype=self.steps[-1].weights[0].dtype if self.steps[-1].weights else None)
        found = vjp(self.steps, leaves, ones if cotangent is None else cotangent)
        return dict(zip(self.keys, found, strict=True)) if named else found


build = Net


def tensor(array: Array) -> Array:
    return array
