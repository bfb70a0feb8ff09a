"""Explain a chunk, and find the row that stands in the way where one does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pyig.contracts import Ints
from pyig.errors import ModelError, PyigError
from pyig.explanation import Explanation
from pyig.scale.columns import Array, Fault

ON_ERROR = ("raise", "skip", "mark")
Explain = Callable[[dict[str, Array]], Explanation]


@dataclass(frozen=True)
class Attempt:
    """Explains rows of one table.

    Parameters
    ----------
    explain : callable
        Takes a table, returns its explanation.
    table : dict of str to array
        All rows of the chunk.
    first : int
        Row number of the first.
    """

    explain: Explain
    table: Mapping[str, Array]
    first: int

    def all(self, rows: Ints) -> Explanation:
        """Explain these rows together; an error names the row that it comes from, unless it comes with any row.

        Raises
        ------
        ModelError
            Or what pyig itself raised, with the row in front.
        """
        try:
            return self._run(rows)
        except MemoryError:
            raise
        except Exception as error:
            if self._anywhere(rows):
                raise _same(error, _said(error)) from error
            found, reason = self._culprit(rows, error)
            where = f"row {self.first + int(found[0])}"
            if len(found) > 1:
                where = f"rows {self.first + int(found[0])} to {self.first + int(found[-1])} together"
            raise _same(reason, f"{where}: {_said(reason)}") from reason

    def each(self, rows: Ints, all_may_fail: bool = True) -> tuple[list[tuple[Ints, Explanation]], list[Fault]]:
        """Explain what can be: the pieces with their rows, and what was wrong with the others.

        With `all_may_fail` false, an error that comes with any row is raised: it is no fault of the rows.
        """
        if not len(rows):
            return [], []
        try:
            return [(rows, self._run(rows))], []
        except MemoryError:
            raise
        except Exception as error:
            if not all_may_fail and self._anywhere(rows):
                raise _same(error, _said(error)) from error
            if len(rows) == 1:
                return [], [Fault(self.first + int(rows[0]), None, _said(error))]
        middle = len(rows) // 2
        (left, wrong), (right, more) = self.each(rows[:middle]), self.each(rows[middle:])
        return left + right, wrong + more

    def _anywhere(self, rows: Ints) -> bool:
        """Tell whether the first row and the last one, each alone, end in the very same error."""
        if len(rows) < 2:
            return False
        said = set()
        for row in (rows[:1], rows[-1:]):
            try:
                self._run(row)
                return False
            except Exception as error:
                said.add(_said(error))
        return len(said) == 1

    def _culprit(self, rows: Ints, error: Exception) -> tuple[Ints, Exception]:
        """Halve the rows for as long as one half fails by itself."""
        while len(rows) > 1:
            middle = len(rows) // 2
            for half in (rows[:middle], rows[middle:]):
                try:
                    self._run(half)
                except Exception as smaller:
                    rows, error = half, smaller
                    break
            else:
                break
        return rows, error

    def _run(self, rows: Ints) -> Explanation:
        explanation = self.explain({name: array[rows] for name, array in self.table.items()})
        if not explanation.meta.get("complete", True):  # Ctrl-C, which the loop turns into a partial result
            raise KeyboardInterrupt
        if len(explanation) != len(rows):
            raise ModelError(f"expected one explanation per row, {len(rows)}; got {len(explanation)}")
        return explanation


def joined(pieces: list[dict[str, Array]]) -> dict[str, Array]:
    """Put the columns of several pieces under each other."""
    if len(pieces) < 2:
        return pieces[0] if pieces else {}
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, PyigError) else f"{type(error).__name__}: {error}"


def _same(error: Exception, message: str) -> PyigError:
    return type(error)(message) if isinstance(error, PyigError) else ModelError(message)
