"""What a column holds, decided once for the whole file: a cell then becomes the same kind of value in every chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DTYPES: dict[str, Any] = {"int": np.int64, "float": np.float64, "bool": np.bool_}
WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "text": "text"}
MISSING = "missing"
CODE = "code"  # a number in looks, a text in truth: 01234
ENDLESS = "endless"  # a number that no model takes
_NUMBERS = ("int", "float", ENDLESS)
_FEW = 0.01  # this share of codes is no slip of the keyboard


@dataclass(frozen=True)
class Column:
    """A column of the rows file.

    Attributes
    ----------
    kind : {"int", "float", "bool", "text"}
        What every cell is, or every number of a cell that is a list.
    shape : tuple of int
        Shape of a cell: () for a scalar.
    """

    name: str
    kind: str
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        word = WORDS[self.kind]
        return f"a list of shape {self.shape} of {self.kind}" if self.shape else word


@dataclass(frozen=True)
class Fault:
    """A row that cannot be explained as it is.

    Attributes
    ----------
    row : int
        Its number; the first row of the file is 0.
    column : str or None
        None where the row as a whole is at fault.
    what : str
        What was expected, and what came.
    """

    row: int
    column: str | None
    what: str

    def __str__(self) -> str:
        place = f"row {self.row}" if self.column is None else f"row {self.row}, column {self.column!r}"
        return f"{place}: {self.what}"


@dataclass
class Tally:
    """Counts what the cells of a column look like.

    Most of them decide: among many numbers a word is a mistake, and among many words a number is a word.
    """

    counts: Counter[tuple[str, tuple[int, ...]]] = field(default_factory=Counter)

    def add(self, looks: Iterable[tuple[str, tuple[int, ...]]]) -> None:
        """Count cells by their looks: a kind (also `MISSING` and `CODE`) and a shape."""
        self.counts.update(looks)

    def column(self, name: str) -> Column:
        """Return the column: of floats where nothing tells."""
        if self.counts[CODE, ()] > _FEW * self.counts.total():
            return Column(name, "text")
        groups: Counter[tuple[str, tuple[int, ...]]] = Counter()
        for (kind, shape), count in self.counts.items():
            if kind in (*_NUMBERS, "bool", "text"):
                groups["number" if kind in _NUMBERS else kind, shape] += count
        if not groups:
            return Column(name, "float")
        (group, shape), most = max(groups.items(), key=lambda item: (item[1], item[0]))
        if group != "text" and 2 * most <= groups.total():
            return Column(name, "text")
        kind = group if group != "number" else "float" if self.counts["float", shape] else "int"
        return Column(name, kind, shape)

    def clean(self, column: Column) -> bool:
        """Tell whether every cell is what the column holds, so that none can be at fault."""
        kinds = {"int": {"int"}, "float": {"int", "float"}, "bool": {"bool"}, "text": {"text"}}[column.kind]
        return set(self.counts) <= {(kind, column.shape) for kind in kinds}


def fill(
    column: Column, cells: Sequence[Any], first: int, read: Callable[[Any, Column], Any]
) -> tuple[Array, list[Fault]]:
    """Make the array of a column.

    Parameters
    ----------
    cells : sequence
        As the file has them.
    first : int
        Row number of the first cell.
    read : callable
        ``read(cell, column)`` returns the value, or raises ValueError with what is wrong with the cell.

    Returns
    -------
    array (N, ...), and the faults; a cell at fault is zero or empty in the array.
    """
    faults, values = [], []
    hole: Any = "" if column.kind == "text" else DTYPES[column.kind](0)
    if column.shape:
        hole = np.full(column.shape, hole)
    for row, cell in enumerate(cells, first):
        try:
            values.append(read(cell, column))
        except ValueError as error:
            values.append(hole)
            faults.append(Fault(row, column.name, str(error)))
    dtype = np.str_ if column.kind == "text" else DTYPES[column.kind]
    return np.array(values, dtype=dtype).reshape(len(cells), *column.shape), faults


def shown(cell: Any) -> str:
    """Write a cell in an error message."""
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:39]}…"
