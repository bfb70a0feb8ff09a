"""F along the path as a small drawing in the page's own text colour, for light and dark alike."""

from __future__ import annotations

import numpy as np

from pyig.explanation import Explanation
from pyig.views.colours import hex_of
from pyig.views.markup import esc
from pyig.views.words import number

WIDTH, HEIGHT = 480, 130
SIDE, TOP, BOTTOM = 104, 10, 24
POINTS = 64


def curve(explanation: Explanation, i: int, k: int) -> str:
    """Return an SVG of F at every node (at most 64 of them), from baseline to input."""
    path = explanation.path(i, k)
    keep = np.unique(np.linspace(0, len(path.alphas) - 1, min(POINTS, len(path.alphas))).round().astype(int))
    alphas, values = path.alphas[keep], path.values[keep]
    if not np.isfinite(values).all():
        return "<p>F is not finite on the path.</p>"
    low, high = float(values.min()), float(values.max())
    flat = high == low
    across = SIDE + alphas * (WIDTH - 2 * SIDE)
    share = np.full_like(values, 0.5) if flat else (values - low) / (high - low)
    down = HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    nodes = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in zip(across, down, strict=True))
    first, last = number(values[0]), number(values[-1])
    text = f"F from {first} at the baseline to {last} at the input, {len(path.alphas)} points"
    floor, colour = HEIGHT - BOTTOM + 4, hex_of(-0.9)
    return (
        f'<svg role="img" aria-label="{esc(text)}" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<path d="M{SIDE} {floor}H{WIDTH - SIDE}" stroke="currentColor" stroke-opacity="0.5"/>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/><g fill="{colour}">{nodes}</g>'
        f'<g fill="currentColor" font-size="11"><text x="{SIDE - 8}" y="{down[0] + 4:.1f}" text-anchor="end">'
        f"F(x') {esc(first)}</text>"
        f'<text x="{WIDTH - SIDE + 8}" y="{down[-1] + 4:.1f}">F(x) {esc(last)}</text>'
        f'<text x="{SIDE}" y="{HEIGHT - 6}">baseline</text>'
        f'<text x="{WIDTH - SIDE}" y="{HEIGHT - 6}" text-anchor="end">input</text></g></svg>'
    )
