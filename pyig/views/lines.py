"""Looks of a few lines that must be told apart: by hue, and by dashes where hues do not tell."""

from __future__ import annotations

from typing import NamedTuple

from pyig.explanation.cumulative import CumulativeAttributions

# Each stands out from white by 4.5:1 and more; in order, neighbours differ in lightness or dashes for every eye.
HUES = ("#0060a8", "#b84a00", "#00795a", "#96308a", "#6f5a00", "#33546b", "#8c2d19", "#5546b5")
DASHES = ((), (7, 3), (2, 2.5), (9, 3, 2, 3))
REST = "#6b6b6b"
NAME = 40


class Look(NamedTuple):
    """Colour and dashes of a line; dashes in points, none for an unbroken line."""

    colour: str
    dashes: tuple[float, ...]


def looks(lines: CumulativeAttributions) -> list[Look]:
    """Return the look of each line; all others together are grey and dotted."""
    own = len(lines.names) - (1 if lines.others else 0)
    found = [Look(HUES[n % len(HUES)], DASHES[(n + n // len(HUES)) % len(DASHES)]) for n in range(own)]
    return found + [Look(REST, (1.5, 3))] * (len(lines.names) - own)


def spans(lines: CumulativeAttributions) -> str:
    """Write where the path is saturated."""
    found = lines.saturated
    if not len(found):
        return "no part of the path is saturated"
    share = float((found[:, 1] - found[:, 0]).sum())
    parts = ", ".join(f"{start:.2g} to {stop:.2g}" for start, stop in found)
    return f"saturated: a from {parts} ({100 * share:.0f} % of the path)"


def told(lines: CumulativeAttributions) -> str:
    """Write what the lines cost, and how far they can be trusted."""
    text = f"the lines took {lines.n_evals} gradients of their own, at {len(lines.alphas)} nodes"
    if not lines.complete:
        text += "; partial: stopped early"
    if not lines.reconciles:
        text += "; too few nodes for exact lines: more nodes= would tell"
    return text
