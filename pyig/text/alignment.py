"""Where the tokens of a tokenizer that tells no offsets stand in the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pyig.text.scanning import Span


def aligned(text: str, ids_of: Callable[[str], Sequence[int]]) -> tuple[list[int], list[Span | None], list[bool]]:
    """Return ids, spans and marks of speciality.

    The words between white space are tokenised one by one. Where their ids in a row are those of the whole text, the
    tokens of each word are known; what stands around them, as around an empty text, is special. Where they are not, the
    tokens have no spans, and are shown by themselves.

    Examples
    --------
    >>> def ids_of(text):
    ...     return [1, *(len(word) for word in text.split()), 2]
    >>> aligned("to be", ids_of)
    ([1, 2, 2, 2], [None, (0, 2), (3, 5), None], [True, False, False, True])
    """
    ids, around = list(ids_of(text)), list(ids_of(""))
    best: tuple[int, int] | None = None
    for before in range(len(around) + 1):
        after = len(around) - before
        if ids[:before] == around[:before] and ids[len(ids) - after :] == around[before:]:
            best = (before, after)
            spans = _spans(text, ids[before : len(ids) - after], ids_of, before, after)
            if spans is not None:
                marks = [True] * before + [False] * len(spans) + [True] * after
                return ids, [None] * before + spans + [None] * after, marks
    before, after = best or (0, 0)
    inner = len(ids) - before - after
    return ids, [None] * len(ids), [True] * before + [False] * inner + [True] * after


def _spans(
    text: str, ids: list[int], ids_of: Callable[[str], Sequence[int]], before: int, after: int
) -> list[Span | None] | None:
    """Return a span for each of the ids, or None where the words do not add up to the text."""
    spans: list[Span | None] = []
    found: list[int] = []
    for match in re.finditer(r"\S+", text):
        piece = list(ids_of(match.group()))
        piece = piece[before : len(piece) - after]
        found += piece
        spans += [match.span()] * len(piece)
    return spans if found == ids else None
