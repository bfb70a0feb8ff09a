"""From attributions to shades: which sign is shown, what counts as full colour, and the figure around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.errors import InputError, missing, unknown

SIGNS = ("all", "positive", "negative", "absolute_value")
_ON_PAPER = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}
_MAPS = {"positive": "Greens", "negative": "Reds", "absolute_value": "Blues"}

Floats = NDArray[np.float64]


def strengths(attributions: Floats, sign: str, outlier_perc: float) -> Floats:
    """Return attributions of one sign, from 0 (or -1 for ``"all"``) to 1; nothing but zeros stays so.

    Full colour begins where the smaller ones make up all but `outlier_perc` per cent of the total.

    Examples
    --------
    >>> strengths(np.array([[1.0, -4.0, 0.0]]), "negative", 0)
    array([[-0.,  1., -0.]])
    """
    if sign not in SIGNS:
        raise unknown("sign", sign, SIGNS)
    if not 0 <= outlier_perc <= 100:
        raise InputError(f"expected outlier_perc= between 0 and 100; got {outlier_perc!r}")
    chosen = {
        "all": attributions,
        "positive": np.maximum(attributions, 0.0),
        "negative": -np.minimum(attributions, 0.0),
        "absolute_value": np.abs(attributions),
    }[sign]
    sizes = np.sort(np.abs(chosen), axis=None)
    sums = np.cumsum(sizes)
    if not len(sums) or not np.isfinite(sums[-1]) or sums[-1] == 0:
        return np.zeros_like(chosen) if not len(sums) or sums[-1] == 0 else chosen
    place = min(int(np.searchsorted(sums, sums[-1] * 0.01 * (100.0 - outlier_perc))), len(sizes) - 1)
    # A threshold of zero is one that every value exceeds: the few that are not zero have full colour.
    full = sizes[place] or sizes[sizes > 0][0]
    shades: Floats = np.clip(chosen / full, -1.0, 1.0)
    return shades


def colours(sign: str, cmap: Any) -> tuple[Any, float, float]:
    """Return a colour map, and the strengths at its two ends."""
    matplotlib = _matplotlib()
    if sign not in SIGNS:
        raise unknown("sign", sign, SIGNS)
    low = -1.0 if sign == "all" else 0.0
    if cmap is None and sign == "all":
        from matplotlib.colors import LinearSegmentedColormap

        cmap = LinearSegmentedColormap.from_list("RdWhGn", ["red", "white", "green"])
    elif cmap is None:
        cmap = _MAPS[sign]
    return matplotlib.colormaps[cmap] if isinstance(cmap, str) else cmap, low, 1.0


def figure_and_axes(given: Any, use_pyplot: bool, fig_size: tuple[float, float], **grid: Any) -> tuple[Any, Any]:
    """Return the figure and axes to draw on: those given, pyplot's, or new ones that nothing keeps."""
    _matplotlib()
    if given is not None:
        figure, axes = given
        return figure, axes
    if use_pyplot:
        from matplotlib import pyplot

        found: tuple[Any, Any] = pyplot.subplots(figsize=fig_size, **grid)
        return found
    from matplotlib.figure import Figure

    new = Figure(figsize=fig_size)
    return new, new.subplots(**grid)


def shown(use_pyplot: bool) -> None:
    """Have pyplot show its figures, where there is something to show them on."""
    if not use_pyplot:
        return
    from matplotlib import get_backend, pyplot

    if get_backend().lower() not in _ON_PAPER:  # those warn that they cannot show anything
        pyplot.show()


def as_array(values: Any, name: str, axes: tuple[int, ...]) -> Floats:
    """Return numpy from a tensor or array with one of so many axes."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()  # which numpy lacks
    found = np.asarray(values)
    if found.dtype.kind not in "fiub" or found.ndim not in axes:
        wanted = " or ".join(map(str, axes))
        raise InputError(
            f"expected {name} as numbers with {wanted} axes; got shape {found.shape} and dtype {found.dtype}"
        )
    return found


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise missing("matplotlib", "a picture of attributions", "plots") from error
    return matplotlib
