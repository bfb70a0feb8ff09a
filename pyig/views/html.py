"""The report: a fragment for a notebook cell, and a page of its own that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable

from pyig.errors import InputTypeError
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.explanation.one_path import heading
from pyig.explanation.table import targets_each
from pyig.views.buildup_html import markup
from pyig.views.curve import curve
from pyig.views.markup import Html, esc, name
from pyig.views.passage import STYLE, is_text, passage
from pyig.views.pictures import picture_row
from pyig.views.shapes import kind_of
from pyig.views.skeleton import fragment_of, page_of
from pyig.views.tables import bar_table, summary
from pyig.views.words import equation, number, plural

Along = CumulativeAttributions | Iterable[CumulativeAttributions] | None
NOTEBOOK_SAMPLES, NOTEBOOK_ROWS = 3, 10
NOTEBOOK_SIDE = 224
PAGE_SAMPLES, PAGE_ROWS = 20, 500
BUDGET = 200_000  # bytes of the three pictures of a sample in a notebook, which saves its outputs

NOTE = (
    "Attributions of one sample add up to F(x) - F(x'), but for the completeness gap. A small gap is necessary, not "
    "sufficient; the error is an estimate, not a guarantee."
)


def html(
    explanation: Explanation,
    samples: int = NOTEBOOK_SAMPLES,
    top: int | None = 10,
    side: int = NOTEBOOK_SIDE,
    along: Along = None,
) -> Html:
    """Return the explanation as markup for a notebook cell; colours follow the notebook's theme.

    Parameters
    ----------
    explanation : Explanation
        What to show.
    samples : int
        How many samples to show in detail; ten rows of all are listed.
    top : int or None
        Features per sample.
    side : int
        Most pixels on a side of a picture; a larger one is reduced. Half as many where there are several.
    along : CumulativeAttributions, or several, optional
        What `IntegratedGradients.along` gave for samples that are shown.
    """
    limit = side if min(samples, len(explanation)) <= 1 else side // 2
    several = explanation.values.size > 1
    parts = [f"<p><b>{esc(_title(explanation))}</b><br>{esc(explanation.verdict())}</p>"]
    parts += [summary(explanation, NOTEBOOK_ROWS)] if several else []
    budget = BUDGET * side**2 // NOTEBOOK_SIDE**2
    parts += [_details(explanation, samples, top, limit, budget, own_heading=False, along=along)]
    return Html(fragment_of("".join(parts), _style(explanation)))


def page(
    explanation: Explanation,
    samples: int = PAGE_SAMPLES,
    top: int | None = 15,
    title: str | None = None,
    along: Along = None,
) -> str:
    """Return the explanation as one self-contained page.

    Parameters
    ----------
    explanation : Explanation
        What to show.
    samples : int
        How many samples to show in detail; up to 500 rows of all are listed.
    top : int or None
        Features per sample.
    title : str, optional
        Heading of the page.
    along : CumulativeAttributions, or several, optional
        What `IntegratedGradients.along` gave for samples that are shown.
    """
    title = title if title is not None else _title(explanation)
    parts = [
        f"<h1>{name(title)}</h1><p>{esc(explanation.verdict())}</p>",
        f"<h2>Samples</h2>{summary(explanation, PAGE_ROWS)}" if explanation.values.size else "",
        _details(explanation, samples, top, 448, 1 << 30, own_heading=True, along=along),
        f"<h2>How this was made</h2>{_record(explanation)}",
        f"<p>{esc(NOTE)}</p>",
    ]
    return page_of(esc(title), "".join(parts), _style(explanation))


def _title(explanation: Explanation) -> str:
    model = explanation.meta.get("model")
    return f"Integrated Gradients{f' of {model}' if model else ''}: {plural(len(explanation), 'sample')}"


def _details(
    e: Explanation, samples: int, top: int | None, limit: int, budget: int, own_heading: bool, along: Along
) -> str:
    kind, known = kind_of(e), _known(along)
    parts: list[str] = []
    targets = targets_each(e)
    for i in range(min(samples, len(e))):
        for k in range(targets):
            caption = equation(e, i, k) if own_heading else f"{heading(e, i, k)}: {equation(e, i, k)}"
            parts += [f"<h2>{name('S' + heading(e, i, k)[1:])}</h2>"] if own_heading else []
            if kind == "image":
                parts.append(picture_row(e, i, k, caption, limit, budget))
            else:
                parts += [passage(e, i, k, leaf) for leaf in e.leaves() if is_text(leaf)]
                parts.append(bar_table(e, i, k, top, caption))
            opened = "" if bool(e.converged.reshape(len(e), -1)[i, k]) else " open"
            parts.append(f"<details{opened}><summary>F along the path</summary>{curve(e, i, k)}</details>")
            lines = known.get(heading(e, i, k))
            if lines is not None:
                parts.append(f"<details open><summary>Cumulative attribution</summary>{markup(lines)}</details>")
    left = len(e) - samples
    if left > 0:
        parts.append(f"<p>{plural(left, 'more sample')} not shown in detail.</p>")
    return "".join(parts)


def _known(along: Along) -> dict[str, CumulativeAttributions]:
    if along is None:
        return {}
    several = [along] if isinstance(along, CumulativeAttributions) else list(along)
    for lines in several:
        if not isinstance(lines, CumulativeAttributions):
            got = type(lines).__name__
            raise InputTypeError(f"expected along= as what IntegratedGradients.along gives, or several; got {got}")
    return {lines.title: lines for lines in several}


def _style(explanation: Explanation) -> str:
    return STYLE if any(map(is_text, explanation.leaves())) else ""


def _record(explanation: Explanation) -> str:
    """List how the result was made: whatever meta holds, lists and versions included."""
    lines = []
    for key, value in explanation.meta.items():
        if value is None or value == [] or value == {}:
            continue
        items = [f"{k} {v}" for k, v in value.items()] if isinstance(value, dict) else value
        shown = (
            "; ".join(map(str, items))
            if isinstance(items, list)
            else items
            if isinstance(items, str)
            else number(items)
        )
        lines.append(f'<tr><th scope="row" align="left">{esc(key)}</th><td>{esc(shown)}</td></tr>')
    return f"<table>{''.join(lines)}</table>"
