"""Results as text: csv, tsv, JSON, and JSON with one object per line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from pyig.scale.columns import Array
from pyig.scale.parts import Part
from pyig.scale.results import Layout, spread


def write_csv(file: BinaryIO, layout: Layout, parts: Iterable[Part], delimiter: str = ",") -> None:
    """Write a header and one line per result; what is not known is an empty cell, a list is JSON text."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(layout.names)
    for part in parts:
        writer.writerows(zip(*_cells(layout, part, "", str), strict=True))
    text.flush()
    text.detach()  # the file is still to be synced by whoever opened it


def write_tsv(file: BinaryIO, layout: Layout, parts: Iterable[Part]) -> None:
    """Write the same with tabs."""
    write_csv(file, layout, parts, "\t")


def write_lines(file: BinaryIO, layout: Layout, parts: Iterable[Part]) -> None:
    """Write one JSON object per line; what is not known is null."""
    for line in _objects(layout, parts):
        file.write(line + b"\n")


def write_json(file: BinaryIO, layout: Layout, parts: Iterable[Part]) -> None:
    """Write an array of such objects, one per line."""
    before = b"[\n"
    for line in _objects(layout, parts):
        file.write(before + line)
        before = b",\n"
    file.write(b"\n]\n")


def _objects(layout: Layout, parts: Iterable[Part]) -> Iterator[bytes]:
    quote = partial(json.dumps, ensure_ascii=False)
    keys = [f"{quote(name)}: " for name in layout.names]
    for part in parts:
        for row in zip(*_cells(layout, part, "null", quote), strict=True):
            yield f"{{{', '.join(map(str.__add__, keys, row))}}}".encode()


def _cells(layout: Layout, part: Part, unknown: str, quote: Callable[[str], str]) -> list[list[str]]:
    """Return the columns of a part as text."""
    rows = len(part.row)
    columns = [_texts(part.row, unknown, quote)]
    if layout.id_name is not None:
        columns.append([unknown] * rows if part.ids is None else _texts(part.ids, unknown, quote))
    for name in layout.kinds:
        array = part.columns.get(name)
        columns.append([unknown] * rows if array is None else spread(part, _texts(array, unknown, quote), unknown))
    if layout.marked:
        columns.append([quote(problem) if problem else unknown for problem in part.problems.tolist()])
    return columns


def _texts(array: Array, unknown: str, quote: Callable[[str], str]) -> list[Any]:
    """Write numbers in the fewest digits that read back as the same number."""
    if array.ndim > 1:
        flat = _texts(array.ravel(), "null", json.dumps)
        width = array.shape[1]
        return [f"[{', '.join(flat[i : i + width])}]" for i in range(0, len(flat), width or 1)]
    if array.dtype.kind == "U":
        return [quote(text) for text in array.tolist()]
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in array.tolist()]
    texts: list[Any] = array.astype(np.str_).tolist()
    if array.dtype.kind == "f":
        for i in np.flatnonzero(~np.isfinite(array)).tolist():
            texts[i] = unknown
    return texts
