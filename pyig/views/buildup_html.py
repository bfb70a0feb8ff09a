"""How attributions build up along the path, as a small drawing and a table in the page's own text colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyig.explanation.cumulative import CumulativeAttributions
from pyig.views.lines import NAME, Look, looks, spans, told
from pyig.views.markup import Html, esc, name, row
from pyig.views.skeleton import fragment_of
from pyig.views.words import number, shorten, signed

Floats = NDArray[np.float64]
WIDTH, HEIGHT = 480, 190
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 10, 26
POINTS = 100  # of a line: more cannot be seen
PAPER = "#ffffff"  # the hues are made for a light ground


def fragment(lines: CumulativeAttributions) -> Html:
    """Return the lines as markup for a notebook cell."""
    return Html(fragment_of(markup(lines)))


def markup(lines: CumulativeAttributions) -> str:
    """Return drawing and table, for a page that has the style of the reports."""
    figures = signed([*lines.attributions])
    head = row(["line", "feature", "attribution", "est. error"], "th", (2, 3))
    body = "".join(
        row([_swatch(look), name(shorten(label, NAME)), figure, f"± {error:.1g}"], numbers=(2, 3))
        for look, label, figure, error in zip(looks(lines), lines.names, figures, lines.errors, strict=True)
    )
    caption = f"<p>Cumulative attribution: {esc(spans(lines))}. {esc(told(lines))}.</p>"
    return f"{drawing(lines)}<table><thead>{head}</thead><tbody>{body}</tbody></table>{caption}"


def drawing(lines: CumulativeAttributions) -> str:
    """Return an SVG of the lines, saturated parts shaded."""
    keep = np.unique(np.linspace(0, len(lines.alphas) - 1, min(POINTS, len(lines.alphas))).round().astype(int))
    alphas, curves = lines.alphas[keep], lines.cumulative[keep]
    if not np.isfinite(curves).all():
        return "<p>The lines are not finite.</p>"
    low, high = float(curves.min()), float(curves.max())
    reach = high - low or 1.0
    foot = HEIGHT - BOTTOM

    def across(alpha: Floats) -> Floats:
        return LEFT + alpha * (WIDTH - LEFT - RIGHT)

    def down(value: Floats | float) -> Floats | float:
        return foot - (value - low) / reach * (foot - TOP)

    shades = "".join(
        f'<rect x="{a:.1f}" y="{TOP}" width="{b - a:.1f}" height="{foot - TOP}" fill="#8c8c8c" fill-opacity="0.22"/>'
        for a, b in across(lines.saturated)
    )
    drawn = "".join(
        f'<polyline points="{_points(across(alphas), down(curves[:, n]))}" fill="none" stroke="{look.colour}" '
        f'stroke-width="1.7"{_dashes(look)}/>'
        for n, look in enumerate(looks(lines))
    )
    marks = "".join(
        f'<text x="{LEFT - 6}" y="{down(value) + 4:.1f}" text-anchor="end">{esc(number(value))}</text>'
        for value in ({low, 0.0, high} if min(abs(low), abs(high)) > 0.12 * reach else {low, high})
    )
    text = f"cumulative attribution of {', '.join(lines.names)}; {spans(lines)}"
    return (
        f'<svg role="img" aria-label="{esc(text)}" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>{shades}'
        f'<path d="M{LEFT} {down(0.0):.1f}H{WIDTH - RIGHT}" stroke="#1d1d1f" stroke-opacity="0.35"/>{drawn}'
        f'<g fill="#1d1d1f" font-size="11">{marks}<text x="{LEFT}" y="{HEIGHT - 8}">baseline</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">input</text></g></svg>'
    )


def _points(x: Floats, y: Floats | float) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, np.asarray(y), strict=True))


def _dashes(look: Look) -> str:
    return f' stroke-dasharray="{" ".join(map(str, look.dashes))}"' if look.dashes else ""


def _swatch(look: Look) -> str:
    return (
        '<svg width="34" height="10" viewBox="0 0 34 10" aria-hidden="true">'
        f'<rect width="34" height="10" fill="{PAPER}"/>'
        f'<path d="M1 5H33" stroke="{look.colour}" stroke-width="2"{_dashes(look)}/></svg>'
    )
