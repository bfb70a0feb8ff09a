"""Several explanations of one model as one, sample after sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyig.errors import InputError
from pyig.explanation.record import PER_NODE, PER_PATH, Explanation
from pyig.tree import flatten, names, unflatten


def concatenate(parts: Sequence[Explanation]) -> Explanation:
    """Join explanations whose inputs have one structure and one shape behind the batch axis.

    Parameters
    ----------
    parts : sequence of Explanation
        At least one. Labels and `meta` are those of the first.

    Raises
    ------
    InputError
        When they do not fit one another.
    """
    if not parts:
        raise InputError("expected at least one explanation to join; got none")
    first = parts[0]
    if len(parts) == 1:
        return first
    changed: dict[str, Any] = {}
    for name in ("attributions", "inputs", "baselines"):
        changed[name] = _joined(name, [_full(part, name) for part in parts])
    if all(part.standard_error is not None for part in parts):
        changed["standard_error"] = _joined("standard_error", [part.standard_error for part in parts])
    for name in (*PER_PATH, *PER_NODE):
        changed[name] = np.concatenate([getattr(part, name) for part in parts])
    if all(part.targets is not None for part in parts):
        changed["targets"] = np.concatenate([part.targets for part in parts if part.targets is not None])
    ends = np.cumsum([0, *(part.path_offsets[-1] for part in parts[:-1])])
    offsets = [part.path_offsets[:-1] + end for part, end in zip(parts, ends, strict=True)]
    changed["path_offsets"] = np.concatenate([*offsets, [ends[-1] + parts[-1].path_offsets[-1]]])
    return replace(first, **({"targets": None, "standard_error": None} | changed))


def _full(part: Explanation, name: str) -> Any:
    """Return a structure with one row per sample; a baseline that is shared is spelled out."""
    leaves, spec = flatten(getattr(part, name))
    rows = len(part)
    return unflatten(spec, [leaf if len(leaf) == rows else np.repeat(leaf, rows, axis=0) for leaf in leaves])


def _joined(what: str, trees: Sequence[Any]) -> Any:
    flat = [flatten(tree) for tree in trees]
    spec = flat[0][1]
    shapes = [[leaf.shape[1:] for leaf in leaves] for leaves, _ in flat]
    if any(shape != shapes[0] for shape in shapes) or any(names(s) != names(spec) for _, s in flat):
        raise InputError(f"expected explanations of one structure and shape to join; got {what} of {shapes}")
    return unflatten(spec, [np.concatenate(leaves) for leaves in zip(*(leaves for leaves, _ in flat), strict=True)])
