"""How attributions build up along the path, as a matplotlib figure."""

from __future__ import annotations

from typing import Any

from pyig.explanation.cumulative import CumulativeAttributions
from pyig.views.figure import bare, figure_of, new_figure
from pyig.views.lines import NAME, looks, spans, told
from pyig.views.words import shorten, signed


def buildup(lines: CumulativeAttributions, ax: Any = None) -> Any:
    """Draw a line per feature from 0 at the baseline to its attribution at the input.

    Parameters
    ----------
    lines : CumulativeAttributions
        What to draw.
    ax : matplotlib Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Ticks at the foot are nodes, saturated parts are shaded. The dotted black line is F(a) - F(x'), which all others
        add up to.
    """
    if ax is None:
        figure = new_figure(7.6, 3.4)
        ax = figure.add_subplot()
    else:
        figure = figure_of(ax)
    for start, stop in lines.saturated:
        ax.axvspan(start, stop, color="#8c8c8c", alpha=0.18, linewidth=0)
    ax.axhline(0, color="#8c8c8c", linewidth=0.8)
    ink = ax.xaxis.label.get_color()
    drawn = ax.plot(lines.alphas, lines.values - lines.values[0], ":", color=ink, linewidth=1.1, label="F(a) - F(x')")
    figures = signed([*lines.attributions])
    for n, look in enumerate(looks(lines)):
        label = f"{shorten(lines.names[n], NAME)}  {figures[n]}"
        style: dict[str, Any] = {"dashes": look.dashes} if look.dashes else {}
        drawn += ax.plot(lines.alphas, lines.cumulative[:, n], color=look.colour, linewidth=1.6, label=label, **style)
    ticks = ax.get_xaxis_transform()  # nodes as ticks at the foot: dots would hide the dashes
    ax.plot(lines.alphas, [0.0] * len(lines.alphas), "|", color=ink, markersize=7, transform=ticks, clip_on=False)
    order = sorted(drawn[1:], key=lambda line: -line.get_ydata()[-1])
    legend = ax.legend(
        handles=[*order, drawn[0]], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small",
        handlelength=3,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    ax.set_title(f"cumulative attribution, {lines.title}", loc="left", fontsize="medium", parse_math=False)
    ax.set_xlabel(f"a: 0 = baseline, 1 = input\n{spans(lines)}; {told(lines)}", fontsize="small")
    ax.set_xlim(-0.01, 1.01)
    ax.margins(y=0.08)
    ax.grid(alpha=0.25)
    bare(ax, "left", "bottom")
    return figure
