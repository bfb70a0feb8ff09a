"""Rows of a file on disk, in chunks whose columns never change their type."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from pyig.contracts import Ints
from pyig.errors import InputError
from pyig.registry import Registry
from pyig.scale.columns import Array, Column, Fault
from pyig.scale.fingerprint import stamp

READERS = Registry(
    "kind of rows file",
    {
        ".csv": "pyig.scale.csv_rows:open_csv",
        ".tsv": "pyig.scale.csv_rows:open_csv",
        ".json": "pyig.scale.json_rows:open_json",
        ".jsonl": "pyig.scale.json_rows:open_json",
        ".ndjson": "pyig.scale.json_rows:open_json",
        ".parquet": "pyig.scale.parquet_rows:ParquetTable",
    },
)


class Typed(Protocol):
    """A file whose columns have types, by now."""

    names: list[str]
    count: int
    columns: dict[str, Column]
    clean: bool

    def tables(self, size: int, first: int) -> Iterator[tuple[int, int, dict[str, Array], list[Fault]]]:
        """Yield the first row number, the count, the arrays and the faults, `size` rows at a time."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Rows that follow one another.

    Attributes
    ----------
    first : int
        Row number of the first; that of the file's first row is 0.
    table : dict of str to array
        One array (N, ...) per column; text is a numpy unicode array.
    faults : list of Fault
        What is wrong with rows, by rising row number.
    """

    first: int
    count: int
    table: dict[str, Array]
    faults: list[Fault]

    def __len__(self) -> int:
        return self.count

    @property
    def whole(self) -> Ints:
        """Positions of the rows without a fault."""
        broken = {fault.row - self.first for fault in self.faults}
        return np.array([i for i in range(self.count) if i not in broken], dtype=np.int64)


class Rows:
    r"""The rows of a .csv, .tsv, .json, .jsonl or .parquet file.

    A csv or json file is read once beforehand, to count its rows and to decide what each column holds.

    Parameters
    ----------
    path : path
        The file.
    wanted : sequence of str, optional
        The columns that are needed; the others are not looked at. All of them where it is left out.
    text : collection of str
        Columns to be read as text whatever they look like.
    or_all : bool
        Where one of those wanted is not there, read all columns: whoever wants them may know others by which it can do.

    Attributes
    ----------
    columns : dict of str to Column
        What was found, in the order wanted.
    count : int
        Number of rows.
    clean : bool
        Whether it is known already that no row is at fault.

    Raises
    ------
    InputError
        When the file is not there, cannot be read, or lacks a column.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "rows.csv"
    ...     _ = path.write_text("age,zip\n63,02139\n41.5,94043\n57,10001\n")
    ...     rows = Rows(path)
    ...     [str(column) for column in rows.columns.values()], [len(chunk) for chunk in rows.chunks(2)]
    (['a number', 'text'], [2, 1])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        wanted: Sequence[str] | None = None,
        text: Collection[str] = (),
        *,
        or_all: bool = False,
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"expected a file of rows; {str(self.path)!r} is not there, or is no file")
        self._stamp = stamp(self.path)
        kind = self.path.suffix.lower()
        if kind not in READERS:
            raise InputError(
                f"expected rows in a file that ends in {', '.join(READERS)}; got {self.path.name!r}. Convert it"
            )
        wanted = wanted or None
        self._typed: Typed = READERS[kind](self.path, wanted, text)
        if or_all and not set(wanted or ()) <= set(self._typed.names):
            wanted, self._typed = None, READERS[kind](self.path, None, text)
        self.count, self.clean = self._typed.count, self._typed.clean
        if not self.count:
            raise InputError(f"expected rows in {self.path.name}; it has none")
        names = self._typed.names
        lacking = [name for name in dict.fromkeys([*(wanted or ()), *text]) if name not in names]
        if lacking:
            raise _lacking(self.path.name, lacking, names)
        self.columns = {name: self._typed.columns[name] for name in wanted or names}

    def unchanged(self) -> bool:
        """Tell whether the file still is what it was when it was opened."""
        return stamp(self.path) == self._stamp

    def chunks(self, size: int, first: int = 0) -> Iterator[Chunk]:
        """Yield chunks of `size` rows from row `first` on; the last may be shorter."""
        for start, count, table, faults in self._typed.tables(size, first):
            ordered = {name: table[name] for name in self.columns}
            yield Chunk(start, count, ordered, sorted(faults, key=lambda fault: fault.row))


def _lacking(file: str, lacking: list[str], names: list[str]) -> InputError:
    import difflib

    near = [match for name in lacking for match in difflib.get_close_matches(name, names, n=1)]
    hint = f" Did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return InputError(f"expected columns {', '.join(map(repr, lacking))} in {file}, which has {shown}.{hint}")
