"""What a text is compared with: the same special tokens around pads, masks, unknown words, or another text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyig.errors import InputError, InputTypeError, unknown
from pyig.text.encoded import Encoded
from pyig.text.tokenizers import Tokenizer

KINDS = ("pad", "mask", "unknown")
ZERO = "zero"  # the zero embedding, which no token has


def baseline_ids(texts: Sequence[Encoded], tokenizer: Tokenizer, given: Any) -> list[list[int]]:
    """Return the ids of each text's baseline, as many as the text has.

    Parameters
    ----------
    given : None, str, int, or sequence of str
        None: pads, or what comes nearest to them in this vocabulary. A name of `KINDS`, or the id of a token, for
        every token that is not special. `ZERO` gives ids only for what stays. A list with one text for each: its
        tokens, cut or padded to the length.
    """
    if isinstance(given, (list, tuple)):
        return _texts(texts, tokenizer, list(given))
    token = _token(tokenizer, None if given == ZERO else given)
    return [[i if s else token for i, s in zip(text.ids, text.special, strict=True)] for text in texts]


def _token(tokenizer: Tokenizer, given: Any) -> int:
    known = dict(zip(KINDS, (tokenizer.pad, tokenizer.mask, tokenizer.unknown), strict=True))
    if given is None:
        found = next((i for i in known.values() if i is not None), None)
        if found is None:
            raise InputError(
                "expected baseline= as a token id, for this vocabulary names no token for padding, masking or the "
                "unknown; got None"
            )
        return found
    if isinstance(given, str):
        if given not in known:
            raise unknown("baseline", given, (*KINDS, ZERO))
        found = known[given]
        if found is None:
            have = ", ".join(repr(kind) for kind, i in known.items() if i is not None) or "none of these"
            raise InputError(f"expected baseline= that the vocabulary has a token for ({have}); got {given!r}")
        return found
    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise InputTypeError(
            f"expected baseline= as a name ({', '.join(KINDS)}), a token id, or a list of texts; "
            f"got {type(given).__qualname__}"
        )
    number = int(given)
    if number < 0 or (tokenizer.size is not None and number >= tokenizer.size):
        raise InputError(f"expected baseline= as a token id below {tokenizer.size}; got {number}")
    return number


def _texts(texts: Sequence[Encoded], tokenizer: Tokenizer, given: list[Any]) -> list[list[int]]:
    if len(given) != len(texts) or not all(isinstance(text, str) for text in given):
        raise InputError(f"expected baseline= as {len(texts)} texts, one for each; got {len(given)} items")
    fill = _token(tokenizer, None)
    out = []
    for text, other in zip(texts, tokenizer.encode(given), strict=True):
        plain = [i for i, special in zip(other.ids, other.special, strict=True) if not special]
        wanted = sum(not special for special in text.special)
        rest = iter([*plain[:wanted], *[fill] * (wanted - len(plain))])
        out.append([i if special else next(rest) for i, special in zip(text.ids, text.special, strict=True)])
    return out
