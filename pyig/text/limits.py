"""Texts longer than the model takes: an error, a cut, or windows; never silently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyig.errors import InputError, unknown
from pyig.text.encoded import Encoded
from pyig.text.tokenizers import Tokenizer

WAYS = ("error", "truncate", "window")


def limit_of(model: Any, tokenizer: Tokenizer, given: int | None, length: int | None = None) -> int | None:
    """Return the most tokens of one text: the user's word, or the smaller of the model's and the tokenizer's.

    No more than the one `length` that all texts are padded to.
    """
    config = getattr(model, "config", None)
    known = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    own = [int(k) - _skipped(model, int(k)) for k in known if isinstance(k, int) and k > 0]
    found = [*own, *([tokenizer.limit] if tokenizer.limit else [])] if given is None else [given]
    if length is not None:
        found.append(length)
    return min(found, default=None)


def _skipped(model: Any, places: int) -> int:
    """Return how many of a table's places no token has: RoBERTa begins to count behind its padding."""
    for name, module in getattr(model, "named_modules", list)():
        pad = getattr(module, "padding_idx", None)
        if "position" in name and pad is not None and getattr(module, "num_embeddings", None) == places:
            return int(pad) + 1
    return 0


def length_of(model: Any, given: int | None) -> int | None:
    """Return the one length of all texts: the user's word, or that of a Keras model's inputs, where it has one."""
    declared = getattr(model, "inputs", None) if given is None and hasattr(model, "layers") else None
    shapes: list[Any] = [getattr(tensor, "shape", ()) for tensor in declared or ()]
    lengths = {int(shape[1]) for shape in shapes if len(shape) == 2 and shape[1] is not None}
    return lengths.pop() if len(lengths) == 1 else given


def fitted(texts: Sequence[Encoded], limit: int | None, way: str) -> list[list[Encoded]]:
    """Return for each text the parts that are explained: itself, its beginning, or its windows one after the other.

    Special tokens before and after the text stay around every part.

    Examples
    --------
    >>> text = Encoded("a b c", (0, 7, 8, 9, 1), ("<", "a", "b", "c", ">"), (None, (0, 1), (2, 3), (4, 5), None),
    ...                (True, False, False, False, True))
    >>> [part.ids for part in fitted([text], 4, "window")[0]], [part.ids for part in fitted([text], 4, "truncate")[0]]
    ([(0, 7, 8, 1), (0, 9, 1)], [(0, 7, 8, 1)])
    """
    if way not in WAYS:
        raise unknown("too_long", way, WAYS)
    out = []
    for row, text in enumerate(texts):
        if limit is None or len(text) <= limit:
            out.append([text])
            continue
        if way == "error":
            raise InputError(
                f"expected texts of at most {limit} tokens; text {row} ({text.text[:40]!r}...) has {len(text)}. Pass "
                "too_long='truncate' to explain its beginning, too_long='window' to explain it part by part, or "
                "max_length="
            )
        before, after = _edges(text)
        room = limit - before - after
        if room < 1:
            raise InputError(
                f"expected room for the text beside {before + after} special tokens; got a limit of {limit}"
            )
        starts = range(before, len(text) - after, room)
        ends = [*range(len(text) - after, len(text))]
        parts = [
            text.pick([*range(before), *range(start, min(start + room, len(text) - after)), *ends]) for start in starts
        ]
        out.append(parts if way == "window" else parts[:1])
    return out


def _edges(text: Encoded) -> tuple[int, int]:
    """Count the special tokens at the beginning and at the end."""
    plain = [place for place, special in enumerate(text.special) if not special]
    return plain[0], len(text) - 1 - plain[-1]
