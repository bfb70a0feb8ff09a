"""Build a zoo entry in each framework, and make its explainer: `explainer(name, entry)`, one file per framework."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import pyig
from pyig import tree


def framework(name: str) -> Any:
    """Return the module of a framework: ``build(steps, keys, dtype)`` and ``tensor(array)``."""
    return importlib.import_module(f"frameworks.{name}")


def explainer(name: str, entry: Any, dtype: Any = np.float64) -> pyig.IntegratedGradients:
    """Return the explainer of a zoo entry in a framework."""
    keys = tuple(entry.x) if isinstance(entry.x, dict) else ()
    built = framework(name).build(entry.steps, keys, dtype)
    options = {"gradient": built.gradient} if name == "callable" else {}
    return pyig.IntegratedGradients(built, backend=None if options else name, **options)


def floats(x: Any, dtype: Any) -> Any:
    """Cast the floating leaves of a numpy structure."""
    return tree.tree_map(lambda a: a.astype(dtype) if np.issubdtype(a.dtype, np.floating) else a, x)


def explain(name: str, entry: Any, dtype: Any = np.float64, **options: Any) -> pyig.Explanation:
    """Explain a zoo entry as it stands, from numpy arrays of the given dtype."""
    given = {"baselines": floats(entry.baseline, dtype), "target": entry.target} | options
    return explainer(name, entry, dtype).explain(floats(entry.x, dtype), **given)
