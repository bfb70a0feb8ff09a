"""Rows of a .json or .jsonl file, decoded one at a time: a file of any length takes the memory of a block."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pyig.errors import InputError
from pyig.scale.cells import json_looks, quick_json, read_json
from pyig.scale.columns import Fault, shown
from pyig.scale.untyped import Block, Untyped

_PIECE = 1 << 16
_LONGEST = 1 << 26  # characters of one row: more is a file whose brackets do not close
_OPENING = re.compile(r'\s*(?:\{\s*"(?:instances|rows|data)"\s*:\s*)?\[')
_BETWEEN = re.compile(r"[\s,]*")


def open_json(path: Path, wanted: Sequence[str] | None, text: Collection[str]) -> Untyped:
    """Open a .json, .jsonl or .ndjson file."""
    return Untyped(JsonSource(path), wanted, text)


class JsonSource:
    """One object per row: an array of them, also as ``{"instances": [...]}``, or one per line."""

    looks = staticmethod(json_looks)
    read = staticmethod(read_json)
    quick = staticmethod(quick_json)

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []  # of the rows that were read so far

    def blocks(self, size: int, first: int = 0) -> Iterator[Block]:
        """Yield blocks of so many rows; a name that a row lacks is missing there."""
        rows: list[dict[str, Any]] = []
        faults: list[Fault] = []
        number = -1
        for number, (row, wrong) in enumerate(self._rows()):
            if number < first:
                continue
            if wrong is None and not isinstance(row, dict):
                wrong = f'expected an object, such as {{"age": 63}}; got {shown(row)}'
            if wrong is not None:
                faults.append(Fault(number, None, wrong))
            rows.append(row if isinstance(row, dict) else {})
            if len(rows) == size:
                yield self._block(number + 1 - size, rows, faults)
                rows, faults = [], []
        if rows:
            yield self._block(number + 1 - len(rows), rows, faults)

    def _block(self, first: int, rows: list[dict[str, Any]], faults: list[Fault]) -> Block:
        for name in dict.fromkeys(name for row in rows for name in row):
            if name not in self.names:
                self.names.append(name)
        return Block(first, len(rows), {name: [row.get(name) for row in rows] for name in self.names}, faults)

    def _rows(self) -> Iterator[tuple[Any, str | None]]:
        with self._file() as file:
            start = "" if self.path.suffix in (".jsonl", ".ndjson") else file.read(_PIECE)
            opening = _OPENING.match(start)
            if opening is not None:
                yield from ((row, None) for row in self._array(file, start[opening.end() :]))
                return
            file.seek(0)
            for line in file:
                if line.strip():
                    yield _decoded(line)

    def _array(self, file: TextIO, text: str) -> Iterator[Any]:
        """Decode the elements of an array whose opening bracket is behind."""
        decode, at, row = json.JSONDecoder().raw_decode, 0, 0
        while True:
            between = _BETWEEN.match(text, at)
            at = between.end() if between else at
            if text[at : at + 1] == "]":
                return
            try:
                value, end = decode(text, at)
                yield value
                at, row = end, row + 1
            except json.JSONDecodeError as error:
                more = file.read(max(_PIECE, len(text) - at))
                text, at = text[at:] + more, 0
                if not more or len(text) > _LONGEST:
                    raise InputError(
                        f"expected {self.path.name} as JSON, an array of objects; row {row}: {error.msg}. "
                        "Is a bracket or a quote left open?"
                    ) from error

    @contextmanager
    def _file(self) -> Iterator[TextIO]:
        with self.path.open(encoding="utf-8-sig") as file:
            try:
                yield file
            except UnicodeDecodeError as error:
                raise InputError(
                    f"expected {self.path.name} in UTF-8; {error}. Save it again in that encoding"
                ) from error


def _decoded(line: str) -> tuple[Any, str | None]:
    try:
        return json.loads(line), None
    except (json.JSONDecodeError, RecursionError) as error:
        return None, f"expected one JSON object on a line; {error}"
