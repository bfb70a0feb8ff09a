"""The windows of a long text put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.record import PER_NODE
from pyig.text.encoded import Encoded
from pyig.text.result import LEAF


def rejoined(
    found: Explanation, flat: Sequence[Encoded], owner: Any, whole: Sequence[Encoded]
) -> tuple[Explanation, tuple[Encoded, ...]]:
    """Return one sample per text.

    F of a text in windows is the mean over its windows, so that attributions divided by their number still add up to
    F(x) - F(x'). Its path has no record: each window has its own.
    """
    if len(flat) == len(whole):
        return found, tuple(flat)
    counts = np.bincount(owner, minlength=len(whole))
    texts = [_joined([flat[int(i)] for i in np.flatnonzero(owner == row)], whole[row]) for row in range(len(whole))]
    width = max(map(len, texts))
    phi = found.attributions[LEAF]
    out = np.zeros((len(whole), *phi.shape[1:-1], width), dtype=phi.dtype)
    tokens = np.full((len(whole), width), "", dtype=object)
    starts = np.full((len(whole), width), "", dtype=object)
    reached = [0] * len(whole)
    for i, row in enumerate(owner):
        count = len(flat[i])
        place = slice(reached[row], reached[row] + count)
        out[row, ..., place] = phi[i, ..., :count] / counts[row]
        tokens[row, place], starts[row, place] = found.inputs[LEAF][i, :count], found.baselines[LEAF][i, :count]
        reached[row] += count
    alone = [np.flatnonzero(owner == row) for row in range(len(whole))]
    changed: dict[str, Any] = {
        name: np.stack([getattr(found, name)[rows].mean(axis=0) for rows in alone])
        for name in ("values", "baseline_values", "deltas", "error")
    }
    changed["n_evals"] = np.stack([found.n_evals[rows].sum(axis=0) for rows in alone])
    changed["converged"] = np.stack([found.converged[rows].all(axis=0) for rows in alone])
    if found.targets is not None:
        changed["targets"] = np.stack([found.targets[rows[0]] for rows in alone])
    paths = changed["values"].size
    changed |= {name: np.zeros(0) for name in PER_NODE} | {"path_offsets": np.zeros(paths + 1, dtype=np.int64)}
    joined = replace(
        found,
        attributions={LEAF: out},
        inputs={LEAF: tokens.astype(np.str_)},
        baselines={LEAF: starts.astype(np.str_)},
        feature_names=None,
        **changed,
    )
    return joined, tuple(texts)


def _joined(parts: Sequence[Encoded], whole: Encoded) -> Encoded:
    chosen: dict[str, Any] = {
        name: tuple(item for part in parts for item in getattr(part, name))
        for name in ("ids", "tokens", "spans", "special")
    }
    return replace(whole, **chosen, segments=None)
