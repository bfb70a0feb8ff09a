"""Captum's pictures of time series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyig.compat.captum.errors import entry
from pyig.compat.captum.visualization.scales import Floats, as_array, colours, figure_and_axes, shown, strengths
from pyig.errors import InputError, unknown

METHODS = ("overlay_individual", "overlay_combined", "colored_graph")


@entry
def visualize_timeseries_attr(
    attr: Any,
    data: Any,
    x_values: Any = None,
    method: str = "overlay_individual",
    sign: str = "absolute_value",
    channel_labels: Sequence[str] | None = None,
    channels_last: bool = True,
    plt_fig_axis: Any = None,
    outlier_perc: float = 2,
    cmap: Any = None,
    alpha_overlay: float = 0.7,
    show_colorbar: bool = False,
    title: str | None = None,
    fig_size: tuple[float, float] = (6, 6),
    use_pyplot: bool = True,
    **pyplot_kwargs: Any,
) -> tuple[Any, Any]:
    """Draw the attributions of one time series.

    Parameters
    ----------
    attr, data : array or tensor (T, C), or (C, T) with ``channels_last=False``
        Attributions, and the series.
    x_values : array (T,), optional
        Where the values are; 0, 1, 2 ... by default.
    method : {"overlay_individual", "overlay_combined", "colored_graph"}
        Bands behind each channel, bands behind all of them (their attributions summed), or coloured lines.
    sign, plt_fig_axis, outlier_perc, cmap, alpha_overlay, show_colorbar, title, fig_size, use_pyplot
        As for `visualize_image_attr`.
    channel_labels : sequence of str, optional
        A name for each channel.
    **pyplot_kwargs
        For the lines.

    Returns
    -------
    figure, axes
        An array of axes where there are several.

    Examples
    --------
    >>> figure, axes = visualize_timeseries_attr(np.ones((8, 2)), np.random.rand(8, 2), use_pyplot=False)
    >>> len(axes)
    2
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    maps, lines = (as_array(part, name, (2,)).astype(np.float64) for part, name in ((attr, "attr"), (data, "data")))
    if maps.shape != lines.shape:
        raise InputError(f"expected attr and data of the same shape; got {maps.shape} and {lines.shape}")
    if channels_last:
        maps, lines = maps.T, lines.T
    channels, length = lines.shape
    if channels > length:
        warnings.warn(
            f"there are more channels ({channels}) than points in time ({length}); look at channels_last=",
            UserWarning,
            stacklevel=4,
        )
    x = np.arange(length) if x_values is None else np.asarray(x_values)
    if x.shape != (length,):
        raise InputError(f"expected x_values= of shape ({length},); got {x.shape}")
    if channel_labels is not None and len(channel_labels) != channels:
        raise InputError(f"expected {channels} channel_labels; got {len(channel_labels)}")
    combined = method == "overlay_combined"
    shades = strengths(maps.sum(axis=0, keepdims=True) if combined else maps, sign, outlier_perc)
    figure, axes = figure_and_axes(
        plt_fig_axis, use_pyplot, fig_size, nrows=1 if combined else channels, sharex=True, **_close(plt_fig_axis)
    )
    rows = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(rows) != (1 if combined else channels):
        raise InputError(f"expected {1 if combined else channels} axes in plt_fig_axis=; got {len(rows)}")
    scale = _Scale(sign, cmap)
    names = [None] * channels if channel_labels is None else list(channel_labels)
    for place, ax in enumerate(rows):
        own = range(channels) if combined else [place]
        if method == "colored_graph":
            _coloured(ax, x, lines[place], shades[place], scale, pyplot_kwargs)
        else:
            _overlaid(ax, x, lines, own, names, combined, pyplot_kwargs)
            _bands(ax, x, shades[place], scale, alpha_overlay)
        if names[place] is not None and not combined:
            ax.set_ylabel(names[place], parse_math=False)
        ax.set_xlim(x.min(), x.max() if length > 1 else x.max() + 1)
    if show_colorbar:
        alpha = 1.0 if method == "colored_graph" else alpha_overlay
        figure.colorbar(scale.mappable, ax=rows, orientation="horizontal", fraction=0.05, pad=0.1, alpha=alpha)
    if title:
        rows[0].set_title(title, parse_math=False)
    shown(use_pyplot)
    return figure, axes


class _Scale:
    """From strengths to colours."""

    def __init__(self, sign: str, cmap: Any) -> None:
        palette, low, high = colours(sign, cmap)
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        self.mappable = ScalarMappable(Normalize(low, high), palette)


def _close(given: Any) -> dict[str, Any]:
    return {} if given is not None else {"gridspec_kw": {"hspace": 0}}


def _overlaid(
    ax: Any, x: Any, lines: Floats, own: Sequence[int], names: list[Any], legend: bool, options: dict[str, Any]
) -> None:
    if legend:
        from matplotlib import color_sequences

        ax.set_prop_cycle(color=color_sequences["Dark2"])
    for channel in own:
        ax.plot(x, lines[channel], label=names[channel] if legend else None, **options)
    if legend and names[0] is not None:
        ax.legend(loc="best")


def _bands(ax: Any, x: Any, shades: Floats, scale: _Scale, alpha: float) -> None:
    """Draw a band around each value, which ends half-way to its neighbours, also where those are unevenly spaced."""
    middles = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([x[:1], middles, x[-1:]])
    if len(x) > 1:
        edges[0], edges[-1] = 2 * x[0] - middles[0], 2 * x[-1] - middles[-1]
    for left, right, colour in zip(edges[:-1], edges[1:], scale.mappable.to_rgba(shades), strict=True):
        ax.axvspan(left, right, facecolor=colour, edgecolor="none", alpha=alpha)


def _coloured(ax: Any, x: Any, line: Floats, shades: Floats, scale: _Scale, options: dict[str, Any]) -> None:
    from matplotlib.collections import LineCollection

    points = np.stack([x, line], axis=1)
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    drawn = LineCollection(list(pieces), cmap=scale.mappable.cmap, norm=scale.mappable.norm, **options)
    drawn.set_array(shades[:-1])
    ax.add_collection(drawn)
    room = 0.1 * (float(np.ptp(line)) or 1.0)
    ax.set_ylim(line.min() - room, line.max() + room)
