"""What a path on disk becomes: rows in the user's words go in, attributions in the user's words come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from pyig.explanation import Explanation

Table = Any
"""A DataFrame, a mapping from column names to arrays, or a list of mappings (one per row)."""


@dataclass(frozen=True)
class Problem:
    """One thing that `Artifact.problems` found.

    Attributes
    ----------
    level : {"error", "warning"}
        An error means that the artifact cannot be explained as it is.
    where : str
        The file, key, column or method at fault: ``"inputs.age.input_baselines"``.
    what : str
        What was expected, and what came.
    cure : str
        What to do about it.
    """

    level: str
    where: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.what}{'' if self.what.endswith('?') else '.'} {self.cure}"


class Artifact(Protocol):
    """A model on disk with the meaning of its inputs and outputs."""

    kind: str
    """Which row of `OPENERS` read it: ``"keras"``, ``"saved_model"``, ``"metadata"``, ``"package"``, ``"torch"``."""
    path: Path
    columns: tuple[str, ...]
    """What a row must have."""
    outputs: tuple[str, ...]
    """Names of the outputs, as a target may be given."""
    defaults: Mapping[str, Any]
    """Options of `IntegratedGradients.explain` that the artifact itself asks for."""

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the model's outputs, shape (N, ...)."""
        ...

    def explain(self, rows: Table, target: Any = None, **options: Any) -> Explanation:
        """Explain rows; the attributions are a dict, one leaf (N,) or (N, T) for each of the user's features."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what `pyig info` prints, as JSON data: signatures, inputs, outputs, what is differentiable."""
        ...

    def problems(self, rows: Table | None = None) -> Iterator[Problem]:
        """Look for what would keep the artifact from being explained, on real rows or on invented ones."""
        ...
