"""Captum's pictures of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig.compat.captum.errors import entry
from pyig.compat.captum.visualization.scales import Floats, as_array, colours, figure_and_axes, shown, strengths
from pyig.errors import InputError, unknown

_CHANNELS = (1, 3, 4)


@entry
def visualize_image_attr(
    attr: Any,
    original_image: Any = None,
    method: str = "heat_map",
    sign: str = "absolute_value",
    plt_fig_axis: Any = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.5,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
) -> tuple[Any, Any]:
    """Draw the attributions of one image.

    Parameters
    ----------
    attr : array or tensor (H, W, C), (H, W), or (C, H, W)
        Summed over the channels. Where both ends could be channels, the last is taken. None for
        ``method="original_image"``, which draws none.
    original_image : array or tensor, optional
        In the same layouts, from 0 to 1 or to 255. Needed for every method but the first.
    method : {"heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling"}
        What to draw.
    sign : {"absolute_value", "positive", "negative", "all"}
        Which attributions; ``"all"`` not for the last two methods.
    plt_fig_axis : pair, optional
        Figure and axes to draw on.
    outlier_perc : float
        Share of the total, in per cent, that is beyond full colour.
    cmap : str or Colormap, optional
        Colours; by default those of the sign.
    alpha_overlay : float
        How much a blended map covers.
    show_colorbar : bool
        Whether to draw the scale.
    title : str, optional
        Taken as it is, without formulas.
    fig_size : pair of float
        In inches.
    use_pyplot : bool
        Whether pyplot keeps and shows the figure.

    Returns
    -------
    figure, axes
        Matplotlib's. Attributions of zero are drawn blank.

    Raises
    ------
    CaptumInputError, MissingPackageError
        Unknown names, shapes that do not fit; matplotlib is absent.

    Examples
    --------
    >>> figure, axes = visualize_image_attr(np.eye(4), use_pyplot=False)
    >>> axes.images[0].get_array().shape
    (4, 4)
    """
    if method not in _METHODS:
        raise unknown("method", method, _METHODS)
    if sign == "all" and method in ("masked_image", "alpha_scaling"):
        raise InputError(f"expected sign= of one kind for method={method!r}; got 'all'")
    picture = None if original_image is None else _bytes(_last(as_array(original_image, "original_image", (2, 3))))
    if picture is None and method != "heat_map":
        raise InputError(f"expected original_image= for method={method!r}; got none")
    if attr is None and method == "original_image" and picture is not None:
        attr = np.zeros(picture.shape[:2])
    pixels = _last(as_array(attr, "attr", (2, 3))).astype(np.float64)
    if pixels.ndim == 3:
        pixels = pixels.sum(axis=2)
    if picture is not None and picture.shape[:2] != pixels.shape:
        raise InputError(f"expected an image of {pixels.shape} pixels like the attributions; got {picture.shape[:2]}")
    figure, axes = figure_and_axes(plt_fig_axis, use_pyplot, fig_size)
    axes = axes[0] if isinstance(axes, (list, tuple, np.ndarray)) else axes
    palette, low, high = colours(sign, cmap)
    drawn = _METHODS[method](_Picture(axes, picture, strengths(pixels, sign, outlier_perc), palette, low, high),
                             alpha_overlay)  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    if show_colorbar:
        _colorbar(figure, axes, drawn)
    if title:
        axes.set_title(title, parse_math=False)
    shown(use_pyplot)
    return figure, axes


@entry
def visualize_image_attr_multiple(
    attr: Any,
    original_image: Any,
    methods: Sequence[str],
    signs: Sequence[str],
    titles: Sequence[str] | None = None,
    fig_size: tuple[float, float] = (8, 6),
    use_pyplot: bool = True,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Draw the attributions of one image in several ways side by side.

    Parameters
    ----------
    attr, original_image, fig_size, use_pyplot
        As for `visualize_image_attr`.
    methods, signs : sequence of str
        For each picture.
    titles : sequence of str, optional
        For each picture.
    **kwargs
        For `visualize_image_attr`.

    Returns
    -------
    figure, axes
        A list of axes, or the axes of a single picture.

    Examples
    --------
    >>> image = np.zeros((4, 4, 3))
    >>> _, axes = visualize_image_attr_multiple(
    ...     np.ones((4, 4)), image, ["original_image", "heat_map"], ["all", "positive"], use_pyplot=False
    ... )
    >>> len(axes)
    2
    """
    if not methods or len(methods) != len(signs) or (titles is not None and len(titles) != len(methods)):
        raise InputError(
            f"expected as many methods as signs, and titles where there are some; got {len(methods)}, {len(signs)}"
            f"{'' if titles is None else f' and {len(titles)}'}"
        )
    figure, axes = figure_and_axes(None, use_pyplot, fig_size, ncols=len(methods), squeeze=False)
    flat = list(axes[0])
    for place, (method, sign) in enumerate(zip(methods, signs, strict=True)):
        title = None if titles is None else titles[place]
        given = {"plt_fig_axis": (figure, flat[place]), "title": title} | kwargs | {"use_pyplot": False}
        visualize_image_attr(attr, original_image, method, sign, **given)
    figure.tight_layout()
    shown(use_pyplot)
    return figure, flat[0] if len(flat) == 1 else flat


@dataclass(frozen=True)
class _Picture:
    """What a method draws."""

    axes: Any
    image: Any
    shades: Floats
    palette: Any
    low: float
    high: float

    def heat(self, **options: Any) -> Any:
        return self.axes.imshow(self.shades, cmap=self.palette, vmin=self.low, vmax=self.high, **options)


def _heat_map(given: _Picture, alpha: float) -> Any:
    return given.heat()


def _blended(given: _Picture, alpha: float) -> Any:
    grey = given.image if given.image.ndim == 2 else given.image[..., :3].mean(axis=2)
    given.axes.imshow(grey, cmap="gray")
    return given.heat(alpha=alpha)


def _original(given: _Picture, alpha: float) -> Any:
    _shown_image(given.axes, given.image)


def _masked(given: _Picture, alpha: float) -> Any:
    mask = given.shades if given.image.ndim == 2 else given.shades[..., None]
    _shown_image(given.axes, np.clip(given.image * mask, 0, 255).astype(np.uint8))


def _alpha_scaled(given: _Picture, alpha: float) -> Any:
    image = given.image if given.image.ndim == 3 else given.image[..., None]
    colour = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]
    cover = np.clip(255 * given.shades, 0, 255).astype(np.uint8)[..., None]
    given.axes.imshow(np.concatenate([colour, cover], axis=2))


_METHODS: dict[str, Callable[[_Picture, float], Any]] = {
    "heat_map": _heat_map,
    "blended_heat_map": _blended,
    "original_image": _original,
    "masked_image": _masked,
    "alpha_scaling": _alpha_scaled,
}


def _colorbar(figure: Any, axes: Any, drawn: Any) -> None:
    """Draw the scale; a picture without one keeps its room, so that it stays level with the pictures beside it."""
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(drawn or ScalarMappable(), ax=axes, orientation="horizontal", fraction=0.05, pad=0.04)
    bar.ax.set_visible(drawn is not None)


def _shown_image(axes: Any, image: Any) -> None:
    flat = image if image.ndim == 2 else image[..., 0] if image.shape[2] == 1 else None
    if flat is None:
        axes.imshow(image)
    else:
        axes.imshow(flat, cmap="gray", vmin=0, vmax=255)


def _last(image: Any) -> Any:
    """Return an image with its channels last."""
    first = image.ndim == 3 and image.shape[2] not in _CHANNELS and image.shape[0] in _CHANNELS
    return np.moveaxis(image, 0, 2) if first else image


def _bytes(image: Any) -> Any:
    """Return an image as bytes; one with values up to 1 is stretched."""
    if image.size and image.max() <= 1:
        image = image * 255.0
    return np.clip(image, 0, 255).astype(np.uint8)
