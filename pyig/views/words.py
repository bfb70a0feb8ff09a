"""Numbers and headings as people read them; the same words in every view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.table import targets_each


class Shown(str):
    """Text that a prompt or notebook shows as it is, without quotes and escapes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def number(value: Any) -> str:
    """Write one input value.

    Examples
    --------
    >>> [number(v) for v in (233.0, 2.30001, np.float32(0.1), 1e-9, True, "typical angina")]
    ['233', '2.3', '0.1', '1e-09', 'True', 'typical angina']
    """
    if isinstance(value, (bool, np.bool_, str)):
        return shorten(str(value), 32)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    return f"{float(value):.4g}" if isinstance(value, (float, np.floating)) else shorten(str(value), 32)


def signed(values: Sequence[float], like: Sequence[float] | None = None) -> list[str]:
    """Write attributions with signs and one number of decimals: three digits of the largest (of `like`).

    Examples
    --------
    >>> signed([0.4123, -0.0581, 0.0]), signed([1234.5, -0.3]), signed([0.5, 1e-6])
    (['+0.412', '-0.058', '0'], ['+1234', '-0.3'], ['+0.500', '+1e-06'])
    """
    finite = [abs(value) for value in (values if like is None else like) if np.isfinite(value)]
    largest = max(finite, default=0.0)
    decimals = int(np.clip(2 - np.floor(np.log10(largest)), 0, 12)) if largest > 0 else 0
    return [_signed(float(value), decimals) for value in values]


def shorten(text: str, width: int) -> str:
    """Cut the middle out of a long label, on one line.

    Examples
    --------
    >>> shorten("thallium stress test", 12)
    'thalli… test'
    """
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    tail = (width - 1) // 2
    return f"{line[: width - 1 - tail]}…{line[len(line) - tail :]}"


def change(explanation: Explanation, i: int, k: int) -> tuple[float, float, float]:
    """Return F(x), F(x') and their difference for one path."""
    count = targets_each(explanation)
    after, before = (float(v.ravel()[i * count + k]) for v in (explanation.values, explanation.baseline_values))
    return after, before, after - before


def equation(explanation: Explanation, i: int, k: int) -> str:
    """Write what is shared out: ``F(x) = 0.613, F(x') = 0.25, difference +0.363``."""
    after, before, difference = change(explanation, i, k)
    return f"F(x) = {after:.4g}, F(x') = {before:.4g}, difference {difference:+.4g}".replace("+nan", "nan")


def plural(count: int, noun: str) -> str:
    """Write a count and its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _signed(value: float, decimals: int) -> str:
    if value == 0 or not np.isfinite(value):
        return "0" if value == 0 else "nan" if np.isnan(value) else f"{value:+.0f}"
    fixed = f"{value:+.{decimals}f}"
    return fixed if float(fixed) else f"{value:+.1g}"
