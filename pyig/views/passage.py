"""A text as it is read, each piece tinted by what it contributes."""

from __future__ import annotations

import math

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.arrays import Leaf
from pyig.explanation.one_path import of_path
from pyig.views.colours import hex_of
from pyig.views.markup import esc, name
from pyig.views.words import signed

LEVELS = 8  # of each sign: a piece of the strongest colour is the largest of its text
STRONGEST = 0.6  # of the palette's end: dark letters stay readable on it, in light and dark themes alike
SAID = 0.1  # pieces of this share of the largest have their figure written above them


def _style() -> str:
    """Return the classes of the tints; sign is said twice, by the hue and by the line under the word."""
    lines = [
        ".pyig .passage{line-height:2.5;white-space:pre-wrap;overflow-wrap:anywhere;margin:.6em 0}",
        ".pyig .passage rt{font-size:10px;opacity:.85;user-select:none}",
    ]
    for level in range(1, LEVELS + 1):
        strength, line = STRONGEST * level / LEVELS, 1 + round(2 * level / LEVELS)
        for kind, tint, form in (("f", hex_of(strength), "solid"), ("a", hex_of(-strength), "dotted")):
            lines.append(
                f".pyig .{kind}{level}{{background:{tint};color:#1d1d1f;border-bottom:{line}px {form} #1d1d1f;"
                "border-radius:2px}"
            )
    return "\n".join(lines) + "\n"


STYLE = _style()


def is_text(leaf: Leaf) -> bool:
    """Tell whether a leaf holds pieces of text (N, T)."""
    return leaf.inputs.dtype.kind == "U" and leaf.inputs.ndim == 2


def passage(explanation: Explanation, i: int, k: int, leaf: Leaf) -> str:
    """Return the pieces of sample `i` in their order, tinted for the k-th target.

    Pieces without letters, which only space the others, stay as they are. Where no piece begins or ends in white space,
    as tokens do, a space is set between them.
    """
    phi = of_path(explanation, leaf.attributions, i, k)
    pieces, amounts = [str(piece) for piece in leaf.inputs[i]], np.asarray(phi, dtype=np.float64).tolist()
    largest = max((abs(a) for a in amounts if math.isfinite(a)), default=0.0)
    figures, starts = signed(amounts), [str(start).strip() for start in leaf.baselines[i]]
    laid = any(piece.strip() != piece for piece in pieces)
    out = [
        _piece(piece, amount, f"{figure}, baseline {start}" if start else figure, figure, largest)
        for piece, amount, figure, start in zip(pieces, amounts, figures, starts, strict=True)
        if piece
    ]
    kinds = {start for piece, start in zip(pieces, starts, strict=True) if piece.strip()}
    said = next(iter(kinds), "") if len(kinds) == 1 else ""
    note = f'<p class="legend">baseline: {name(said)} in the place of every piece</p>' if said else ""
    return f'<p class="passage" dir="auto">{("" if laid else " ").join(out)}</p>{note}'


def _piece(piece: str, amount: float, title: str, figure: str, largest: float) -> str:
    level = 0 if largest == 0 or not math.isfinite(amount) else math.ceil(LEVELS * abs(amount) / largest - 1e-9)
    shown = esc(piece)
    if not level or not piece.strip():
        return shown
    above = f"<rt>{esc(figure)}</rt>" if abs(amount) >= SAID * largest else ""
    marked = f'<span class="{"f" if amount > 0 else "a"}{level}" title="{esc(title)}">{shown}</span>'
    return f"<ruby>{marked}{above}</ruby>" if above else marked
