"""What every kind of package comes down to: rows are encoded, integrated, and projected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig import tree
from pyig.contracts import Ints
from pyig.explanation import Explanation

Table = Any


@dataclass(frozen=True)
class Encodings:
    """Rows as the model's differentiable part takes them.

    Attributes
    ----------
    rows : DataFrame
        The user's.
    x, baselines : structure of arrays
        Both ends of the paths.
    transformed : DataFrame, optional
        What the package made of the rows before.
    start : DataFrame, optional
        The baseline as a table.
    keys : dict
        The package's own key of each leaf of x.
    ranks : dict of str to int
        How many axes the input behind each leaf has: an encoding may have one more.
    """

    rows: Table
    x: Any
    baselines: Any
    transformed: Table = None
    start: Table = None
    keys: Mapping[str, Any] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)

    def take(self, rows: Ints) -> Encodings:
        """Return some of the rows."""

        def few(table: Table) -> Table:
            return None if table is None else table.iloc[rows].reset_index(drop=True)

        x = tree.tree_map(lambda leaf: np.asarray(leaf)[rows], self.x)
        start = _some(self.baselines, self.x, rows)
        return Encodings(few(self.rows), x, start, few(self.transformed), few(self.start), self.keys, self.ranks)


def _some(start: Any, x: Any, rows: Ints) -> Any:
    """Return the baselines of some rows; one that is the same for all stays as it is."""
    if isinstance(start, Mapping) and isinstance(x, Mapping):
        return {name: _some(part, x.get(name), rows) for name, part in start.items()}
    shape = getattr(start, "shape", None)
    if shape is not None and hasattr(x, "shape") and len(shape) == len(x.shape) and len(start) == len(x):
        return np.asarray(start)[rows]
    return start


class Generation(Protocol):
    """One kind of package."""

    kind: str
    outputs: tuple[str, ...]
    columns: tuple[str, ...]
    """Empty where the package does not say."""
    limit: float | None
    """`max_allowed_error`: percent of F(x) - F(x')."""

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the outputs, (N, C)."""
        ...

    def encode(self, rows: Table, start: Table | None = None) -> Encodings:
        """Encode rows, and their baselines: the package's own, or the rows given."""
        ...

    def integrate(self, encodings: Encodings, target: Any, options: Mapping[str, Any]) -> Explanation:
        """Explain the encoded rows."""
        ...

    def project(self, encodings: Encodings, explanation: Explanation) -> Explanation:
        """Put an explanation into the user's features."""
        ...

    def options(self) -> dict[str, Any]:
        """Return what the package itself asks of the integration."""
        ...

    def missing(self) -> list[str]:
        """Name the methods that are not there."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what `pyig info` prints of it."""
        ...
