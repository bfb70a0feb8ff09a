"""The windows of a long text put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyig.explanation import Explanation
from pyig.text.encoded import PER_TOKEN, Encoded
from pyig.text.merging import groups_of, merged
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
    groups = groups_of(owner)
    texts = [_joined([flat[int(i)] for i in rows], text) for rows, text in zip(groups, whole, strict=True)]
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
    trees = {
        "attributions": {LEAF: out},
        "inputs": {LEAF: tokens.astype(np.str_)},
        "baselines": {LEAF: starts.astype(np.str_)},
    }
    numbers = {
        name: np.stack([getattr(found, name)[rows].mean(axis=0) for rows in groups])
        for name in ("values", "baseline_values", "deltas", "error")
    }
    return merged(found, groups, trees, numbers), tuple(texts)


def _joined(parts: Sequence[Encoded], whole: Encoded) -> Encoded:
    chosen: dict[str, Any] = {name: tuple(item for part in parts for item in getattr(part, name)) for name in PER_TOKEN}
    return replace(whole, **chosen, segments=None)
