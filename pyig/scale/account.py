"""The account of a job: what was done, and how far its numbers can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.verdict import l1


@dataclass
class Account:
    """Sums over the chunks.

    Attributes
    ----------
    rows : int
        Rows of the file.
    done : int
        Rows that are finished, those of earlier runs included.
    resumed : int
        Rows that earlier runs had finished.
    explained, faulty : int
        Finished rows with attributions, and those that were skipped or marked.
    results, converged : int
        Results (one per row and target), and those within the tolerance.
    worst_gap : float
        The largest completeness gap, as a share of the sum of the sizes of its row's attributions.
    n_evals : int
        Gradients spent.
    """

    rows: int = 0
    done: int = 0
    resumed: int = 0
    explained: int = 0
    faulty: int = 0
    results: int = 0
    converged: int = 0
    worst_gap: float = 0.0
    n_evals: int = 0

    def add(self, summary: Mapping[str, Any]) -> None:
        """Add a chunk's summary."""
        for name, value in summary.items():
            setattr(self, name, max(self.worst_gap, value) if name == "worst_gap" else getattr(self, name) + value)

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


Progress: TypeAlias = Callable[[float, Account], None]
"""Called with the number of rows that are done, parts of a chunk included, and the account of the chunks."""


def summary_of(pieces: Iterable[Explanation], faulty: int) -> dict[str, Any]:
    """Return what a chunk adds to the account."""
    total = {"explained": 0, "faulty": faulty, "results": 0, "converged": 0, "worst_gap": 0.0, "n_evals": 0}
    for piece in pieces:
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps = np.abs(piece.deltas) / l1(piece)  # F(x) - F(x') may be nothing where much cancels
        gaps = gaps[np.isfinite(gaps)]
        total["explained"] += len(piece)
        total["results"] += piece.values.size
        total["converged"] += int(piece.converged.sum())
        total["worst_gap"] = max(total["worst_gap"], float(gaps.max(initial=0.0)))
        total["n_evals"] += int(piece.n_evals.sum())
    return total
