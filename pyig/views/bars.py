"""Horizontal bars, longest first, with a remainder, so that all bars together are F(x) - F(x')."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyig.errors import unknown
from pyig.explanation import Explanation
from pyig.explanation.one_path import heading, pick
from pyig.views.colours import hex_of
from pyig.views.figure import bare, figure_of, new_figure
from pyig.views.ranking import Ranking, rank
from pyig.views.words import equation, number, plural, shorten, signed

REST = "#8c8c8c"
FORMS = ("bars", "waterfall")
LABEL = 44
ROOM, TITLE = 0.85, 3.6  # inches


def bars(
    explanation: Explanation,
    sample: int = 0,
    target: int = 0,
    top: int | None = 10,
    form: str = "bars",
    ax: Any = None,
) -> Any:
    """Draw the features of one sample as bars.

    Parameters
    ----------
    explanation : Explanation
        What to draw.
    sample, target : int
        Positions of the sample, and of the target among its targets.
    top : int or None
        Bars for features; the others share a grey one. None draws all.
    form : str
        ``"bars"``, which all start at zero, or ``"waterfall"``: each starts where the one before it ended.
    ax : matplotlib Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Orange bars raise F, blue bars lower it. A hatched bar is what the attributions lack to F(x) - F(x'); it
        appears when it is long enough to be seen.
    """
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    i, k = pick(explanation, sample, target)
    ranking = rank(explanation, i, k, top)
    labels, amounts, colours = _bars(ranking)
    title = f"{heading(explanation, i, k)}\n{equation(explanation, i, k)}"
    room = 0.16
    if ax is not None:
        figure = figure_of(ax)
        # For the figures at the ends of bars, also where the Axes are small.
        width = figure.get_figwidth() * ax.get_position().width
        room = min(0.5, max(room, ROOM / width))
        title = title if width > TITLE else title.replace(", difference", "\ndifference")
        ax.set_title(title, loc="left", fontsize="medium", parse_math=False)
    else:
        # Room for the labels, and as much for the bars whatever the labels are.
        figure = new_figure(4.8 + 0.085 * max(map(len, labels)), 1.4 + 0.3 * len(labels))
        figure.suptitle(title, x=0.02, ha="left", fontsize="medium", parse_math=False)  # long labels push Axes right
        ax = figure.add_subplot()
    starts = np.zeros(len(amounts)) if form == "bars" else np.cumsum([0.0, *np.nan_to_num(amounts)])[:-1]
    drawn = ax.barh(range(len(labels)), amounts, left=starts, height=0.72, color=colours)
    if ranking.gap_shows:
        drawn[-1].set(facecolor="none", edgecolor=REST, hatch="////")
    for place, (amount, start, figure_text) in enumerate(zip(amounts, starts, signed(amounts), strict=True)):
        ax.annotate(
            figure_text,
            (start + amount, place),
            xytext=(4 if amount >= 0 else -4, 0),
            textcoords="offset points",
            va="center",
            ha="left" if amount >= 0 else "right",
            fontsize="small",
        )
    ax.axvline(0, color=ax.xaxis.label.get_color(), linewidth=0.8)
    ax.set_yticks(range(len(labels)), labels, parse_math=False)  # a feature may be called $US
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.use_sticky_edges = form == "bars"  # a waterfall that starts at zero needs room there as well
    ax.margins(x=room, y=0.02)
    ax.locator_params(axis="x", nbins=6)
    bare(ax, "bottom")
    ax.set_xlabel("contribution to the difference")
    return figure


def _bars(ranking: Ranking) -> tuple[list[str], list[float], list[str]]:
    said = [f" = {number(row.value)}" if row.value != "" else "" for row in ranking.rows]
    labels = [shorten(row.label, LABEL) + value for row, value in zip(ranking.rows, said, strict=True)]
    amounts = [row.attribution for row in ranking.rows]
    colours = [hex_of(0.9 if amount > 0 else -0.9) for amount in amounts]
    if ranking.others:
        labels.append(plural(ranking.others, "other feature"))
        amounts.append(ranking.remainder)
        colours.append(REST)
    if ranking.gap_shows:
        labels.append("completeness gap")
        amounts.append(ranking.missing)
        colours.append("none")
    return labels, amounts, colours
