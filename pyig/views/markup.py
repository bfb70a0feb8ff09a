"""HTML by small steps; whatever comes from a user goes through `esc`, in text and in attributes alike."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Html(str):
    """Markup that a notebook renders."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"<HTML of {len(self)} characters>"


def esc(text: object) -> str:
    r"""Escape text for any place in markup; control characters, which HTML does not know, become spaces.

    Examples
    --------
    >>> esc("<b>'x' & \"y\"</b>")
    '&lt;b&gt;&#x27;x&#x27; &amp; &quot;y&quot;&lt;/b&gt;'
    """
    return html.escape("".join(c if c >= " " and c != "\x7f" else " " for c in str(text)), quote=True)


def name(text: object) -> str:
    """Escape a user's label, and keep its writing direction to itself."""
    return f"<bdi>{esc(text)}</bdi>"


def row(cells: Iterable[str], tag: str = "td", numbers: Iterable[int] = ()) -> str:
    """Join ready-made cells to a table row; those at the given positions are figures, set to the right."""
    right = set(numbers)
    parts = [
        f'<{tag} class="n" align="right">{cell}</{tag}>' if i in right else f'<{tag} align="left">{cell}</{tag}>'
        for i, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(parts)}</tr>"
