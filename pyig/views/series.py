"""Steps by channels as a figure: what each step contributes, and the course of the channel that counts most."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.arrays import Leaf
from pyig.explanation.one_path import heading, of_path, pick
from pyig.views.colours import hex_of
from pyig.views.figure import bare, figure_of, new_figure
from pyig.views.tabs import kind_of_leaf
from pyig.views.words import equation


def series(explanation: Explanation, sample: int = 0, target: int = 0, leaf: str | None = None, ax: Any = None) -> Any:
    """Draw one sample of a series (N, T, C).

    Parameters
    ----------
    explanation : Explanation
        What to draw.
    sample, target : int
        Positions of the sample, and of the target among its targets.
    leaf : str, optional
        Name of the series, where the input holds several.
    ax : matplotlib Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Bars: attributions of a step, summed over the channels. Lines: the strongest channel and, dashed, its baseline,
        on a scale of their own at the right.
    """
    i, k = pick(explanation, sample, target)
    chosen = _series_leaf(explanation, leaf)
    phi = np.asarray(of_path(explanation, chosen.attributions, i, k), np.float64)
    sums, best = phi.sum(axis=1), int(np.argmax(np.nan_to_num(np.abs(phi)).sum(axis=0)))
    title = f"{heading(explanation, i, k)}\n{equation(explanation, i, k)}"
    if ax is None:
        figure = new_figure(8.0, 3.0)
        ax = figure.add_subplot()
    else:
        figure = figure_of(ax)
    ax.set_title(title, loc="left", fontsize="medium", parse_math=False)
    steps = np.arange(len(sums))
    ax.bar(steps, np.nan_to_num(sums), width=0.86, color=[hex_of(0.9 if v > 0 else -0.9) for v in sums])
    ink = ax.xaxis.label.get_color()
    ax.axhline(0, color=ink, linewidth=0.8)
    ax.locator_params(axis="x", integer=True)
    ax.set(xlabel="step", ylabel="attribution of the step")
    bare(ax, "left", "bottom")
    course = ax.twinx()
    course.plot(steps, chosen.inputs[i][:, best], color=ink, linewidth=1.1, label=f"channel {best}")
    course.plot(steps, chosen.baselines[i][:, best], "--", color=ink, linewidth=0.9, alpha=0.7, label="its baseline")
    course.set_ylabel(f"channel {best}")
    course.legend(frameon=False, fontsize="small", loc="best")
    bare(course, "right")
    return figure


def _series_leaf(explanation: Explanation, name: str | None) -> Leaf:
    leaves = explanation.leaves()
    found = [leaf for leaf in leaves if kind_of_leaf(leaf) == "series" and name in (None, leaf.name)]
    if len(found) != 1:
        shapes = ", ".join(f"{leaf.name or 'x'} {leaf.inputs.shape}" for leaf in leaves)
        raise InputError(f"expected one series (N, T, C), or leaf= to name it; the input has {shapes}")
    return found[0]
