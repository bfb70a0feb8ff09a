"""What a notebook shows of an Explanation: a static copy first, then the live widget, which hides the copy.

The copy is what is left where no widget can be: a file opened by somebody else, on a code forge, after conversion, or
without a kernel. In one output together, the widget's own failure would hide it.
"""

# IPython's display carries no types.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from typing import Any

import numpy as np
from IPython import get_ipython
from IPython.display import display

from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.explanation.one_path import of_path
from pyig.jupyter.origin import Origin, origin_of
from pyig.views import show
from pyig.views.markup import Html, esc
from pyig.views.png import encode
from pyig.views.raster import heat, overlay_few_colours, per_pixel, shrink, visible
from pyig.views.shapes import kind_of, picture_leaf

CAPTION = '<p class="legend">Static copy. Re-run the cell for the interactive view.</p>'
COPY_SIDE = 128  # pixels: the widget beside it is saved as well
MOST_WIDGETS = 200  # cells that are remembered, to close the widgets of their last run
_OF_CELL: dict[str, tuple[int, list[Any]]] = {}


def display_live(explanation: Explanation, origin: Origin | None = None, view: dict[str, Any] | None = None) -> Any:
    """Show the static copy and the widget, and return the widget.

    Raises
    ------
    NotImplementedError
        Where there is no notebook, or anywidget is missing: IPython then shows what it shows of any object.
    """
    if not live():
        raise NotImplementedError
    widget = make(explanation, origin, view)
    display_widget(widget)
    return widget


def live() -> bool:
    """Tell whether there is a kernel to talk to, and the package to talk with."""
    if getattr(get_ipython(), "kernel", None) is None:
        return False
    try:
        import anywidget  # noqa: F401
    except ImportError:
        return False
    return True


def make(explanation: Explanation, origin: Origin | None = None, view: dict[str, Any] | None = None) -> Any:
    """Return the widget of an explanation, with its origin where that is known."""
    from pyig.jupyter.widget import ExplanationWidget

    return ExplanationWidget(explanation, origin or origin_of(explanation), view)


def display_widget(widget: Any) -> None:
    """Show the static copy of what a widget shows, or compares, then the widget."""
    if not widget.static_class:
        widget.static_class = f"pyig-static-{secrets.token_hex(6)}"
    top = (widget.view.get("table") or {}).get("top")
    compared = (
        [] if len(widget.pinned) < 2 else [(one, f"{key}: {label}") for key, (one, label) in widget.pinned.items()]
    )
    first = widget.explanation

    def copied() -> dict[str, str]:
        known = widget.cumulative.values() if widget.explanation is first else ()
        bundle = static_copy(first, widget.static_class, top, known)
        return bundle | static_pair(compared, widget.static_class, top) if compared else bundle

    handle = display(copied(), raw=True, display_id=True)
    if handle is not None and not compared:  # what is found out later goes into the copy as well
        widget.on_lines = lambda: widget.explanation is first and handle.update(copied(), raw=True)
    found = widget._repr_mimebundle_()  # with metadata or without, as anywidget's version has it
    data, metadata = found if isinstance(found, tuple) else (found, None)
    display(data, metadata=metadata, raw=True)
    _close_older(widget)


def static_pair(compared: list[tuple[Explanation, str]], name: str, top: int | None = None) -> dict[str, str]:
    """Return text and HTML of several explanations, each under its label."""
    texts, parts = [], []
    for one, label in compared:
        copy = static_copy(one, "one", top)
        texts.append(f"{label}\n{copy['text/plain']}")
        parts.append(f"<h4>{esc(label)}</h4>{copy['text/html'].replace(CAPTION, '')}")
    return {
        "text/plain": "\n\n".join(texts),
        "text/html": Html(f'<div class="pyig {name}">{"".join(parts)}{CAPTION}</div>'),
    }


def static_copy(
    explanation: Explanation, name: str, top: int | None = None, along: Iterable[CumulativeAttributions] = ()
) -> dict[str, str]:
    """Return the bundle of the static copy: HTML with pictures inside, a PNG for converters, and text."""
    given = {} if top is None else {"top": top}
    markup = str(show(explanation, "html", side=COPY_SIDE, along=list(along), **given))
    head, rest = markup.split('<div class="pyig">', 1)
    body, tail = rest.rsplit("</div>", 1)
    bundle = {
        "text/plain": str(show(explanation, "text", **given)),
        "text/html": Html(f'{head}<div class="pyig {name}">{body}{CAPTION}</div>{tail}'),
    }
    if kind_of(explanation) == "image":
        bundle["image/png"] = base64.b64encode(thumbnail(explanation)).decode()
    return bundle


def thumbnail(explanation: Explanation, limit: int = 160) -> bytes:
    """Return the overlay of the first sample as a small PNG."""
    leaf, layout = picture_leaf(explanation)
    phi = of_path(explanation, leaf.attributions, 0, 0)
    pixels, picture = per_pixel(phi, layout), visible(leaf.inputs[0], layout)
    factor = -(-max(pixels.shape) // limit)
    zoom = max(1, limit // max(pixels.shape))
    index, palette = overlay_few_colours(
        np.rint(shrink(picture, factor)).astype(np.uint8), heat(shrink(pixels, factor))
    )
    return encode(np.kron(index, np.ones((zoom, zoom), np.uint8)), palette)


def _close_older(widget: Any) -> None:
    """Close what an earlier run of the same cell has shown: its state would stay in the saved file."""
    cell, count = _cell()
    if cell is None:
        return
    before, shown = _OF_CELL.pop(cell, (count, []))
    if before != count:
        for old in shown:
            if old is not widget:
                old.close()
        shown = []
    _OF_CELL[cell] = (count, [*shown, widget])
    while len(_OF_CELL) > MOST_WIDGETS:
        _OF_CELL.pop(next(iter(_OF_CELL)))


def _cell() -> tuple[str | None, int]:
    """Name the cell that is running, as the front end does, and its count."""
    shell = get_ipython()
    if shell is None:
        return None, 0
    parent = getattr(shell, "parent_header", None) or {}
    get_parent = getattr(shell, "get_parent", None)
    if callable(get_parent):
        parent = get_parent() or {}
    return (parent.get("metadata") or {}).get("cellId"), int(shell.execution_count)
