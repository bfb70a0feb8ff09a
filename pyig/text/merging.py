"""Several paths put together as one sample: the windows of a long text, or the pieces of a way through words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyig.contracts import Ints
from pyig.explanation import Explanation
from pyig.explanation.record import PER_NODE


def groups_of(owner: Ints) -> list[Ints]:
    """Return the rows of each owner, from 0 on."""
    return [np.flatnonzero(owner == row) for row in range(int(owner.max()) + 1)]


def merged(found: Explanation, groups: Sequence[Ints], trees: dict[str, Any], numbers: dict[str, Any]) -> Explanation:
    """Return an explanation with one sample for each group of rows.

    Gradients are added up, a group has converged where all of it has, and its target is that of its last row. Its path
    has no record: every row has its own.

    Parameters
    ----------
    trees : dict
        The new attributions, inputs and baselines.
    numbers : dict of float64
        The new values, gaps and errors.
    """
    changed: dict[str, Any] = {
        "n_evals": np.stack([found.n_evals[rows].sum(axis=0) for rows in groups]),
        "converged": np.stack([found.converged[rows].all(axis=0) for rows in groups]),
        "path_offsets": np.zeros(numbers["values"].size + 1, dtype=np.int64),
        **{name: np.zeros(0) for name in PER_NODE},
    }
    if found.targets is not None:
        changed["targets"] = found.targets[[rows[-1] for rows in groups]]
    return replace(found, feature_names=None, **trees, **numbers, **changed)
