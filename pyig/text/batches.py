"""Texts of one length together: padding costs as much as text does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Ints
from pyig.text.encoded import Encoded

_SHORTEST = 0.7  # of the longest text of a batch; more batches would cost more calls than the padding they save


@dataclass(frozen=True)
class Batch:
    """Texts padded to the longest of them.

    Attributes
    ----------
    rows : int64 (n,)
        Which texts.
    ids, mask : int64 (n, T)
        Tokens, and 1 where there is one.
    segments : int64 (n, T) or None
        Token types, where the tokenizer tells them.
    baseline : int64 (n, T)
        Tokens of the baseline; special ones and padding are those of `ids`.
    places : int64 (n, T)
        Which token of its text stands here; -1 for padding.
    """

    rows: Ints
    ids: Ints
    mask: Ints
    segments: Ints | None
    baseline: Ints
    places: Ints

    def spread(self, per_token: Sequence[Sequence[Any]], empty: Any, dtype: Any) -> NDArray[Any]:
        """Lay out one list per text of the batch the way its tokens are, (n, T)."""
        return _spread(per_token, self.places, empty, dtype)


def batches(
    texts: Sequence[Encoded],
    baselines: Sequence[Sequence[int]],
    pad: int,
    side: str = "right",
    length: int | None = None,
) -> list[Batch]:
    """Sort texts by length into batches.

    Parameters
    ----------
    texts : sequence of Encoded
    baselines : sequence of sequence of int
        Ids of the baseline of each text.
    pad : int
        The id that fills up.
    side : {"right", "left"}
        Where it goes.
    length : int, optional
        One length for all, for a model that takes no other.

    Examples
    --------
    >>> texts = [Encoded("x" * n, (7,) * n, ("x",) * n, ((0, 1),) * n, (False,) * n) for n in (9, 2, 10)]
    >>> [(batch.rows.tolist(), batch.ids.shape) for batch in batches(texts, [t.ids for t in texts], 0)]
    [([2, 0], (2, 10)), ([1], (1, 2))]
    """
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    groups: list[list[int]] = []
    for row in order:
        fits = groups and (length is not None or len(texts[row]) >= _SHORTEST * len(texts[groups[-1][0]]))
        if fits:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [_batch(texts, baselines, rows, pad, side, length) for rows in groups]


def _batch(
    texts: Sequence[Encoded],
    baselines: Sequence[Sequence[int]],
    rows: list[int],
    pad: int,
    side: str,
    length: int | None,
) -> Batch:
    counts = [len(texts[row]) for row in rows]
    width = max(max(counts), 1) if length is None else length
    places = np.full((len(rows), width), -1, dtype=np.int64)
    for place, count in zip(places, counts, strict=True):
        place[slice(width - count, width) if side == "left" else slice(count)] = np.arange(count)
    ids = _spread([texts[row].ids for row in rows], places, pad, np.int64)
    segments = [texts[row].segments for row in rows]
    return Batch(
        np.array(rows, dtype=np.int64),
        ids,
        (places >= 0).astype(np.int64),
        None if None in segments else _spread([kinds or () for kinds in segments], places, 0, np.int64),
        _spread([baselines[row] for row in rows], places, pad, np.int64),
        places,
    )


def _spread(per_token: Sequence[Sequence[Any]], places: Ints, empty: Any, dtype: Any) -> NDArray[Any]:
    out: NDArray[Any] = np.full(places.shape, empty, dtype=dtype)
    for row, held, place in zip(out, per_token, places, strict=True):
        row[place >= 0] = list(held)
    return out
