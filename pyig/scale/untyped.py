"""Files whose cells have no types: read once to count the rows and decide the types, then again in chunks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyig.scale.cells import Look
from pyig.scale.columns import Array, Column, Fault, Tally, fill

_SCANNED = 4096  # rows at a time


@dataclass(frozen=True)
class Block:
    """Some rows as the file has them, by column."""

    first: int
    count: int
    cells: dict[str, list[Any]]
    faults: list[Fault]


class Source(Protocol):
    """A file that gives blocks of cells."""

    path: Path
    names: list[str]

    def blocks(self, size: int, first: int = 0) -> Iterator[Block]:
        """Yield the rows from `first` on, `size` at a time."""
        ...

    def looks(self, cells: Sequence[Any]) -> Iterator[Look]:
        """Tell what cells look like."""
        ...

    def read(self, cell: Any, column: Column) -> Any:
        """Return a value, or raise ValueError with what is wrong."""
        ...

    def quick(self, cells: list[Any], column: Column) -> Array | None:
        """Return the whole array, or None where a cell may be at fault."""
        ...


class Untyped:
    """A source with the types that its columns have over all of its rows.

    Parameters
    ----------
    wanted : sequence of str or None
        The columns to look at; all where it is None.
    text : collection of str
        Columns that are text whatever they look like.
    """

    def __init__(self, source: Source, wanted: Sequence[str] | None, text: Collection[str]) -> None:
        self._source = source
        self.count, whole_rows = 0, True
        tallies: dict[str, Tally] = {}
        for block in source.blocks(_SCANNED):
            self.count += block.count
            whole_rows &= not block.faults
            broken = {fault.row - block.first for fault in block.faults}
            for name, cells in block.cells.items():
                if wanted is None or name in wanted:
                    whole = [cell for i, cell in enumerate(cells) if i not in broken] if broken else cells
                    tallies.setdefault(name, Tally()).add(source.looks(whole))
        every = all(sum(tally.counts.values()) == self.count for tally in tallies.values())  # JSON may lack a name
        self.names = list(source.names)
        self.columns = {
            name: Column(name, "text") if name in text else tally.column(name) for name, tally in tallies.items()
        }
        clean = all(tallies[name].clean(column) for name, column in self.columns.items())
        self.clean = whole_rows and every and clean

    def tables(self, size: int, first: int) -> Iterator[tuple[int, int, dict[str, Array], list[Fault]]]:
        """Yield the first row number, the count, the arrays and the faults, `size` rows at a time."""
        for block in self._source.blocks(size, first):
            broken = {fault.row for fault in block.faults}
            table, faults = {}, list(block.faults)
            for name, column in self.columns.items():
                cells = block.cells.get(name, [None] * block.count)
                array = self._source.quick(cells, column)
                if array is None:
                    array, found = fill(column, cells, block.first, self._source.read)
                    faults += [fault for fault in found if fault.row not in broken]
                table[name] = array
            yield block.first, block.count, table, faults
