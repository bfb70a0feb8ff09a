"""Tables of a report: one row per path, and the bars of one path."""

from __future__ import annotations

import math

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.table import sample_labels, target_label, targets_each
from pyig.explanation.verdict import percent, status
from pyig.views.colours import Bytes, signed_palette
from pyig.views.markup import esc, name, row
from pyig.views.png import data_uri, encode
from pyig.views.ranking import Ranking, rank
from pyig.views.words import number, plural, shorten, signed

SPAN, HEIGHT = 220, 12  # pixels for the longest bars of both sides, and of a bar
LABEL = 60
MARKS = {"converged": "✓", "not converged": "!", "stopped early": "■", "no estimate": "?"}
REST = np.array([[140, 140, 140]], np.uint8)
STRIPES = np.array([[140, 140, 140], [208, 208, 208]], np.uint8)


def summary(explanation: Explanation, rows: int) -> str:
    """Return the table of all paths, at most `rows` of them: F, gap, estimated error, gradients, status."""
    n, k = len(explanation), targets_each(explanation)
    labels, states = sample_labels(explanation), status(explanation)
    columns = ("values", "baseline_values", "deltas", "relative_gap", "relative_error", "n_evals")
    flat = [getattr(explanation, column).ravel() for column in columns]
    named = ["sample"] if explanation.targets is None else ["sample", "target"]
    head = [*named, "F(x)", "F(x')", "difference", "gap", "relative gap", "est. error", "gradients", "status"]
    figures = range(len(named), len(head) - 1)
    lines = []
    for m in range(min(rows, n * k)):
        after, before, gap, gap_share, error_share, spent = (column[m] for column in flat)
        cells = [name(labels[m // k])]
        cells += [] if explanation.targets is None else [name(target_label(explanation, m // k, m % k))]
        cells += [f"{after:.4g}", f"{before:.4g}", f"{after - before:+.4g}", signed([gap])[0]]
        cells += ["unknown" if math.isnan(share) else percent(share) for share in (gap_share, error_share)]
        cells += [str(spent), f"{MARKS[states[m]]} {states[m]}"]
        lines.append(row(cells, numbers=figures))
    left = n * k - rows
    more = f"<p>{plural(left, 'more row')} not shown.</p>" if left > 0 else ""
    body = "".join(lines)
    return f"<table><thead>{row(map(esc, head), 'th', figures)}</thead><tbody>{body}</tbody></table>{more}"


def bar_table(explanation: Explanation, i: int, k: int, top: int | None, caption: str) -> str:
    """Return the features of one path as a table with bars; its rows add up to F(x) - F(x')."""
    ranking = rank(explanation, i, k, top)
    lines: list[tuple[str, str, str, float, Bytes | None]] = [
        (name(shorten(r.label, LABEL)), name(number(r.value)), name(number(r.baseline)), r.attribution, None)
        for r in ranking.rows
    ]
    if ranking.others:
        lines.append((esc(plural(ranking.others, "other feature")), "", "", ranking.remainder, REST))
    lines.append(("completeness gap", "", "", ranking.missing, STRIPES))
    amounts = [line[3] for line in lines]
    figures = signed([*amounts, ranking.difference], like=amounts)
    scale = _scale(ranking)
    body = []
    for (label, value, baseline, amount, paint), figure in zip(lines, figures, strict=False):
        against, favour = (_bar(amount, scale, paint), "") if amount < 0 else ("", _bar(amount, scale, paint))
        body.append(
            f'<tr><th scope="row" align="left">{label}</th><td class="n" align="right">{value}</td>'
            f'<td class="n" align="right">{baseline}</td><td class="bar" align="right">{against}</td>'
            f'<td class="bar" align="left">{favour}</td><td class="n" align="right">{figure}</td></tr>'
        )
    head = (
        '<tr><th align="left">feature</th><th class="n" align="right">value</th><th class="n" align="right">baseline'
        '</th><th align="right">against</th><th align="left">for</th><th class="n" align="right">attribution</th></tr>'
    )
    foot = f'<tr><th align="left" colspan="5">F(x) - F(x\')</th><td class="n" align="right">{figures[-1]}</td></tr>'
    parts = f"<thead>{head}</thead><tbody>{''.join(body)}</tbody><tfoot>{foot}</tfoot>"
    return f"<table><caption>{esc(caption)}</caption>{parts}</table>"


def _scale(ranking: Ranking) -> float:
    """Pixels per unit, so that the longest bar against and the longest bar for share the span."""
    amounts = [r.attribution for r in ranking.rows] + [ranking.remainder, ranking.missing, 0.0]
    finite = [amount for amount in amounts if math.isfinite(amount)]
    reach = max(finite) - min(finite)
    return SPAN / reach if reach > 0 else 0.0


def _bar(amount: float, scale: float, paint: Bytes | None) -> str:
    """Draw a bar as a picture: the one form that survives the sanitisers and converters of notebooks.

    It has its size in pixels, since JupyterLab's style gives pictures the height that suits their proportions.
    """
    if amount == 0 or not math.isfinite(amount):
        return ""
    width = max(1, round(abs(amount) * scale))
    rows, columns = np.ogrid[:HEIGHT, :width]
    colours = signed_palette()[[-12 if amount > 0 else 11]] if paint is None else paint
    pixels = ((rows + columns) // 3 % len(colours)).astype(np.uint8)
    return f'<img src="{data_uri(encode(pixels, colours))}" width="{width}" height="{HEIGHT}" alt="">'
