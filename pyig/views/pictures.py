"""Pictures of a report: the input, its heat map and the overlay as PNG, with a legend and words for each."""

from __future__ import annotations

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.one_path import of_path
from pyig.views.colours import Bytes
from pyig.views.markup import esc
from pyig.views.png import data_uri, encode
from pyig.views.raster import Floats, Heat, few_colours, heat, overlay, overlay_few_colours, per_pixel, shrink, visible
from pyig.views.shapes import picture_leaf
from pyig.views.words import signed

SIDE = 224  # pixels on screen for the longer side of a small picture
START = 96  # of the baseline beside it


def picture_row(explanation: Explanation, i: int, k: int, caption: str, limit: int, budget: int) -> str:
    """Return the three pictures of one path side by side, and the baseline, small.

    A side above `limit` pixels is reduced by averaging; above `budget` bytes in all, fewer colours are used,
    first in the overlay, then in the input.
    """
    leaf, layout = picture_leaf(explanation)
    attributions = of_path(explanation, leaf.attributions, i, k)
    pixels, picture = per_pixel(attributions, layout), visible(leaf.inputs[i], layout)
    factor = -(-max(pixels.shape) // limit)
    small, shown = shrink(pixels, factor), np.rint(shrink(picture, factor)).astype(np.uint8)
    colours = heat(small)
    source, middle = encode(shown), encode(colours.palette_index, colours.palette)
    mixed = encode(overlay(shown, colours))
    if len(source) + len(middle) + len(mixed) > budget:
        mixed = encode(*overlay_few_colours(shown, colours))
    if len(source) + len(middle) + len(mixed) > budget and shown.ndim == 3:
        source = encode(*few_colours(shown))
    start = visible(leaf.baselines[i], layout, like=leaf.inputs[i])
    files = [source, middle, mixed]
    words = [
        ("input", "the input picture"),
        ("attributions", describe(small)),
        ("overlay", "attributions over the input"),
    ]
    figures = [_figure(file, title, text, small.shape) for file, (title, text) in zip(files, words, strict=True)]
    figures.append(_figure(_small(start), _start_name(explanation), "the baseline picture", small.shape, START))
    note = f" Reduced for display: one pixel is the mean of {factor} x {factor}." if factor > 1 else ""
    return f'<p>{esc(caption)}</p><div class="row">{"".join(figures)}</div>{_legend(colours, note)}'


def describe(pixels: Floats) -> str:
    """Say what a heat map shows, for those who do not see it."""
    size = f"heat map of {pixels.shape[0]} by {pixels.shape[1]} pixels"
    if not np.isfinite(pixels).all():
        return f"{size}, some attributions are not finite"
    if not np.any(pixels):
        return f"{size}, all attributions are zero"
    favour, against = float(pixels.clip(0).sum()), float((-pixels).clip(0).sum())
    row, column = np.unravel_index(int(np.argmax(np.abs(pixels))), pixels.shape)
    share = round(100 * favour / (favour + against))
    return f"{size}, {share} % of the attribution speaks for; strongest at row {row}, column {column}"


def _small(picture: Bytes) -> bytes:
    """Return a picture of at most `START` pixels on a side; one of one colour as a single pixel."""
    if (picture == picture[:1, :1]).all():
        return encode(picture[:1, :1])
    shown = np.rint(shrink(picture, -(-max(picture.shape[:2]) // START))).astype(np.uint8)
    return encode(*few_colours(shown)) if shown.ndim == 3 else encode(shown)


def _start_name(explanation: Explanation) -> str:
    count = explanation.meta.get("n_baselines") or 1
    return f"baseline, mean of {count}" if count > 1 else "baseline"


def _figure(file: bytes, title: str, text: str, shape: tuple[int, ...], side: int = SIDE) -> str:
    zoom = side / max(shape)
    width, height = round(shape[1] * zoom), round(shape[0] * zoom)
    crisp = ' class="crisp"' if zoom > 1.5 else ""
    image = f'<img{crisp} src="{data_uri(file)}" width="{width}" height="{height}" alt="{esc(text)}">'
    return f"<figure>{image}<figcaption>{esc(title)}</figcaption></figure>"


def _legend(colours: Heat, note: str) -> str:
    remarks = "".join(f" {remark}." for remark in colours.remarks())
    if colours.scale == 0:
        return f'<p class="legend">Attributions:{remarks}{note}</p>'
    low, high = signed([-colours.scale, colours.scale])
    strip = np.tile(np.linspace(0, len(colours.palette) - 1, 160).round().astype(np.uint8), (12, 1))
    image = f'<img src="{data_uri(encode(strip, colours.palette))}" width="160" height="12" alt="blue to orange">'
    return f'<p class="legend">against {low} {image} {high} for, per pixel.{remarks}{note}</p>'
