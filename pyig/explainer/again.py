"""To ask again what was asked before: one sample of an input, and the options that an explanation remembers."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyig import tree
from pyig.baselines import at_layer, several
from pyig.calling import static
from pyig.explanation import Explanation


def sample_of(x: Any, i: int) -> Any:
    """Return one sample of an input, with its batch axis."""
    return x.iloc[i : i + 1] if tree.is_frame(x) else tree.tree_map(lambda leaf: leaf[i : i + 1], x)


def option_of_sample(value: Any, i: int, samples: int) -> Any:
    """Return what of an option belongs to a sample: its entry or row, where there is one for each.

    Examples
    --------
    >>> option_of_sample([3, 5], 1, 2), option_of_sample("zero", 1, 2)
    ([5], 'zero')
    """
    if samples == 1:
        return value
    if tree.is_frame(value):
        return value.iloc[i : i + 1] if len(value) == samples else value
    if isinstance(value, several):
        return several([option_of_sample(item, i, samples) for item in value.items])
    if isinstance(value, at_layer) and value.keep is not None and len(value.keep) == samples:
        return at_layer(value.value, value.keep[i : i + 1])
    if isinstance(value, dict):
        return {key: option_of_sample(part, i, samples) for key, part in value.items()}
    whole = isinstance(value, (list, tuple)) and all(isinstance(entry, (int, np.integer)) for entry in value)
    if whole and len(value) == samples:
        return [value[i]]
    if isinstance(value, (list, tuple)) and any(hasattr(entry, "shape") for entry in value):
        return type(value)(option_of_sample(entry, i, samples) for entry in value)
    shape: tuple[int, ...] = tuple(getattr(value, "shape", ()))
    return value[i : i + 1] if shape and shape[0] == samples and not isinstance(value, static) else value


def remembered(explanation: Explanation) -> dict[str, Any]:
    """Return the options of `explain` that an explanation remembers."""
    meta, found = explanation.meta, dict[str, Any]()
    if explanation.targets is not None:
        targets = explanation.targets
        found["target"] = int(targets.ravel()[0]) if targets.size == 1 else targets if targets.ndim == 1 else None
    if meta.get("n_steps"):
        found |= {"method": meta["method"], "n_steps": meta["n_steps"]}
    if meta.get("value") not in (None, "output"):
        found["value"] = meta["value"]
    if meta.get("n_baselines", 1) == 1 and any(np.any(leaf.baselines) for leaf in explanation.leaves()):
        found["baselines"] = explanation.baselines
    return {"rtol": meta.get("rtol") or 0.01} | {name: value for name, value in found.items() if value is not None}
