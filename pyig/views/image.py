"""The input, its heat map, and one over the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyig.errors import InputError, unknown
from pyig.explanation import Explanation
from pyig.explanation.one_path import heading, of_path, pick
from pyig.views.figure import bare, figure_of, new_figure
from pyig.views.raster import Heat, heat, mask, overlay, per_pixel, visible
from pyig.views.shapes import picture_leaf
from pyig.views.words import equation, signed

PANELS = ("input", "heat", "overlay")
TITLES = {
    "input": "input", "baseline": "baseline", "heat": "attributions", "overlay": "overlay", "mask": "what counts",
}  # fmt: skip


def image(
    explanation: Explanation,
    sample: int = 0,
    target: int = 0,
    panels: str | Sequence[str] = PANELS,
    sign: str = "signed",
    clip: float = 99.0,
    vmax: float | None = None,
    opacity: float = 0.85,
    leaf: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw one sample of a picture (N, H, W), (N, H, W, C) or (N, C, H, W), with up to 4 channels.

    Parameters
    ----------
    explanation : Explanation
        What to draw.
    sample, target : int
        Positions of the sample, and of the target among its targets.
    panels : str or sequence of str
        ``"input"``, ``"heat"``, ``"overlay"``: side by side in this order. Also ``"baseline"``, and ``"mask"``: the
        input where attributions are strong, grey elsewhere.
    sign : str
        ``"signed"`` (orange for, blue against), ``"absolute"``, ``"positive"`` or ``"negative"`` (purple).
    clip : float
        Percentile of the magnitudes above zero that gets full colour.
    vmax : float, optional
        Attribution at full colour, instead of `clip`: one scale for several pictures.
    opacity : float
        Of the strongest attribution in the overlay.
    leaf : str, optional
        Name of the picture, where the input holds several.
    ax : matplotlib Axes or sequence of them, optional
        Draw here instead of in a new figure, one panel per Axes; lone Axes get the overlay.

    Returns
    -------
    matplotlib.figure.Figure
        Attributions are summed over channels, so that pixels add up to F(x) - F(x'). Zero draws blank.
    """
    i, k = pick(explanation, sample, target)
    axes = None if ax is None else list(np.ravel(ax))
    names = [panels] if isinstance(panels, str) else list(panels)
    if axes is not None and len(axes) == 1 and panels is PANELS:
        names = ["overlay"]
    for name in names:
        if name not in TITLES:
            raise unknown("panel", name, TITLES)
    if not names or (axes is not None and len(axes) != len(names)):
        raise InputError(f"expected one Axes per panel, at least one; got {len(axes or [])} for {names}")

    chosen, layout = picture_leaf(explanation, leaf)
    attributions = of_path(explanation, chosen.attributions, i, k)
    picture = visible(chosen.inputs[i], layout)
    colours = heat(per_pixel(attributions, layout), sign, clip, vmax)
    ratio = picture.shape[1] / picture.shape[0]
    if axes is None:
        figure = new_figure(0.8 + (2.6 * min(ratio, 2.5) + 0.15) * len(names), 0.7 + 2.6 * min(ratio, 2.5) / ratio)
        axes = list(np.ravel(figure.subplots(1, len(names), squeeze=False)))
        figure.suptitle(
            f"{heading(explanation, i, k)}: {equation(explanation, i, k)}", fontsize="medium", parse_math=False
        )
    else:
        figure = figure_of(axes[0])
    drawn = {
        "input": picture,
        "baseline": visible(chosen.baselines[i], layout, like=chosen.inputs[i]),
        "heat": colours.palette[colours.palette_index],
        "overlay": overlay(picture, colours, opacity),
        "mask": mask(picture, colours),
    }
    for name, place in zip(names, axes, strict=True):
        place.imshow(drawn[name], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        place.set(xticks=[], yticks=[])
        place.set_title(TITLES[name], fontsize="small")
        bare(place, *(["left", "right", "top", "bottom"] if name == "heat" else []))
    coloured = [place for name, place in zip(names, axes, strict=True) if name in ("heat", "overlay")]
    if coloured:
        _scale(figure, coloured, colours, sign)
    return figure


def _scale(figure: Any, axes: list[Any], colours: Heat, sign: str) -> None:
    """Add the legend of colours: what full colour means, and whether some pixels go beyond it."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    if colours.scale == 0:
        axes[0].set_xlabel(f"attributions: {'; '.join(colours.remarks())}", fontsize="small")
        return
    low = -colours.scale if sign == "signed" else 0.0
    mappable = ScalarMappable(Normalize(low, colours.scale), ListedColormap(colours.palette / 255))
    bar = figure.colorbar(mappable, cax=axes[-1].inset_axes((1.04, 0, 0.06, 1)))  # as tall as the picture, any layout
    ticks = [low, 0.0, colours.scale] if sign == "signed" else [0.0, colours.scale]
    bar.set_ticks(ticks, labels=[text.lstrip("+" if sign != "signed" else "") for text in signed(ticks)])
    bar.ax.tick_params(labelsize="small", length=2)
    bar.outline.set_visible(False)
    label = f"{'' if sign == 'signed' else sign + ' '}attribution per pixel"
    bar.set_label("\n".join([label, *colours.remarks()]), fontsize="small")
