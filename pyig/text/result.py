"""TextExplanation: the tokens' explanation, and how tokens, words and characters belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyig.contracts import Floats
from pyig.errors import InputError, SaveFileError
from pyig.explanation import Explanation
from pyig.explanation.arrays import pick_rows
from pyig.registry import Registry
from pyig.text.encoded import Encoded, Word

if TYPE_CHECKING:
    import os
    import pathlib

    from pyig.explanation.cumulative import CumulativeAttributions
    from pyig.text.request import Request

LEAF = "text"
_LATER = Registry(  # strings: edits are made of explanations, and the notebook stands on a higher floor
    "later import",
    {
        "edit": "pyig.text.edits:edit",
        "along": "pyig.text.along:along",
        "widget": "pyig.jupyter:live_texts",
        "display": "pyig.jupyter:show_texts",
    },
)
LEVELS = ("word", "token")
_KEY = "encoded"


class Share(NamedTuple):
    """What one word or token contributes.

    Attributes
    ----------
    text : str
        As the text has it; a special token as the vocabulary writes it.
    span : (int, int) or None
        Its characters in the text.
    attribution : float
        Its share of F(x) - F(x'): the sum over its tokens, and over the elements of their embeddings.
    """

    text: str
    span: tuple[int, int] | None
    attribution: float


@dataclass(frozen=True, eq=False, repr=False)
class TextExplanation:
    """The explanation of N texts.

    Parameters
    ----------
    tokens : Explanation
        One leaf ``"text"`` (N, T): the tokens, ``""`` behind the last one of a shorter text.
    encoded : tuple of Encoded
        The texts, and where their tokens stand in them.
    request : Request, optional
        How to explain another text in the same way; not saved.

    Examples
    --------
    >>> explained.shares(0)  # doctest: +SKIP
    [Share(text='Not', span=(0, 3), attribution=-0.41), Share(text='bad', span=(4, 7), attribution=0.62)]
    """

    tokens: Explanation
    encoded: tuple[Encoded, ...]
    request: Request | None = None

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, key: Any) -> TextExplanation:
        """Return the explanation of some of the texts."""
        rows = pick_rows(len(self), key)
        return TextExplanation(self.tokens[rows], tuple(self.encoded[row] for row in rows), self.request)

    def __iter__(self) -> Iterator[TextExplanation]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        lines = [f"{text.text!r}: {self._line(i)}" for i, text in enumerate(self.encoded[:5])]
        more = [f"... and {len(self) - 5} more"] if len(self) > 5 else []
        return "\n".join([*lines, *more, self.verdict()])

    def _line(self, i: int) -> str:
        shares = sorted(self.shares(i), key=lambda share: -abs(share.attribution))[:5]
        return ", ".join(f"{share.text} {share.attribution:+.3g}" for share in shares) or "no tokens"

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts as they were given."""
        return tuple(text.text for text in self.encoded)

    @property
    def values(self) -> Floats:
        """F(x), (N,) or (N, K)."""
        return self.tokens.values

    @property
    def baseline_values(self) -> Floats:
        """F(x'), (N,) or (N, K)."""
        return self.tokens.baseline_values

    @property
    def deltas(self) -> Floats:
        """Completeness gap of each text."""
        return self.tokens.deltas

    @property
    def error(self) -> Floats:
        """Estimated L1 error of each text's attributions, over all elements of its embeddings."""
        return self.tokens.error

    @property
    def converged(self) -> Any:
        """Whether the error meets the tolerance."""
        return self.tokens.converged

    @property
    def n_evals(self) -> Any:
        """Gradients spent on each text."""
        return self.tokens.n_evals

    @property
    def meta(self) -> dict[str, Any]:
        """How the result was made."""
        return self.tokens.meta

    def verdict(self) -> str:
        """Say in words how far the numbers can be trusted."""
        return self.tokens.verdict()

    def shares(self, i: int = 0, k: int = 0, level: str = "word") -> list[Share]:
        """Return what each word, or token, of text `i` contributes to its k-th target, in the order of the text.

        Both levels have the same sum. Special tokens are the same in the baseline and contribute nothing; they are
        listed among the tokens only.
        """
        text, phi = self.encoded[i], self._token_attributions(i, k)
        if level not in LEVELS:
            raise InputError(f"expected level= 'word' or 'token'; got {level!r}")
        if level == "token":
            rows = zip(text.tokens, text.spans, phi, strict=True)
            return [Share(text.text[slice(*span)] if span else token, span, float(a)) for token, span, a in rows]
        return [Share(word.text, word.span, _total(word, phi)) for word in text.words()]

    def total(self, i: int = 0, k: int = 0) -> float:
        """Return the sum over text `i`: F(x) - F(x') but for the completeness gap."""
        return float(self._token_attributions(i, k).sum())

    def pieces(self, level: str = "word") -> Explanation:
        """Return the explanation with the texts themselves as input, cut into words, or tokens, and what is between.

        Joined, the pieces of one text are that text; what is between them has no attribution. This is what the views
        draw.
        """
        targets = 1 if self.values.ndim == 1 else self.values.shape[1]
        rows = [[_laid(self.texts[i], self.shares(i, k, level)) for k in range(targets)] for i in range(len(self))]
        width = max((len(row[0]) for row in rows), default=0)
        phi = np.zeros((len(self), targets, max(width, 1)))
        pieces = np.full((len(self), max(width, 1)), "", dtype=object)
        for i, row in enumerate(rows):
            pieces[i, : len(row[0])] = [piece for piece, _ in row[0]]
            for k, laid in enumerate(row):
                phi[i, k, : len(laid)] = [amount for _, amount in laid]
        return replace(
            self.tokens,
            attributions={LEAF: phi if self.values.ndim == 2 else phi[:, 0]},
            inputs={LEAF: pieces.astype(np.str_)},
            baselines={LEAF: np.full((1, pieces.shape[1]), "", dtype="<U1")},
            feature_names=None,
        )

    def along(
        self, i: int = 0, k: int = 0, *, top: int = 8, nodes: int | None = None, **options: Any
    ) -> CumulativeAttributions:
        """Show how the words of text `i` build up along the path, for its k-th target.

        See `IntegratedGradients.along`; the model is that of this session.
        """
        if self.request is None:
            raise InputError("expected an explanation of this session; one that was loaded does not hold its model")
        found: CumulativeAttributions = _LATER["along"](
            self.request, self.pieces(), self.texts[i], i % len(self), k, top, nodes, options
        )
        return found

    def to_frame(self, level: str = "word") -> Any:
        """Return a DataFrame with one row per text, target and word or token; needs pandas.

        Columns: ``sample``, ``target``, ``position``, ``text``, ``begin``, ``end``, ``attribution``.
        """
        import pandas as pd

        targets = 1 if self.values.ndim == 1 else self.values.shape[1]
        rows = [
            (i, k, place, share.text, *(share.span or (-1, -1)), share.attribution)
            for i in range(len(self))
            for k in range(targets)
            for place, share in enumerate(self.shares(i, k, level))
        ]
        return pd.DataFrame(rows, columns=["sample", "target", "position", "text", "begin", "end", "attribution"])

    def to_html(self, path: Any = None, level: str = "word", **options: Any) -> str:
        """Return a report as one self-contained page, and write it to `path` if one is given."""
        return self.pieces(level).to_html(path, **options)

    def plot(self, kind: Any = "auto", level: str = "word", **options: Any) -> Any:
        """Draw the words or tokens; see `pyig.views.show`."""
        return self.pieces(level).plot(kind, **options)

    def widget(self) -> Any:
        """Return the live view (extra ``notebook``): where the model is at hand, other targets, baselines and texts."""
        return _LATER["widget"](self)

    def _ipython_display_(self) -> None:
        _LATER["display"](self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude  # IPython filters the bundle itself
        return {"text/plain": repr(self), "text/html": self.pieces()._repr_html_()}

    def again(self, texts: Sequence[str]) -> TextExplanation:
        """Explain other texts in the same way: model, target, baseline and tolerance."""
        if self.request is None:
            raise InputError("expected an explanation of this session; one that was loaded does not hold its model")
        return self.request.explain(list(texts))

    def edit(self, changes: Mapping[str, str | None] | str, i: int = 0) -> Any:
        """Explain text `i` with words replaced or deleted (`pyig.text.edits.edit`): ``edit({"man": "boy"})``."""
        return _LATER["edit"](self, changes, i)

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write everything but the model to one ``.npz`` file; see `Explanation.save`."""
        meta = self.meta | {_KEY: [asdict(text) for text in self.encoded]}
        return replace(self.tokens, meta=meta).save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TextExplanation:
        """Read what `save` wrote. Nothing in the file is executed.

        Raises
        ------
        SaveFileError
            When the file is damaged, or holds no texts.
        """
        tokens = Explanation.load(path)
        rows = tokens.meta.get(_KEY)
        if not isinstance(rows, list) or len(rows) != len(tokens):
            raise SaveFileError(f"expected a saved TextExplanation; {str(path)!r} holds an Explanation without texts")
        meta = {key: value for key, value in tokens.meta.items() if key != _KEY}
        return cls(replace(tokens, meta=meta), tuple(_encoded(row) for row in rows))

    def _token_attributions(self, i: int, k: int) -> Floats:
        phi = np.asarray(self.tokens.attributions[LEAF], dtype=np.float64)
        row = phi[i] if phi.ndim == 2 else phi[i, k]
        return np.asarray(row[: len(self.encoded[i])])


def _encoded(row: Mapping[str, Any]) -> Encoded:
    """Build from JSON, which has lists for tuples."""
    spans = tuple(None if span is None else (span[0], span[1]) for span in row["spans"])
    parts = {name: tuple(row[name]) for name in ("ids", "tokens", "special")}
    return Encoded(row["text"], spans=spans, segments=row["segments"] and tuple(row["segments"]), **parts)


def _total(word: Word, phi: Floats) -> float:
    return float(phi[list(word.tokens)].sum())


def places(shares: Sequence[Share]) -> list[int]:
    """Return which of the pieces each word is; -1 for a special token, which is none of them."""
    found, count, reached = list[int](), 0, 0
    for share in shares:
        if share.span is None:
            found.append(-1)
            continue
        count += share.span[0] > reached  # what is left out before it
        found.append(count)
        count, reached = count + 1, max(reached, share.span[1])
    return found


def _laid(text: str, shares: Sequence[Share]) -> list[tuple[str, float]]:
    """Return pieces and amounts in order, with what the shares leave out in between."""
    out: list[tuple[str, float]] = []
    reached = 0
    for share in shares:
        if share.span is None:  # a special token
            continue
        begin, end = share.span
        if begin > reached:
            out.append((text[reached:begin], 0.0))
        # The bytes of one character may be several tokens; a token of no character is shown as it is.
        shown = text[max(begin, reached) : end] if end > begin else share.text
        out.append((shown, share.attribution))
        reached = max(reached, end)
    return out + ([(text[reached:], 0.0)] if reached < len(text) else [])
