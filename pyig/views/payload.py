"""An Explanation as a browser takes it: JSON for words and small numbers, bytes for arrays.

The saved form is small: heat maps as one signed byte per pixel of at most 224 x 224. The full form, which is sent
while a kernel is there, holds every attribution, input and baseline as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.arrays import Leaf
from pyig.explanation.one_path import of_path
from pyig.explanation.running import coarser, running_sum
from pyig.explanation.table import feature_labels, flat_columns, sample_labels, target_label, targets_each
from pyig.explanation.verdict import l1, percent, status
from pyig.tree import flatten
from pyig.views.advice import advice
from pyig.views.packing import Array, Packer
from pyig.views.png import encode
from pyig.views.raster import few_colours, per_pixel, shrink, visible
from pyig.views.tabs import Tab, tabs_of
from pyig.views.words import equation

VERSION = 1
SAVED_SIDE = 224  # pixels
SAVED_BYTES = 160_000  # of all paths; those beyond are sent when they are asked for
PICTURE_BYTES = 60_000
FULL_BYTES = 24_000_000
POINTS = 400  # of a path, in a chart
MOST_PATHS = 500


def payload(
    explanation: Explanation,
    paths: Sequence[int] | None = None,
    full: bool = False,
    before: Explanation | None = None,
) -> tuple[dict[str, Any], bytes]:
    """Return what a browser needs to show an explanation.

    Parameters
    ----------
    explanation : Explanation
        What to show.
    paths : list of int, optional
        Numbers of the paths (sample and target, in C order) whose arrays are wanted; all that fit, by default.
    full : bool
        Send arrays as they are, instead of the small saved form.
    before : Explanation, optional
        One of the same features, whose bars stay as outlines.

    Returns
    -------
    spec : dict
        JSON data; numbers that are not finite are None.
    content : bytes
        The arrays that ``spec["paths"][...]["arrays"]`` names.
    """
    tabs, packer = tabs_of(explanation), Packer()
    count = min(explanation.values.size, MOST_PATHS)
    facts, room = _Facts(explanation), True
    described = []
    for number in range(count) if paths is None else paths:
        entry = _path(facts, number)
        if paths is not None or room:
            own = Packer()
            words = _arrays(own, explanation, number, tabs, full)
            if before is not None:
                _add_before(own, before, explanation, number, tabs)
            # The first path is always there; the others as long as they fit as well.
            room = paths is not None or number == 0 or packer.size + own.size <= SAVED_BYTES
            if room:
                packer.take(own)
                entry |= {"tabs": words, "arrays": packer.table[-len(own.table) :]}
        described.append(entry)
    spec = {
        "v": VERSION,
        "title": explanation.meta.get("model") or "",
        "verdict": explanation.verdict(),
        "tabs": [_tab(explanation, tab) for tab in tabs],
        "paths": described,
        "more": explanation.values.size - count,
        "how": _how(explanation),
        "rtol": explanation.meta.get("rtol"),
    }
    return spec, packer.content()


class _Facts:
    """What is found out once for all paths."""

    def __init__(self, e: Explanation) -> None:
        self.explanation = e
        self.labels = sample_labels(e)
        self.states = status(e)
        self.size = l1(e).ravel()
        self.error_share, self.gap_share = e.relative_error.ravel(), e.relative_gap.ravel()


def _path(facts: _Facts, number: int) -> dict[str, Any]:
    """Describe one path in words and numbers."""
    e = facts.explanation
    k = targets_each(e)
    i, j = divmod(number, k)
    shares = float(facts.error_share[number]), float(facts.gap_share[number])
    return {
        "n": number,
        "sample": str(facts.labels[i]),
        "target": target_label(e, i, j),
        "index": None if e.targets is None else int(e.targets.ravel()[number]),
        "F": finite(e.values.ravel()[number]),
        "F0": finite(e.baseline_values.ravel()[number]),
        "gap": finite(e.deltas.ravel()[number]),
        "error": finite(e.error.ravel()[number]),
        "size": finite(facts.size[number]),
        "evals": int(e.n_evals.ravel()[number]),
        "state": facts.states[number],
        "equation": equation(e, i, j),
        "coarser": [[count, finite(gap)] for count, gap in coarser(e, i, j)],
        "shares": ["unknown" if math.isnan(share) else percent(share) for share in shares],
        "advice": [{"text": a.text, "options": a.options} for a in advice(e[i], 0, j)],
    }


def _tab(e: Explanation, tab: Tab) -> dict[str, Any]:
    """Describe one tab: what is the same for all paths."""
    leaves = [e.leaves()[position] for position in tab.leaves]
    described: dict[str, Any] = {"kind": tab.kind, "name": tab.name}
    if tab.kind == "table":
        labels, starts = feature_labels(e), _starts(e)
        described["names"] = [labels[c] for p in tab.leaves for c in range(starts[p], starts[p + 1])]
        described["types"] = "".join(leaf.inputs.dtype.kind * _size(leaf) for leaf in leaves)
        described["places"] = [[starts[p], starts[p + 1]] for p in tab.leaves]
    elif tab.kind == "image":
        shape = leaves[0].inputs.shape[1:]
        described |= {"layout": tab.layout, "shape": list(shape), "place": _starts(e)[tab.leaves[0]]}
    elif tab.kind == "series":
        described["shape"] = list(leaves[0].inputs.shape[1:])
    else:
        described["place"] = _starts(e)[tab.leaves[0]]
    return described


def _arrays(packer: Packer, e: Explanation, number: int, tabs: list[Tab], full: bool) -> list[dict[str, Any]]:
    """Add the arrays of one path, and return what of it goes as JSON, tab by tab."""
    k = targets_each(e)
    i, j = divmod(number, k)
    _add_record(packer, e, i, j)
    words = []
    for t, tab in enumerate(tabs):
        leaves = [e.leaves()[position] for position in tab.leaves]
        phi = [of_path(e, leaf.attributions, i, j) for leaf in leaves]
        entry: dict[str, Any] = {}
        if tab.kind == "image":
            _add_image(packer, f"{t}", leaves[0], phi[0], i, tab.layout, full)
        else:
            packer.add(f"{t}.phi", np.concatenate([np.ravel(part) for part in phi]), "f8")
            spread = _spread(e, tab, i, j)
            if spread is not None:
                packer.add(f"{t}.se", spread, "f8")
            for name, ends in (
                ("x", [leaf.inputs[i] for leaf in leaves]),
                ("x0", [leaf.baselines[i] for leaf in leaves]),
            ):
                if all(end.dtype.kind in "fiub" for end in ends):
                    packer.add(f"{t}.{name}", np.concatenate([np.ravel(end) for end in ends]), "f8")
                else:
                    entry[name] = [_cell(value) for end in ends for value in np.ravel(end).tolist()]
        words.append(entry)
    return words


def _add_before(packer: Packer, before: Explanation, e: Explanation, number: int, tabs: list[Tab]) -> None:
    if before.values.shape != e.values.shape or tabs_of(before) != tabs:
        return
    phi = flat_columns(before)[0].reshape(e.values.size, -1)[number]
    starts = _starts(e)
    for t, tab in enumerate(tabs):
        if tab.kind == "table":
            packer.add(f"{t}.before", np.concatenate([phi[starts[p] : starts[p + 1]] for p in tab.leaves]), "f8")


def _add_record(packer: Packer, e: Explanation, i: int, j: int) -> None:
    """Add F along the path and the running sum of the quadrature, thinned to what a chart can show."""
    path = e.path(i, j)
    reached, total = running_sum(e, i, j)
    table = np.stack([path.alphas, path.values, path.slopes, path.weights, reached, total])
    keep = np.unique(np.linspace(0, table.shape[1] - 1, min(POINTS, table.shape[1])).round().astype(int))
    packer.add("path", table[:, keep], "f8")


def _add_image(packer: Packer, t: str, leaf: Leaf, phi: Array, i: int, layout: str, full: bool) -> None:
    """Add heat map and pictures; in full also every channel, for the values under the cursor."""
    pixels = per_pixel(phi, layout)
    shown, start = visible(leaf.inputs[i], layout), visible(leaf.baselines[i], layout, like=leaf.inputs[i])
    if full and phi.nbytes <= FULL_BYTES:
        packer.add(f"{t}.phi", pixels, "f4")
        for name, array in (("x", leaf.inputs[i]), ("x0", leaf.baselines[i]), ("parts", phi)):
            if layout != "hw" or name != "parts":
                packer.add(f"{t}.{name}", array, "f4")
    else:
        factor = -(-max(pixels.shape) // SAVED_SIDE)
        packer.add(f"{t}.phi", shrink(pixels, factor), "q1")
        shown, start = (np.rint(shrink(picture, factor)).astype(np.uint8) for picture in (shown, start))
    for name, picture in (("pic", shown), ("pic0", start)):
        if picture.size and (picture == picture[:1, :1]).all():
            picture = picture[:1, :1]  # one pixel stands for a picture of one colour
        file = encode(picture)
        if not full and len(file) > PICTURE_BYTES and picture.ndim == 3:
            file = encode(*few_colours(picture))
        packer.add_png(f"{t}.{name}", file)


def _spread(e: Explanation, tab: Tab, i: int, j: int) -> Array | None:
    if e.standard_error is None:
        return None
    leaves = flatten(e.standard_error)[0]
    parts = [of_path(e, leaves[p], i, j) for p in tab.leaves]
    return np.concatenate([np.ravel(part) for part in parts])


def _how(e: Explanation) -> list[list[str]]:
    """List how the result was made, for people."""
    known = ("method", "n_steps", "rtol", "max_evals", "value", "backend", "device", "layer", "n_baselines", "seconds")
    rows = [[key, str(e.meta[key])] for key in known if e.meta.get(key) is not None]
    rows += [["versions", ", ".join(f"{k} {v}" for k, v in (e.meta.get("versions") or {}).items())]]
    return rows + [["note", str(note)] for note in e.meta.get("notes") or []]


def _starts(e: Explanation) -> list[int]:
    """Return where each leaf begins among the scalar features of a sample, and where the last one ends."""
    return [0, *np.cumsum([_size(leaf) for leaf in e.leaves()]).tolist()]


def _size(leaf: Leaf) -> int:
    return math.prod(leaf.inputs.shape[1:])


def finite(value: Any) -> float | None:
    """Return a float for JSON, which knows neither NaN nor infinity."""
    number = float(value)
    return number if math.isfinite(number) else None


def _cell(value: Any) -> Any:
    if isinstance(value, (bool, str)):
        return value
    return finite(value) if isinstance(value, (int, float)) else str(value)
