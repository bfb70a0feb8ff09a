"""Captum's coloured text, with everything that is not markup escaped."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig.compat.captum.errors import entry
from pyig.errors import InputError

_SPECIAL = re.compile(r"<[^<>]*>")  # such as <pad>


@dataclass(slots=True)
class VisualizationDataRecord:
    """One row of `visualize_text`.

    Attributes
    ----------
    word_attributions : tensor or sequence of float
        One for each token, in [-1, 1] for the full range of colours.
    pred_prob, pred_class, true_class, attr_class
        What the model said, what is true, and what was explained.
    attr_score : float
        Sum of the attributions.
    raw_input_ids : sequence of str
        The tokens.
    convergence_score : float
        The delta.
    """

    word_attributions: Any
    pred_prob: float
    pred_class: Any
    true_class: Any
    attr_class: Any
    attr_score: float
    raw_input_ids: Sequence[str]
    convergence_score: float


class Html(str):
    """Markup that a notebook renders; `data` is the text, as in IPython's own class."""

    __slots__ = ()

    @property
    def data(self) -> str:
        """The markup."""
        return str(self)

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"<HTML of {len(self)} characters>"


@entry
def visualize_text(datarecords: Iterable[VisualizationDataRecord], legend: bool = True) -> Html:
    """Show tokens on shades of their attributions, in a table with a row for each record.

    Parameters
    ----------
    datarecords : iterable of VisualizationDataRecord
        The rows.
    legend : bool
        Whether to say what the colours mean.

    Returns
    -------
    str
        Markup that a notebook renders; it is displayed as well where a notebook runs. IPython is not needed.

    Examples
    --------
    >>> record = VisualizationDataRecord([0.5, -0.2], 0.9, 1, 1, 1, 0.3, ["<b>good</b>", "film"], 0.0)
    >>> "&lt;b&gt;good&lt;/b&gt;" in visualize_text([record])
    True
    """
    heads = ("True Label", "Predicted Label", "Attribution Label", "Attribution Score", "Word Importance")
    rows = [f"<tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"]
    rows += [_row(record) for record in datarecords]
    table = f'<table style="width: 100%">{"".join(rows)}</table>'
    found = Html((_legend() if legend else "") + table)
    _display(found)
    return found


def _row(record: VisualizationDataRecord) -> str:
    labels = [
        record.true_class,
        f"{record.pred_class} ({float(record.pred_prob):.2f})",
        record.attr_class,
        f"{float(record.attr_score):.2f}",
    ]
    cells = "".join(f'<td style="padding-right: 2em"><b>{_text(label)}</b></td>' for label in labels)
    return f"<tr>{cells}{_words(record.raw_input_ids, record.word_attributions)}</tr>"


def _words(words: Sequence[str], importances: Any) -> str:
    if hasattr(importances, "detach"):
        importances = importances.detach().cpu().float().numpy()
    shades = np.asarray([] if importances is None else importances, dtype=np.float64)
    if not shades.size:
        return "<td></td>"
    if shades.ndim != 1 or len(words) > len(shades):
        raise InputError(
            f"expected one attribution for each of {len(words)} tokens; got attributions of shape {shades.shape}"
        )
    return f"<td>{''.join(_mark(word, shade) for word, shade in zip(words, shades[: len(words)], strict=True))}</td>"


def _mark(word: str, shade: float) -> str:
    name = str(word)
    if _SPECIAL.fullmatch(name):
        name = "#" + name[1:-1]
    style = f"background-color: {_colour(shade)}; color: black; line-height: 1.75"
    return f'<mark style="{style}"> {_text(name)} </mark>'


def _colour(shade: float) -> str:
    """Return green for what speaks for the class, red for what speaks against it; white where it is not known."""
    strength = 0.0 if not np.isfinite(shade) else max(-1.0, min(1.0, float(shade)))
    if strength > 0:
        return f"hsl(120, 75%, {100 - int(50 * strength)}%)"
    return f"hsl(0, 75%, {100 - int(-40 * strength)}%)"


def _legend() -> str:
    box = "display: inline-block; width: 10px; height: 10px; border: 1px solid; background-color:"
    parts = [
        f'<span style="{box} {_colour(shade)}"></span> {label}  '
        for shade, label in ((-1, "Negative"), (0, "Neutral"), (1, "Positive"))
    ]
    return (
        '<div style="border-top: 1px solid; margin-top: 5px; padding-top: 5px; display: inline-block">'
        f"<b>Legend: </b>{''.join(parts)}</div>"
    )


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _display(found: Html) -> None:
    """Show markup in the middle of a cell, where IPython runs already: it is not imported for it."""
    shell, display = (sys.modules.get(name) for name in ("IPython", "IPython.display"))
    if shell is not None and display is not None and shell.get_ipython() is not None:
        display.display(found)
