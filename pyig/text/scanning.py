"""Where the words of a text are, in any script, without a language model."""

from __future__ import annotations

import unicodedata

Span = tuple[int, int]

_APOSTROPHES = "'’ʼ"
_JOINERS = "\u200d"  # holds the parts of one emoji, or of one letter, together
_UNSPACED = (  # scripts that put no space between words: a character is the unit that can be pointed at
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def words(text: str) -> list[Span]:
    """Return the spans of words, numbers, single symbols and emoji; white space belongs to none.

    Examples
    --------
    >>> text = "Don't panic: 3.5 naïve 猫だ!"
    >>> [text[a:b] for a, b in words(text)]
    ["Don't", 'panic', ':', '3.5', 'naïve', '猫', 'だ', '!']
    """
    spans: list[Span] = []
    place = 0
    while place < len(text):
        end = _end(text, place)
        if end > place:
            spans.append((place, end))
        place = max(end, place + 1)
    return spans


def _end(text: str, place: int) -> int:
    """Return where the unit that begins here ends; `place` itself for white space."""
    kind = _kind(text[place])
    if kind == "space":
        return place
    flag = _is_regional(text[place : place + 1]) and _is_regional(text[place + 1 : place + 2])
    end = _with_marks(text, place + (2 if flag else 1))
    if kind != "letter":
        return end
    while end < len(text):
        here = _kind(text[end])
        inside = end + 1 < len(text) and _kind(text[end + 1]) == "letter"
        joined = inside and (
            text[end] in _APOSTROPHES or (text[end] in ".,_" and text[end - 1].isdigit() and text[end + 1].isdigit())
        )
        if here != "letter" and not joined:
            break
        end = _with_marks(text, end + 1)
    return end


def _with_marks(text: str, end: int) -> int:
    """Go on over accents, variation selectors, skin tones, tags of a flag, and whatever a joiner ties on."""
    while end < len(text):
        character = text[end]
        if character in _JOINERS:
            end = min(end + 2, len(text))
        elif unicodedata.category(character) in ("Mn", "Mc", "Me") or _is_tone_or_tag(ord(character)):
            end += 1
        else:
            break
    return end


def _is_tone_or_tag(code: int) -> bool:
    return 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F


def _is_regional(character: str) -> bool:
    """Tell one of the letters that make a flag in pairs."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _kind(character: str) -> str:
    if character.isspace() or unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp"):
        return "space"
    code = ord(character)
    if any(first <= code <= last for first, last in _UNSPACED):
        return "unit"
    return "letter" if unicodedata.category(character)[0] in "LN" or character == "_" else "unit"
