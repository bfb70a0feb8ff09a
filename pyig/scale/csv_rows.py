"""Rows of a .csv file, read a block at a time with the standard library."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyig.errors import InputError
from pyig.scale.cells import quick_text, read_text, text_looks
from pyig.scale.columns import Fault
from pyig.scale.untyped import Block, Untyped

_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')


def open_csv(path: Path, wanted: Sequence[str] | None, text: Collection[str]) -> Untyped:
    """Open a .csv or .tsv file."""
    return Untyped(CsvSource(path), wanted, text)


class CsvSource:
    """A table of text with its column names in the first line, in UTF-8.

    The delimiter is the one of comma, semicolon, tab and bar that is most frequent in that line.
    """

    looks = staticmethod(text_looks)
    read = staticmethod(read_text)
    quick = staticmethod(quick_text)

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._lines() as lines:
            self.names: list[str] = next(lines, [])
        if not any(name.strip() for name in self.names):
            raise InputError(f"expected column names in the first line of {path.name}; it is empty")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise InputError(f"expected every column of {path.name} to have its own name; {twice[0]!r} is there twice")

    def blocks(self, size: int, first: int = 0) -> Iterator[Block]:
        """Yield blocks of so many rows; empty lines are none."""
        with self._lines() as lines:
            next(lines, None)
            rows: list[list[str]] = []
            faults: list[Fault] = []
            number = -1
            for line in lines:
                if not line:
                    continue
                number += 1
                if number < first:
                    continue
                if len(line) != len(self.names):
                    faults.append(Fault(number, None, f"expected {len(self.names)} cells; got {len(line)}"))
                    line = [*line, *[""] * len(self.names)][: len(self.names)]
                rows.append(line)
                if len(rows) == size:
                    yield self._block(number + 1 - size, rows, faults)
                    rows, faults = [], []
            if rows:
                yield self._block(number + 1 - len(rows), rows, faults)

    def _block(self, first: int, rows: list[list[str]], faults: list[Fault]) -> Block:
        return Block(first, len(rows), dict(zip(self.names, map(list, zip(*rows, strict=True)), strict=True)), faults)

    @contextmanager
    def _lines(self) -> Iterator[Any]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            try:
                head = file.readline()
                file.seek(0)
                bare = _QUOTED.sub("", head)  # a quoted name may hold any of them
                reader = csv.reader(file, delimiter=max(_DELIMITERS, key=bare.count), strict=True)
                yield reader
            except UnicodeDecodeError as error:
                raise InputError(
                    f"expected {self.path.name} in UTF-8; {error}. Convert it, or save it again in that encoding"
                ) from error
            except csv.Error as error:
                raise InputError(
                    f"expected {self.path.name} as a csv file; line {reader.line_num}: {error}. Is a quote left open?"
                ) from error
