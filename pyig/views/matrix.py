"""Pieces of one text against several targets, as a tinted table: what each generated token follows from."""

from __future__ import annotations

import math

import numpy as np

from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.table import target_label
from pyig.views.markup import Html, esc, name, row
from pyig.views.passage import LEVELS, STYLE, is_text
from pyig.views.shapes import pick
from pyig.views.skeleton import fragment_of
from pyig.views.words import signed


def matrix(explanation: Explanation, sample: int = 0) -> Html:
    """Return a table with a row for each word of a sample and a column for each of its targets.

    Parameters
    ----------
    explanation : Explanation
        Of texts, with several targets each.
    sample : int
        Position of the text.

    Raises
    ------
    InputError
        Where the input is no text.
    """
    i, _ = pick(explanation, sample, 0)
    leaves = [leaf for leaf in explanation.leaves() if is_text(leaf)]
    if len(leaves) != 1:
        raise InputError(f"expected one text in the input; got {len(leaves)}. Use kind='bars'")
    (leaf,) = leaves
    phi = np.asarray(leaf.attributions[i], dtype=np.float64).reshape(-1, leaf.inputs.shape[1])
    kept = [t for t in range(phi.shape[1]) if leaf.inputs[i, t] and np.any(phi[:, t] != 0)]
    largest = max((abs(a) for a in phi.ravel().tolist() if math.isfinite(a)), default=0.0)
    targets = [name(target_label(explanation, i, k) or "F") for k in range(len(phi))]
    lines = [row(["", *targets], "th", range(1, len(targets) + 1))]
    for t in kept:
        figures = signed(phi[:, t].tolist(), like=[largest])
        cells = [_cell(a, figure, largest) for a, figure in zip(phi[:, t].tolist(), figures, strict=True)]
        lines.append(f'<tr><th scope="row" align="left">{name(leaf.inputs[i, t])}</th>{"".join(cells)}</tr>')
    values = (f"{value:.3g}" for value in np.ravel(explanation.values[i]))
    lines.append(row([esc("F(x)"), *map(esc, values)], "td", range(1, len(targets) + 1)))
    return Html(fragment_of(f'<div class="wide"><table>{"".join(lines)}</table></div>', STYLE))


def _cell(amount: float, figure: str, largest: float) -> str:
    level = math.ceil(LEVELS * abs(amount) / largest - 1e-9) if largest and math.isfinite(amount) else 0
    tint = f" {'f' if amount > 0 else 'a'}{level}" if level else ""
    return f'<td class="n{tint}" align="right">{esc(figure)}</td>'
