"""Explanations of the same rows from single baselines, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.explanation import Explanation

Array = NDArray[Any]


def averaged(parts: Sequence[Explanation]) -> Explanation:
    """Return the mean of explanations that differ in their baseline alone.

    Parameters
    ----------
    parts : sequence of Explanation
        In the user's features, by name.

    Returns
    -------
    Explanation
        Attributions, F(x'), gaps and error estimates are means (of the last, a bound); gradients are added up.
    """
    first, count = parts[0], len(parts)

    changed: dict[str, Any] = _paths(parts)
    for name in ("baseline_values", "deltas", "error"):
        changed[name] = np.mean([getattr(part, name) for part in parts], axis=0)
    notes = list(dict.fromkeys(note for part in parts for note in part.meta["notes"]))
    totals = {key: sum(part.meta[key] for part in parts) for key in ("seconds", "model_calls")}
    return replace(
        first,
        attributions={
            name: np.mean([part.attributions[name] for part in parts], axis=0, dtype=np.float64).astype(leaf.dtype)
            for name, leaf in first.attributions.items()
        },
        baselines={name: _mean_start([part.baselines[name] for part in parts]) for name in first.baselines},
        n_evals=np.sum([part.n_evals for part in parts], axis=0),
        converged=np.all([part.converged for part in parts], axis=0),
        meta=first.meta | totals | {"n_baselines": count, "notes": notes},
        **changed,
    )


def _mean_start(starts: Sequence[Array]) -> Array:
    """Return the mean of numbers; of text, what all have in common, or nothing."""
    if starts[0].dtype.kind in "fiub":
        return np.asarray(np.mean(starts, axis=0))
    same = all(np.array_equal(start, starts[0]) for start in starts)
    return starts[0] if same else np.full_like(starts[0], "")


def _paths(parts: Sequence[Explanation]) -> dict[str, Array]:
    """Return the nodes of all paths of a sample one after the other, their weights shared."""
    names = ("path_alphas", "path_values", "path_slopes", "path_weights")
    count = parts[0].values.size
    spans = [[slice(*part.path_offsets[i : i + 2]) for part in parts] for i in range(count)]
    out: dict[str, Array] = {}
    for name in names:
        pieces = [getattr(p, name)[span] for row in spans for p, span in zip(parts, row, strict=True)]
        out[name] = np.concatenate(pieces) if pieces else np.zeros(0)
    out["path_weights"] = out["path_weights"] / len(parts)
    out["path_offsets"] = np.sum([part.path_offsets for part in parts], axis=0)
    return out
