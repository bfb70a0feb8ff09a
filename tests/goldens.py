"""Texts and pictures kept beside the tests. ``PYIG_GOLDEN=write pytest`` renews them; then look at each one."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

FOLDER = Path(__file__).parent / "golden"
MOST, MEAN = 48, 1.5  # of 255: fonts are drawn a little differently from one freetype to the next


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
    most, mean = difference(pixels(render(figure)), pixels(kept))
    assert most <= MOST, f"{name}: a block differs by {most:.0f} of 255"
    assert mean <= MEAN, f"{name}: the picture differs by {mean:.2f} of 255 on average"


def render(figure: Any, dpi: int = 50) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


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
