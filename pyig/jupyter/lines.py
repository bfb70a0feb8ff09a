"""Attributions along the path in the live view: what they cost, and how a browser takes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig.explainer.along import nodes_of
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.explanation.one_path import heading
from pyig.explanation.table import targets_each
from pyig.jupyter.origin import Origin
from pyig.views.lines import spans, told

TOP, MOST_NODES = 6, 65  # lines, and nodes: a chart shows no more
_MOST_PATHS = 500
_DIGITS = 9
_TELLING = 12  # gradients: with fewer, the first call of a model weighs too much


@dataclass(frozen=True, eq=False)
class LinesQuestion:
    """Asks for the lines of one path: a job for the worker."""

    origin: Origin
    explanation: Explanation
    number: int
    batch: int
    budget: float | None = None  # seconds; what is known by then is the result

    def __call__(self, *, progress: Callable[[int, int], None], cancel: threading.Event) -> CumulativeAttributions:
        """Take the gradients at the nodes again, or at some of very many."""
        i, k = place_of(self.explanation, self.number)
        nodes = min(MOST_NODES, len(nodes_of(self.explanation, i, k, None)))
        end = None if self.budget is None else time.monotonic() + self.budget

        def stop() -> bool:
            return cancel.is_set() or (end is not None and time.monotonic() > end)

        return self.origin.along(
            self.explanation, i, k, top=TOP, nodes=nodes, batch_size=self.batch, progress=progress, cancel=stop
        )


def place_of(explanation: Explanation, number: int) -> tuple[int, int]:
    """Return sample and target of a path."""
    return divmod(number, targets_each(explanation))


def costs(explanation: Explanation, pace: float) -> dict[str, Any]:
    """Return gradients and seconds for the lines of each path; a few gradients tell nothing of the seconds."""
    found = {}
    baselines = int(explanation.meta.get("n_baselines") or 1)
    if explanation.meta.get("noise"):
        return {}
    told = int(explanation.n_evals.sum()) >= _TELLING
    for number in range(min(explanation.values.size, _MOST_PATHS)):
        gradients = baselines * min(MOST_NODES, len(nodes_of(explanation, *place_of(explanation, number), None)))
        found[str(number)] = {"gradients": gradients, "seconds": round(gradients * pace, 3) if told else None}
    return found


def shown(lines: CumulativeAttributions) -> dict[str, Any]:
    """Return what a browser draws, as JSON data."""
    return {
        "names": list(lines.names),
        "others": lines.others,
        "complete": lines.complete,
        "spans": spans(lines),
        "told": told(lines),
        "saturated": lines.saturated.tolist(),
        **{name: _plain(getattr(lines, name)) for name in ("alphas", "values", "cumulative", "attributions", "errors")},
    }


def by_path(explanation: Explanation, along: CumulativeAttributions | Iterable[CumulativeAttributions] | None) -> Any:
    """Return lines that were made for paths of an explanation, by the number of the path."""
    several = [along] if isinstance(along, CumulativeAttributions) else list(along or [])
    known = {lines.title: lines for lines in several}
    paths = range(min(explanation.values.size, _MOST_PATHS)) if known else range(0)
    titles = {number: heading(explanation, *place_of(explanation, number)) for number in paths}
    return {str(number): shown(known[title]) for number, title in titles.items() if title in known}


def _plain(values: Any) -> Any:
    """Return numbers with nine digits: as many as are ever shown, and half as many bytes as all."""
    if np.ndim(values):
        return [_plain(value) for value in values]
    return float(f"{values:.{_DIGITS}g}") if np.isfinite(values) else None
