"""Texts and pictures kept beside the tests. ``PYIG_GOLDEN=write pytest`` renews them; then look at each one.

Letters are drawn a little differently from one version of freetype or matplotlib to the next, and by another font
altogether, and what stands beside them moves. So what a figure says is kept as text, in the description of the file,
and what it draws as pixels: each Axes by itself, without letters, brought to one size.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FOLDER = Path(__file__).parent / "golden"
MOST, MEAN = 48, 2.0  # of 255: bars and lines that end a pixel further
WIDTH, HEIGHT = 144, 96
EDGE = 2  # pixels of the figure: frames and pictures are drawn on whole pixels, wherever their Axes end


def check_text(name: str, text: str) -> None:
    """Compare a text with the one that is kept, or keep it."""
    if os.environ.get("PYIG_GOLDEN") == "write":
        (FOLDER / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    compare_text(name, text)


def compare_text(name: str, text: str) -> None:
    assert text + "\n" == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def check_figure(name: str, figure: Any) -> None:
    """Compare a figure, drawn small, with the one that is kept, or keep it."""
    if os.environ.get("PYIG_GOLDEN") == "write":
        (FOLDER / f"{name}.png").write_bytes(render(figure))
    compare_figure(name, figure)


def compare_figure(name: str, figure: Any) -> None:
    kept = (FOLDER / f"{name}.png").read_bytes()
    drawn = render(figure)
    assert said(drawn) == said(kept), f"{name}: what it says differs by {sorted(set(said(drawn)) ^ set(said(kept)))}"
    most, mean = difference(pixels(drawn), pixels(kept))
    assert most <= MOST, f"{name}: a block differs by {most:.0f} of 255"
    assert mean <= MEAN, f"{name}: the picture differs by {mean:.2f} of 255 on average"


def render(figure: Any) -> bytes:
    """Draw what stands in each Axes, without letters, side by side; the letters are the description of the file."""
    figure.draw_without_rendering()  # which settles the places of Axes, and writes the labels of ticks
    axes = [part for ax in figure.axes for part in (ax, *ax.child_axes)]
    texts = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text())
    described = json.dumps([text.get_text() for text in texts])
    for text in texts:
        text.set_alpha(0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    whole = Image.open(buffer).convert("RGB")
    strip = Image.new("RGB", (WIDTH * len(axes), HEIGHT), "white")
    for n, ax in enumerate(axes):
        x0, y0, x1, y1 = ax.get_window_extent().padded(-EDGE).extents
        box = (max(x0, 0), max(whole.height - y1, 0), min(x1, whole.width), min(whole.height - y0, whole.height))
        strip.paste(whole.resize((WIDTH, HEIGHT), Image.Resampling.BOX, box=box), (WIDTH * n, 0))
    info = PngInfo()
    info.add_text("Description", described)
    out = io.BytesIO()
    strip.save(out, "png", pnginfo=info, optimize=True)
    return out.getvalue()


def said(png: bytes) -> list[str]:
    """Return the texts of a figure."""
    with Image.open(io.BytesIO(png)) as image:
        found: list[str] = json.loads(image.text["Description"])
    return found


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(matplotlib.image.imread(io.BytesIO(png)))[..., :3] * 255.0


def difference(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return the largest difference of 6x6 block means, and the mean difference; infinite for other sizes."""
    if one.shape != other.shape:
        return float("inf"), float("inf")
    away = np.abs(blocks(one) - blocks(other))
    return float(away.max()), float(np.abs(one - other).mean())


def blocks(picture: np.ndarray[Any, Any], side: int = 6) -> np.ndarray[Any, Any]:
    height, width = (size // side * side for size in picture.shape[:2])
    cut = picture[:height, :width].reshape(height // side, side, width // side, side, -1)
    return np.asarray(cut.mean(axis=(1, 3)))
