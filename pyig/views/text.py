"""Top features as plain text, for a terminal, a log, or a notebook cell."""

from __future__ import annotations

from pyig.explanation import Explanation
from pyig.explanation.one_path import heading
from pyig.explanation.table import targets_each
from pyig.views.ranking import Ranking, rank
from pyig.views.words import Shown, equation, number, plural, shorten, signed

BAR = 20
LABEL = 40


def text(explanation: Explanation, top: int | None = 10, samples: int = 5) -> Shown:
    """Write the top features of the first samples, then the verdict.

    Parameters
    ----------
    explanation : Explanation
        What to write.
    top : int or None
        Features per sample; the others share one line. None writes all.
    samples : int
        How many samples to write.

    Returns
    -------
    str
        One block of lines per sample and target. Bars of ``+`` speak for F, bars of ``-`` against it.
    """
    blocks = []
    targets = targets_each(explanation)
    for i in range(min(samples, len(explanation))):
        for k in range(targets):
            title = f"{heading(explanation, i, k)}: {equation(explanation, i, k)}"
            blocks.append("\n".join([title, *_lines(rank(explanation, i, k, top))]))
    left = len(explanation) - samples
    if left > 0:
        blocks.append(f"({plural(left, 'more sample')}: pass samples={len(explanation)} to see all)")
    return Shown("\n\n".join([*blocks, explanation.verdict()]))


def _lines(ranking: Ranking) -> list[str]:
    cells = [(shorten(row.label, LABEL), number(row.value), number(row.baseline)) for row in ranking.rows]
    amounts = [row.attribution for row in ranking.rows]
    if ranking.others:
        cells.append((plural(ranking.others, "other feature"), "", ""))
        amounts.append(ranking.remainder)
    if ranking.gap_shows:
        cells.append(("completeness gap", "", ""))
        amounts.append(ranking.missing)
    head = ("feature", "value", "baseline")
    widths = [max(len(row[column]) for row in [head, *cells]) for column in range(3)]
    figures = signed(amounts)
    width = max(len("attribution"), *map(len, figures)) if figures else len("attribution")
    lines = [f"  {head[0]:<{widths[0]}}  {head[1]:>{widths[1]}}  {head[2]:>{widths[2]}}  {'attribution':>{width}}"]
    for (label, value, baseline), figure, amount in zip(cells, figures, amounts, strict=True):
        bar = _bar(amount, ranking.largest)
        line = f"  {label:<{widths[0]}}  {value:>{widths[1]}}  {baseline:>{widths[2]}}  {figure:>{width}}  {bar}"
        lines.append(line.rstrip())
    return lines


def _bar(amount: float, largest: float) -> str:
    length = round(BAR * abs(amount) / largest) if largest > 0 and abs(amount) < float("inf") else 0
    return ("+" if amount > 0 else "-") * length
