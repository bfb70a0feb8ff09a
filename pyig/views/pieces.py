"""A text as a figure: each piece tinted by what it contributes, with a line below that says the same without colour."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.arrays import Leaf
from pyig.explanation.one_path import heading, of_path, pick
from pyig.views.colours import hex_of
from pyig.views.figure import figure_of, new_figure
from pyig.views.passage import SAID, STRONGEST, is_text
from pyig.views.words import equation, shorten, signed

ACROSS = 64  # letters of one line
LETTER = 0.602  # width of a letter of the one font whose letters are all alike, per point of its size
SIZE = 10  # points
LONGEST = 30


def pieces(explanation: Explanation, sample: int = 0, target: int = 0, leaf: str | None = None, ax: Any = None) -> Any:
    """Draw the pieces of one text in their order.

    Parameters
    ----------
    explanation : Explanation
        What to draw.
    sample, target : int
        Positions of the sample, and of the target among its targets.
    leaf : str, optional
        Name of the text, where the input holds several.
    ax : matplotlib Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Orange with a solid line speaks for F, blue with a dotted line against it; strength is tint and width. The
        figures above pieces are their attributions, where these count.
    """
    i, k = pick(explanation, sample, target)
    chosen = _text_leaf(explanation, leaf)
    phi = of_path(explanation, chosen.attributions, i, k)
    # What only stands between the words is drawn as room.
    told = [(shorten(str(p), LONGEST), float(a)) for p, a in zip(chosen.inputs[i], phi, strict=True) if str(p).strip()]
    places, lines = _laid([len(text) for text, _ in told])
    title = f"{heading(explanation, i, k)}\n{equation(explanation, i, k)}"
    if ax is None:
        figure = new_figure(0.3 + ACROSS * LETTER * SIZE / 72, 0.75 + 0.42 * lines)
        figure.suptitle(title, x=0.02, ha="left", fontsize="medium", parse_math=False)
        ax, size = figure.add_subplot(), float(SIZE)
    else:
        figure = figure_of(ax)
        ax.set_title(title, loc="left", fontsize="medium", parse_math=False)
        size = min(SIZE, 72 * figure.get_figwidth() * ax.get_position().width / (LETTER * ACROSS))
    ax.set(xlim=(0, ACROSS), ylim=(lines, 0))
    ax.axis("off")
    amounts = [amount for _, amount in told]
    largest = max((abs(a) for a in amounts if math.isfinite(a)), default=0.0)
    for (text, amount), (line, column), figures in zip(told, places, signed(amounts), strict=True):
        _draw(ax, text, amount / largest if largest else 0.0, line, column, size, figures)
    return figure


def _draw(ax: Any, text: str, strength: float, line: int, column: int, size: float, figures: str) -> None:
    from matplotlib.patches import Rectangle

    known = math.isfinite(strength) and strength != 0
    style: dict[str, Any] = {"family": "DejaVu Sans Mono", "parse_math": False}
    if known:
        tint = hex_of(STRONGEST * float(np.clip(strength, -1, 1)))
        ax.add_patch(Rectangle((column - 0.2, line + 0.38), len(text) + 0.4, 0.5, facecolor=tint, linewidth=0))
        ax.plot(
            [column - 0.2, column + len(text) + 0.2], [line + 0.88] * 2, "-" if strength > 0 else ":", color="#1d1d1f",
            linewidth=0.6 + 1.6 * abs(strength),
        )  # fmt: skip
        if abs(strength) >= SAID:
            middle = column + len(text) / 2
            ax.text(middle, line + 0.34, figures, ha="center", va="bottom", fontsize=0.62 * size, **style)
    ink = "#1d1d1f" if known else ax.xaxis.label.get_color()
    ax.text(column, line + 0.64, text, va="center", fontsize=size, color=ink, **style)


def _laid(lengths: list[int]) -> tuple[list[tuple[int, int]], int]:
    """Return line and column of each piece, with a letter of room between them, and how many lines there are."""
    places, line, column = [], 0, 0
    for length in lengths:
        if column and column + length > ACROSS - 1:
            line, column = line + 1, 0
        places.append((line, column))
        column += length + 1
    return places, line + 1


def _text_leaf(explanation: Explanation, name: str | None) -> Leaf:
    found = [leaf for leaf in explanation.leaves() if is_text(leaf) and name in (None, leaf.name)]
    if len(found) != 1:
        shapes = ", ".join(
            f"{leaf.name or 'x'} {leaf.inputs.dtype.kind}{leaf.inputs.shape}" for leaf in explanation.leaves()
        )
        raise InputError(f"expected one text (N, T) of pieces, or leaf= to name it; the input has {shapes}")
    return found[0]
