"""Pictures as arrays of bytes: the input made visible, attributions as colours, one laid over the other.

Plain numpy, so that a report shows pictures without matplotlib, and a figure shows the very same ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyig.errors import InputError, unknown
from pyig.views.colours import STEPS, Bytes, signed_palette, unsigned_palette

Floats = NDArray[np.float64]
SIGNS = ("signed", "absolute", "positive", "negative")
GRAYS, TINTS = 15, 17  # of an overlay with few colours: 255 pairs, one byte per pixel


class Heat(NamedTuple):
    """A heat map ready to be coloured.

    Attributes
    ----------
    strength : (H, W)
        Attribution per pixel over the scale, clipped to [-1, 1] (or [0, 1] without signs).
    scale : float
        Attribution at full colour; 0 where all attributions are zero.
    clipped : float
        Share of pixels beyond the scale.
    unknown : float
        Share of pixels whose attribution is not finite; they are blank.
    palette : (255, 3) bytes
        Colours from -1 (or 0) to 1.
    """

    strength: Floats
    scale: float
    clipped: float
    unknown: float
    palette: Bytes

    def remarks(self) -> list[str]:
        """Say what the colours alone do not: pixels beyond the scale, pixels without a number, no colour at all."""
        shares = {"of pixels beyond": self.clipped, "of pixels not finite": self.unknown}
        zero = ["all zero"] if self.scale == 0 and self.unknown == 0 else []
        return zero + [f"{100 * share:.2g} % {what}" for what, share in shares.items() if share]

    @property
    def palette_index(self) -> Bytes:
        """Row of the palette for each pixel, (H, W)."""
        low = -1.0 if self.palette is signed_palette() else 0.0
        return np.rint((self.strength - low) / (1 - low) * 2 * STEPS).astype(np.uint8)


def per_pixel(attributions: NDArray[Any], layout: str) -> Floats:
    """Sum the channels: what a pixel contributes to F(x) - F(x'), (H, W)."""
    wide = attributions.astype(np.float64)
    return wide if layout == "hw" else wide.sum(axis=layout.index("c"))


def heat(pixels: Floats, sign: str = "signed", clip: float = 99.0, vmax: float | None = None) -> Heat:
    """Scale a map of attributions.

    Parameters
    ----------
    pixels : (H, W)
        Attribution per pixel.
    sign : str
        ``"signed"``, ``"absolute"``, ``"positive"`` or ``"negative"``.
    clip : float
        Percentile of the magnitudes above zero that gets full colour; 100 lets one pixel set the scale.
    vmax : float, optional
        Attribution at full colour, to compare pictures on one scale; overrides `clip`.
    """
    if sign not in SIGNS:
        raise unknown("sign", sign, SIGNS)
    if not 0 < clip <= 100:
        raise InputError(f"expected clip to be a percentile above 0, at most 100; got {clip}")
    if vmax is not None and not (np.isfinite(vmax) and vmax > 0):
        raise InputError(f"expected vmax to be a finite number above 0; got {vmax}")
    kept = {"signed": pixels, "absolute": np.abs(pixels), "positive": pixels.clip(0), "negative": (-pixels).clip(0)}[
        sign
    ]
    palette = signed_palette() if sign == "signed" else unsigned_palette()
    unknown_share = float(np.mean(~np.isfinite(kept))) if kept.size else 0.0
    kept = np.nan_to_num(kept, posinf=0, neginf=0)
    sizes = np.abs(kept[kept != 0])
    scale = float(vmax if vmax is not None else np.percentile(sizes, clip) if sizes.size else 0.0)
    if scale == 0:
        return Heat(np.zeros_like(kept), 0.0, 0.0, unknown_share, palette)
    return Heat(np.clip(kept / scale, -1, 1), scale, float(np.mean(np.abs(kept) > scale)), unknown_share, palette)


def visible(sample: NDArray[Any], layout: str, like: NDArray[Any] | None = None) -> Bytes:
    """Return the input as bytes, (H, W) gray or (H, W, 3); values of any range are brought to 0..255.

    Bytes, [0, 1] and [0, 255] mean what they say; any other range (a normalised picture) is stretched as a whole,
    which keeps the hues apart from a common shift. `like` is the picture whose range counts, so that a baseline is
    seen as its input is.
    """
    x = np.nan_to_num(sample.astype(np.float64), posinf=0, neginf=0)
    x = np.moveaxis(x, 0, -1) if layout == "chw" else x
    low, high = _range(sample if like is None else like)
    # Without the clip, a baseline outside the range of its input would wrap round.
    x = np.clip((x - low) / (high - low), 0, 1) if high > low else np.full_like(x, 0.5)
    if x.ndim == 3:
        x = x[..., :3] if x.shape[2] >= 3 else x.mean(axis=2)  # a fourth channel is opacity; two have no colours
    return np.rint(255 * x).astype(np.uint8)


def _range(sample: NDArray[Any]) -> tuple[float, float]:
    """Return the values that are drawn black and white."""
    x = np.nan_to_num(sample.astype(np.float64), posinf=0, neginf=0)
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    if sample.dtype == np.uint8 or (low >= 0 and 64 < high <= 255):
        return 0.0, 255.0
    return (low, high) if low < 0 or high > 1 else (0.0, 1.0)


def gray(picture: Bytes) -> Floats:
    """Return the luma of a visible picture in [0, 1], (H, W)."""
    x = picture.astype(np.float64) / 255
    return x if x.ndim == 2 else x @ np.array([0.299, 0.587, 0.114])


def overlay(picture: Bytes, heat: Heat, opacity: float = 0.85) -> Bytes:
    """Tint the gray picture where attributions are, (H, W, 3); no attribution leaves it gray."""
    if not 0 <= opacity <= 1:
        raise InputError(f"expected opacity from 0 to 1; got {opacity}")
    return _blend(gray(picture), heat.strength, heat.palette, opacity)


def overlay_few_colours(picture: Bytes, heat: Heat, opacity: float = 0.85) -> tuple[Bytes, Bytes]:
    """Return the overlay as (H, W) indices into a palette of 255: a quarter of the file, hardly a difference."""
    low = -1.0 if heat.palette is signed_palette() else 0.0
    shades = np.clip(np.rint(gray(picture) * (GRAYS - 1) + _dither(picture)), 0, GRAYS - 1).astype(np.uint8)
    tints = np.rint((heat.strength - low) / (1 - low) * (TINTS - 1)).astype(np.uint8)
    grid = np.meshgrid(np.linspace(0, 1, GRAYS), np.linspace(low, 1, TINTS), indexing="ij")
    return shades * np.uint8(TINTS) + tints, _blend(grid[0], grid[1], heat.palette, opacity).reshape(-1, 3)


def mask(picture: Bytes, heat: Heat) -> Bytes:
    """Return the picture where attributions are strong, and grey where they are not; as the live view does."""
    opened = np.minimum(1, 1.3 * np.sqrt(np.abs(heat.strength)))
    shown = picture.astype(np.float64)
    result: Bytes = np.rint(128 + (shown - 128) * (opened if shown.ndim == 2 else opened[..., None])).astype(np.uint8)
    return result


def _blend(shade: Floats, strength: Floats, palette: Bytes, opacity: float) -> Bytes:
    # Full colour, more or less opaque: a pale colour would hide the picture without saying more.
    end = np.where(strength[..., None] < 0, palette[0], palette[-1]).astype(np.float64)
    alpha = (opacity * np.abs(strength) ** 0.7)[..., None]
    # Never black, never white: both tints must stand out from the darkest and the brightest spot.
    ground = (60 + 180 * shade)[..., None]
    mixed: Bytes = np.rint(ground * (1 - alpha) + end * alpha).astype(np.uint8)
    return mixed


def shrink(array: NDArray[Any], factor: int) -> Floats:
    """Average blocks of `factor` x `factor` pixels; blocks at the far edges may be smaller."""
    wide = array.astype(np.float64)
    if factor == 1:
        return wide
    for axis in (0, 1):
        starts = np.arange(0, array.shape[axis], factor)
        sizes = np.diff(np.append(starts, array.shape[axis]))
        shape = [-1 if a == axis else 1 for a in range(array.ndim)]
        wide = np.add.reduceat(wide, starts, axis=axis) / sizes.reshape(shape)
    return wide


def few_colours(picture: Bytes) -> tuple[Bytes, Bytes]:
    """Return a colour picture as indices into 252 colours, with ordered dither: a third of the file at most."""
    levels = np.array([6, 7, 6])
    steps = np.clip(np.rint(picture / 255 * (levels - 1) + _dither(picture)[..., None]), 0, levels - 1).astype(np.uint8)
    index = (steps[..., 0] * 7 + steps[..., 1]) * 6 + steps[..., 2]
    grid = np.stack(np.meshgrid(*(np.linspace(0, 255, n) for n in levels), indexing="ij"), axis=-1)
    return index.astype(np.uint8), np.rint(grid.reshape(-1, 3)).astype(np.uint8)


def _dither(picture: Bytes) -> Floats:
    """Return Bayer's ordered thresholds, (H, W), which turn bands into an even grain."""
    bayer = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 - 15 / 32
    height, width = picture.shape[:2]
    return np.tile(bayer, (-(-height // 4), -(-width // 4)))[:height, :width]
