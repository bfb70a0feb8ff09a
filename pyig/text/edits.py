"""What if the text were another: words replaced or deleted, and how each word's share changes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pyig.errors import InputError, InputTypeError
from pyig.text.result import Share, TextExplanation
from pyig.text.scanning import Span, words


class Step(NamedTuple):
    """One line of a comparison: a word before and after; None where one side lacks it."""

    before: Share | None
    after: Share | None

    @property
    def change(self) -> float:
        """How much more the word contributes afterwards."""
        return (self.after.attribution if self.after else 0.0) - (self.before.attribution if self.before else 0.0)


@dataclass(frozen=True)
class Edit:
    """One text before and after an edit.

    Attributes
    ----------
    before, after : TextExplanation
        Of one text each.
    """

    before: TextExplanation
    after: TextExplanation

    def __repr__(self) -> str:
        start, end = (float(np.ravel(e.values)[0]) for e in (self.before, self.after))
        lines = [f"F(x): {start:.4g} -> {end:.4g}"]
        for step in self.aligned():
            left, right = (f"{s.text} {s.attribution:+.3g}" if s else "" for s in step)
            mark = " " if step.before and step.after and step.before.text == step.after.text else "*"
            lines.append(f"{mark} {left:>24}  {right:<24}  {step.change:+.3g}")
        return "\n".join(lines)

    def aligned(self, k: int = 0) -> list[Step]:
        """Return the words of both texts side by side: equal words beside each other, replaced ones in pairs."""
        old, new = self.before.shares(0, k), self.after.shares(0, k)
        matcher = difflib.SequenceMatcher(None, [s.text for s in old], [s.text for s in new], autojunk=False)
        steps: list[Step] = []
        for _, a, b, c, d in matcher.get_opcodes():
            left: list[Share | None] = [*old[a:b], *[None] * (d - c - (b - a))]
            right: list[Share | None] = [*new[c:d], *[None] * (b - a - (d - c))]
            steps += [Step(one, other) for one, other in zip(left, right, strict=True)]
        return steps

    def to_frame(self, k: int = 0) -> Any:
        """Return the comparison as a DataFrame: ``before``, ``after``, their attributions, ``change``; needs pandas."""
        import pandas as pd

        rows = [
            (
                step.before.text if step.before else "",
                step.after.text if step.after else "",
                step.before.attribution if step.before else 0.0,
                step.after.attribution if step.after else 0.0,
                step.change,
            )
            for step in self.aligned(k)
        ]
        return pd.DataFrame(rows, columns=["before", "after", "attribution_before", "attribution_after", "change"])


def edited(text: str, changes: Mapping[str, str | None]) -> str:
    """Return the text with whole words replaced, or left out where the new word is None.

    A word is found whatever its case; what replaces it takes its capitals. All are replaced at once, so that words can
    be exchanged for each other.

    Examples
    --------
    >>> edited("The man and his manners: Man!", {"man": "boy", "his": None})
    'The boy and manners: Boy!'
    >>> edited("A man and a woman", {"man": "woman", "woman": "man"})
    'A woman and a man'
    """
    if not changes:
        return text
    for old, new in changes.items():
        if not isinstance(old, str) or not old.strip() or not isinstance(new, (str, type(None))):
            raise InputTypeError(f"expected edits as a dict from word to word, or to None; got {old!r}: {new!r}")
        if not re.search(_whole(re.escape(old)), text, re.IGNORECASE):
            raise InputError(f"expected a word of the text to edit; {old!r} is not in {text[:60]!r}")
    olds = sorted(changes, key=len, reverse=True)  # "old man" before "old"
    every = "|".join(f"({re.escape(old)})" for old in olds)

    def replaced(match: re.Match[str]) -> str:
        new = next(changes[old] for old, found in zip(olds, match.groups()[1:-1], strict=True) if found is not None)
        return "" if new is None else _cased(match.group("word"), new) + match.group("space")

    return re.sub(_whole(f"(?P<word>{every})") + r"(?P<space>\s?)", replaced, text, flags=re.IGNORECASE)


def _whole(pattern: str) -> str:
    return rf"(?<!\w){pattern}(?!\w)"


def edit(explained: TextExplanation, changes: Mapping[str, str | None] | str, i: int = 0) -> Edit:
    """Explain text `i` once more with words replaced, or another text in its place.

    Parameters
    ----------
    changes : dict or str
        ``{"man": "boy", "very": None}`` replaces and deletes; a str is the new text.
    """
    before = explained[i]
    text = changes if isinstance(changes, str) else edited(before.texts[0], changes)
    return Edit(before, before.again([text]))


def edit_table(explained: TextExplanation, edits: Sequence[Mapping[str, str | None] | str], i: int = 0) -> Any:
    """Return a DataFrame with one line per edit of text `i`, and the text itself first; needs pandas.

    Columns: ``edit``, ``text``, ``value`` (F(x)), ``change`` from the text as it is, ``top`` (the word with the largest
    share), ``converged``. All edits are explained together.
    """
    import pandas as pd

    text = explained.texts[i]
    texts = [text, *(change if isinstance(change, str) else edited(text, change) for change in edits)]
    found = explained.again(texts)
    values = found.values if found.values.ndim == 1 else found.values[:, 0]
    return pd.DataFrame(
        {
            "edit": ["", *(_said(change) for change in edits)],
            "text": texts,
            "value": values,
            "change": values - values[0],
            "top": [_top(found, row) for row in range(len(found))],
            "converged": found.converged if found.converged.ndim == 1 else found.converged.all(axis=1),
        }
    )


def minimal_pairs(explained: TextExplanation, template: str, terms: Sequence[str], slot: str = "{}") -> Any:
    """Return a DataFrame that compares one sentence over a list of terms; needs pandas.

    Parameters
    ----------
    template : str
        A text with `slot` where the term goes, once or several times: ``"I am a {} person"``.
    terms : sequence of str
        Identity terms, names, professions.

    Returns
    -------
    DataFrame
        ``term``, ``text``, ``value`` (F(x)), ``attribution`` (of the term itself), ``rest`` (of all other words),
        ``share`` (of the term in the sum of sizes), sorted by `value`.
    """
    import pandas as pd

    if slot not in template:
        raise InputError(f"expected {slot!r} in the template, where a term goes; got {template!r}")
    parts = template.split(slot)
    texts = [term.join(parts) for term in terms]
    found = explained.again(texts)
    rows = []
    for row, term in enumerate(terms):
        shares = found.shares(row)
        ends = [len(term.join(parts[:count])) for count in range(1, len(parts))]
        own = _own(shares, [(end, end + len(term)) for end in ends])
        total, size = sum(s.attribution for s in shares), sum(abs(s.attribution) for s in shares)
        value = float(np.ravel(found.values[row])[0])
        rows.append((term, texts[row], value, own, total - own, abs(own) / size if size else 0.0))
    columns = ["term", "text", "value", "attribution", "rest", "share"]
    return pd.DataFrame(rows, columns=columns).sort_values("value", ascending=False, ignore_index=True)


def slices(explained: TextExplanation, terms: Sequence[str], threshold: float = 0.5) -> Any:
    """Return a DataFrame on the texts that contain each term; needs pandas.

    Columns: ``term``, ``texts`` (how many contain it), ``above`` (share of them with F(x) above `threshold`),
    ``value`` (their mean F(x)), ``attribution`` and ``spread`` (mean and standard deviation of the term's own share).
    A term may have several words. The first line, with an empty term, is over all texts.
    """
    import pandas as pd

    values = explained.values if explained.values.ndim == 1 else explained.values[:, 0]
    rows = [("", len(explained), float((values > threshold).mean()), float(values.mean()), np.nan, np.nan)]
    shares = [explained.shares(row) for row in range(len(explained))]
    for term in terms:
        places = [_places(text, term) for text in explained.texts]
        held = np.array([bool(found) for found in places])
        sums = np.array([_own(each, found) for each, found in zip(shares, places, strict=True)])[held]
        some = bool(held.any())
        rows.append(
            (
                term,
                int(held.sum()),
                float((values[held] > threshold).mean()) if some else np.nan,
                float(values[held].mean()) if some else np.nan,
                float(sums.mean()) if some else np.nan,
                float(sums.std()) if some else np.nan,
            )
        )
    return pd.DataFrame(rows, columns=["term", "texts", "above", "value", "attribution", "spread"])


def _places(text: str, term: str) -> list[Span]:
    """Return where the words of a term stand in a text, one after the other, whatever their case."""
    wanted = [term[begin:end].lower() for begin, end in words(term)]
    if not wanted:
        raise InputError(f"expected terms of at least one word; got {term!r}")
    spans = words(text)
    said = [text[begin:end].lower() for begin, end in spans]
    last = len(wanted) - 1
    return [(spans[i][0], spans[i + last][1]) for i in range(len(said) - last) if said[i : i + last + 1] == wanted]


def _own(shares: Sequence[Share], places: Sequence[Span]) -> float:
    """Return the sum over all shares that stand, in part at least, in one of the places."""
    return sum(
        share.attribution
        for share in shares
        if share.span and any(share.span[0] < end and begin < share.span[1] for begin, end in places)
    )


def _cased(old: str, new: str) -> str:
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _said(change: Mapping[str, str | None] | str) -> str:
    if isinstance(change, str):
        return change
    return ", ".join(f"{old} -> {new}" if new is not None else f"without {old}" for old, new in change.items())


def _top(found: TextExplanation, row: int) -> str:
    shares = found.shares(row)
    return max(shares, key=lambda share: abs(share.attribution)).text if shares else ""
