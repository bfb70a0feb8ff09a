"""F along the path from baseline to input, and how the attributions build up on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.one_path import heading, pick
from pyig.explanation.running import running_sum
from pyig.views.colours import hex_of
from pyig.views.figure import bare, figure_of, new_figure
from pyig.views.words import number


def convergence(explanation: Explanation, sample: int = 0, target: int = 0, ax: Any = None) -> Any:
    """Draw what the quadrature saw on the path of one sample.

    Parameters
    ----------
    explanation : Explanation
        What to draw.
    sample, target : int
        Positions of the sample, and of the target among its targets.
    ax : two matplotlib Axes, optional
        Draw here instead of in a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        Left: F at every node evaluated. Right: the running sum of weight * dF/da, which ends at the sum of the
        attributions, against F(a) - F(x'), which ends at F(x) - F(x'); what is between the two ends is the
        completeness gap.
    """
    i, k = pick(explanation, sample, target)
    path = explanation.path(i, k)
    axes = None if ax is None else list(np.ravel(ax))
    if axes is not None and len(axes) != 2:
        raise InputError(f"expected two Axes, for F and for the running sum; got {len(axes)}")
    figure = new_figure(8.4, 3.0) if axes is None else figure_of(axes[0])
    left, right = axes if axes is not None else figure.subplots(1, 2)
    ink, blue, orange = left.xaxis.label.get_color(), hex_of(-0.95), hex_of(0.95)

    nodes = ~np.isnan(path.slopes)
    left.plot(path.alphas, path.values, color=blue, linewidth=1.2)
    left.plot(path.alphas[nodes], path.values[nodes], "o", color=blue, markersize=3.5, label="nodes")
    left.plot([0, 1], path.values[[0, -1]], "D", color=ink, markersize=4.5, label="F(x') and F(x)")
    left.set_title(f"F along the path: {int(nodes.sum())} nodes", loc="left", fontsize="medium")

    right.plot(path.alphas, path.values - path.values[0], color=blue, linewidth=1.2, label="F(a) - F(x')")
    if np.any(path.weights != 0):
        reached, total = (np.append(0.0, part) for part in running_sum(explanation, i, k))
        right.plot(reached, total, "--", color=orange, linewidth=1.5, label="sum of weight * dF/da so far")
    gap = float(explanation.deltas.reshape(len(explanation), -1)[i, k])
    right.set_title(f"running sum: gap {number(gap)} at the end", loc="left", fontsize="medium")

    for place in (left, right):
        place.set_xlabel("a: 0 = baseline, 1 = input")
        place.set_xlim(-0.02, 1.02)
        place.margins(y=0.12)
        place.grid(alpha=0.25)
        place.legend(frameon=False, fontsize="small")
        bare(place, "left", "bottom")
    if axes is None:
        figure.suptitle(heading(explanation, i, k), fontsize="medium", fontweight="bold", parse_math=False)
    return figure
