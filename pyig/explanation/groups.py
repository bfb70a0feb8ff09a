"""Features gathered for a chart of a few lines: the strongest by name, regions of a picture, steps of a series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyig.contracts import Floats, Ints
from pyig.errors import InputError
from pyig.explanation.arrays import Leaf
from pyig.explanation.layout import layout_of
from pyig.explanation.table import feature_labels

if TYPE_CHECKING:
    from pyig.explanation.record import Explanation

REGIONS = 14  # along the longer side of a picture, as the interactive view sums them


class Groups(NamedTuple):
    """Which line every scalar feature of a sample adds to.

    Attributes
    ----------
    labels : int64 (D,)
        Number of the line; the last one is that of all others, where there are any. One more stands for no line.
    names : tuple of str
        Name of each line.
    others : int
        How many features, regions or steps the last line gathers; 0 where every one has a line of its own.
    """

    labels: Ints
    names: tuple[str, ...]
    others: int


def groups_of(
    explanation: Explanation, i: int, k: int, top: int = 8, features: Sequence[int | str] | None = None
) -> Groups:
    """Choose the lines: the strongest of sample `i` for its k-th target, or the features that are named.

    A picture counts by regions of a grid of 14 by 14, channels summed up; a series by its steps; all else by features.

    Raises
    ------
    InputError
        For `top` below 1, or a feature that is not there.
    """
    unit, titles = _units(explanation, i)
    phi = np.bincount(unit, weights=flat_attributions(explanation, i, k), minlength=len(titles))
    if features is None:
        if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
            raise InputError(f"expected top= as a whole number of at least 1; got {top!r}")
        order = np.argsort(-np.abs(phi), kind="stable")
        order = order[phi[order] != 0] if np.any(phi) else order
        # A remainder of one is shown by name instead.
        chosen = order if len(order) <= top + 1 else order[:top]
    else:
        chosen = np.array([_found(feature, titles) for feature in features], dtype=np.int64)
        if not len(chosen) or len(set(chosen.tolist())) < len(chosen):
            raise InputError(f"expected features= as several different features; got {list(features)!r}")
    line = np.full(len(titles), len(chosen), dtype=np.int64)
    line[chosen] = np.arange(len(chosen))
    names = [titles[unit] for unit in chosen.tolist()]
    # What stands between words is no feature; it adds nothing, and is in the last line or in none.
    others = sum(bool(title) for title in titles) - sum(map(bool, names))
    if others:
        names.append(f"{others} other{'' if others == 1 else 's'}")
    return Groups(line[unit], tuple(names), others)


def flat_attributions(explanation: Explanation, i: int, k: int) -> Floats:
    """Return the attributions of one path, leaf after leaf, float64 (D,)."""
    single = explanation.values.ndim == 1
    parts = [leaf.attributions[i] if single else leaf.attributions[i, k] for leaf in explanation.leaves()]
    return np.concatenate([np.ravel(part).astype(np.float64) for part in parts])


def _units(explanation: Explanation, i: int) -> tuple[Ints, list[str]]:
    """Return for every scalar feature the unit that it belongs to, and the units' names."""
    leaves, units, titles = explanation.leaves(), [], list[str]()
    several = len(leaves) > 1
    labels: list[str] | None = None
    for place, leaf in enumerate(leaves):
        shape = leaf.inputs.shape[1:]
        before = f"{leaf.name} " if several and leaf.name else ""
        if explanation.feature_names is None and leaf.inputs.dtype.kind in "fiub" and layout_of(shape):
            unit, named = _regions(shape, layout_of(shape) or "")
            named = [before + name for name in named]
        elif explanation.feature_names is None and leaf.inputs.dtype.kind in "fiub" and len(shape) == 2 and shape[1]:
            unit, named = np.repeat(np.arange(shape[0]), shape[1]), [f"{before}step {t}" for t in range(shape[0])]
        elif leaf.inputs.dtype.kind in "US" and len(shape) == 1:
            unit, named = np.arange(shape[0]), _words(leaf.inputs[i].tolist())
        else:
            labels = labels or feature_labels(explanation)
            start = sum(_size(other) for other in leaves[:place])
            unit, named = np.arange(_size(leaf)), labels[start : start + _size(leaf)]
        units.append(unit + len(titles))
        titles += named
    return np.concatenate(units).astype(np.int64), titles


def _regions(shape: tuple[int, ...], layout: str) -> tuple[Ints, list[str]]:
    rows, columns = shape[1:] if layout == "chw" else shape[:2]
    down, across = min(REGIONS, rows), min(REGIONS, columns)
    row, column = np.arange(rows) * down // rows, np.arange(columns) * across // columns
    cell = row[:, None] * across + column
    whole = np.broadcast_to(cell[:, :, None], shape) if layout == "hwc" else np.broadcast_to(cell, shape)
    spans = [_spans(part, count) for part, count in ((row, down), (column, across))]
    named = [f"{r},{c}: rows {a}, columns {b}" for r, a in enumerate(spans[0]) for c, b in enumerate(spans[1])]
    return whole.reshape(-1), named


def _spans(part: Ints, count: int) -> list[str]:
    ends = [np.flatnonzero(part == n)[[0, -1]].tolist() for n in range(count)]
    return [str(a) if a == b else f"{a}-{b}" for a, b in ends]


def _words(pieces: Sequence[Any]) -> list[str]:
    """Name pieces of a text; those that are written alike by number, and blanks not at all."""
    shown = [str(piece).strip() for piece in pieces]
    return [
        f"{word} ({shown[: place + 1].count(word)})" if word and shown.count(word) > 1 else word
        for place, word in enumerate(shown)
    ]


def _found(feature: int | str, titles: list[str]) -> int:
    if isinstance(feature, str):
        if titles.count(feature) != 1:
            raise InputError(f"expected features= by their names, such as {', '.join(titles[:3])}; got {feature!r}")
        return titles.index(feature)
    if not -len(titles) <= feature < len(titles):
        raise InputError(f"expected features= below {len(titles)}; got {feature}")
    return int(feature) % len(titles)


def _size(leaf: Leaf) -> int:
    return math.prod(leaf.inputs.shape[1:])
