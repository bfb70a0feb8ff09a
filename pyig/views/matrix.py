"""Features of one sample against its targets, as a tinted table: what each generated token follows from."""

from __future__ import annotations

import math

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.one_path import pick
from pyig.explanation.table import feature_labels, flat_columns, target_label
from pyig.views.markup import Html, esc, name, row
from pyig.views.passage import LEVELS, STYLE
from pyig.views.ranking import text_columns
from pyig.views.skeleton import fragment_of
from pyig.views.words import plural, shorten, signed


def matrix(explanation: Explanation, sample: int = 0, top: int | None = 30) -> Html:
    """Return a table with a row for each feature of a sample and a column for each of its targets.

    Parameters
    ----------
    explanation : Explanation
        With any number of targets.
    sample : int
        Position of the sample.
    top : int or None
        The largest features, by their share of any target; words of a text stand in its order, and all of them.
    """
    if not len(explanation):
        return Html(fragment_of("<p>no samples</p>"))
    i, _ = pick(explanation, sample, 0)
    one = explanation[i]
    attributions, inputs, _ = (column[0] for column in flat_columns(one))
    phi = np.asarray(attributions, dtype=np.float64)
    text, labels = text_columns(one), feature_labels(one)
    size = np.where(np.isfinite(phi), np.abs(phi), 0.0).max(axis=0)
    others = [j for j in np.argsort(-size, kind="stable").tolist() if not text[j]]
    kept = [j for j in range(len(text)) if text[j] and inputs[j] and size[j] > 0] + others[:top]
    largest = float(size.max(initial=0.0))
    targets = [name(target_label(explanation, i, k) or "F") for k in range(len(phi))]
    lines = [row(["", *targets], "th", range(1, len(targets) + 1))]
    for j in kept:
        figures = signed(phi[:, j].tolist(), like=[largest])
        cells = [_cell(a, figure, largest) for a, figure in zip(phi[:, j].tolist(), figures, strict=True)]
        label = name(shorten(str(inputs[j] if text[j] else labels[j]), 60))
        lines.append(f'<tr><th scope="row" align="left">{label}</th>{"".join(cells)}</tr>')
    values = (f"{value:.3g}" for value in np.ravel(explanation.values[i]))
    lines.append(row([esc("F(x)"), *map(esc, values)], "td", range(1, len(targets) + 1)))
    left = len(others) - len(others[:top])
    more = f"<p>{plural(left, 'more feature')} not shown.</p>" if left else ""
    return Html(fragment_of(f'<div class="wide"><table>{"".join(lines)}</table></div>{more}', STYLE))


def _cell(amount: float, figure: str, largest: float) -> str:
    level = math.ceil(LEVELS * abs(amount) / largest - 1e-9) if largest and math.isfinite(amount) else 0
    tint = f" {'f' if amount > 0 else 'a'}{level}" if level else ""
    return f'<td class="n{tint}" align="right">{esc(figure)}</td>'
