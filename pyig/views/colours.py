"""Colours that keep their meaning: orange for, blue against, white for nothing, purple where no sign counts.

Hues apart for every common colour blindness; equal lightness steps on both sides, built in OKLab (Ottosson 2020),
so that equal magnitudes of either sign look equally strong, also in print without colour.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

STEPS = 127  # on each side of white: 255 colours, one byte per pixel
ORANGE, BLUE, PURPLE = 58.0, 253.0, 312.0  # OKLab hue, degrees
WHITE, DARK, DARKEST = 0.985, 0.55, 0.36  # OKLab lightness: nothing, the end of a signed half, of the unsigned palette


@functools.cache
def signed_palette() -> Bytes:
    """Return (255, 3) sRGB bytes from blue over exact white to orange."""
    ramp = np.linspace(0, 1, STEPS + 1)[1:]
    against, favour = _ramp(ramp, BLUE, DARK, 0.155), _ramp(ramp, ORANGE, DARK, 0.155)
    return _frozen(np.concatenate([against[::-1], np.full((1, 3), 255, np.uint8), favour]))


@functools.cache
def unsigned_palette() -> Bytes:
    """Return (255, 3) sRGB bytes from exact white to dark purple."""
    colours = _ramp(np.linspace(0, 1, 2 * STEPS + 1), PURPLE, DARKEST, 0.17)
    colours[0] = 255
    return _frozen(colours)


def hex_of(strength: float) -> str:
    """Return the signed palette's colour for a strength in [-1, 1], for bars and lines.

    Examples
    --------
    >>> hex_of(0.0)
    '#ffffff'
    """
    red, green, blue = signed_palette()[round((strength + 1) * STEPS)].tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _ramp(t: NDArray[np.float64], hue: float, dark: float, chroma: float) -> Bytes:
    """Fall evenly in lightness; chroma rises fast, then flattens, which keeps faint attributions visible."""
    angle = np.deg2rad(hue)
    strength = chroma * np.sin(np.pi / 2 * t) ** 0.9
    lab = np.stack([WHITE - (WHITE - dark) * t, strength * np.cos(angle), strength * np.sin(angle)], axis=1)
    return srgb(lab)


def srgb(lab: NDArray[np.float64]) -> Bytes:
    """Convert OKLab (n, 3) to sRGB bytes."""
    to_lms = [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
    to_linear = [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
    linear = np.clip(((lab @ np.array(to_lms).T) ** 3) @ np.array(to_linear).T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * curved), np.uint8)


def _frozen(colours: Bytes) -> Bytes:
    result = np.ascontiguousarray(colours, dtype=np.uint8)
    result.flags.writeable = False
    return result
