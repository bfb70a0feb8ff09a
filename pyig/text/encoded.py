"""One text as its tokenizer sees it: ids, tokens, and where each stands in the text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pyig.errors import InputError
from pyig.text.scanning import Span, words

PER_TOKEN = ("ids", "tokens", "spans", "special")


@dataclass(frozen=True)
class Encoded:
    """One text, tokenised.

    Attributes
    ----------
    text : str
        As the user wrote it.
    ids : tuple of int
        Of each token, special ones included.
    tokens : tuple of str
        As the vocabulary writes them.
    spans : tuple of (int, int) or None
        Characters of the text that each token stands for; None for one that stands for none (``[CLS]``).
    special : tuple of bool
        Tokens that the tokenizer added; the baseline keeps them.
    segments : tuple of int, optional
        Token types, where the tokenizer tells them.
    """

    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    spans: tuple[Span | None, ...]
    special: tuple[bool, ...]
    segments: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        counts = {"ids": len(self.ids), "tokens": len(self.tokens), "spans": len(self.spans)}
        if len({*counts.values(), len(self.special)}) > 1:
            raise InputError(f"expected one id, token, span and mark of speciality per token; got {counts}")
        for token, span in zip(self.tokens, self.spans, strict=True):
            if span is not None and not 0 <= span[0] <= span[1] <= len(self.text):
                raise InputError(
                    f"expected spans inside the text of {len(self.text)} characters; got {span} for token {token!r}. "
                    "Are the offsets those of another text?"
                )

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, places: Iterable[int]) -> Encoded:
        """Return the text with some of its tokens, in the order given."""
        kept = list(places)
        segments = None if self.segments is None else tuple(self.segments[place] for place in kept)
        parts: dict[str, Any] = {name: tuple(getattr(self, name)[place] for place in kept) for name in PER_TOKEN}
        return replace(self, segments=segments, **parts)

    def words(self) -> list[Word]:
        """Return the words of the text, each with its tokens; a token that covers several words joins them.

        Every token that is not special belongs to exactly one. One that stands nowhere in the text is shown as the
        vocabulary writes it.

        Examples
        --------
        >>> e = Encoded("unhappy end", (1, 2, 3), ("un", "##happy", "end"), ((0, 2), (2, 7), (8, 11)), (False,) * 3)
        >>> [(word.text, word.tokens) for word in e.words()]
        [('unhappy', (0, 1)), ('end', (2,))]
        """
        groups: list[tuple[Span, list[int]]] = [(span, []) for span in words(self.text)]
        strays: list[tuple[Span, list[int]]] = []
        reached = 0
        for place, span in enumerate(self.spans):
            if self.special[place]:
                continue
            touched = [i for i, (word, _) in enumerate(groups) if span and word[0] < span[1] and span[0] < word[1]]
            if not touched:  # white space has a token of its own, or the tokenizer does not say where
                strays.append((span or (reached, reached), [place]))
            else:
                first, last = touched[0], touched[-1]
                merged = (groups[first][0][0], groups[last][0][1])
                tokens = [token for _, held in groups[first : last + 1] for token in held]
                groups[first : last + 1] = [(merged, [*tokens, place])]
            reached = span[1] if span else reached
        held = sorted([group for group in groups if group[1]] + strays, key=lambda group: (group[0], group[1]))
        return [Word(self.text[a:b] or self.tokens[tokens[0]], (a, b), tuple(tokens)) for (a, b), tokens in held]


@dataclass(frozen=True)
class Word:
    """A word of the text.

    Attributes
    ----------
    text : str
    span : (int, int)
        Its characters.
    tokens : tuple of int
        Positions of its tokens.
    """

    text: str
    span: Span
    tokens: tuple[int, ...]
