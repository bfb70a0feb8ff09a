"""Cells of the files that have no types, or few: what they look like, and what they become."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pyig.scale.columns import DTYPES, ENDLESS, MISSING, Array, Column, shown

Look = tuple[str, tuple[int, ...]]
_TEXT_LOOKS = re.compile(
    r"\s*(?:(?P<code>0\d+)|(?P<int>[+-]?\d{1,18})|(?P<float>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<endless>[+-]?inf(?:inity)?)|(?P<bool>true|false)|(?P<missing>|\?|na|n/a|nan|null|none))\s*",
    re.IGNORECASE,
)
_SCALARS: dict[type, str] = {int: "int", float: "float", bool: "bool", str: "text"}
_EXACT: dict[str, set[type]] = {"int": {int}, "float": {int, float}, "bool": {bool}, "text": {str}}
_ABSENT = "expected {wanted}; the cell is missing"
_PLAIN = re.compile(r"[\d+\-.eE\s]*")


def text_looks(cells: Iterable[str]) -> Iterator[Look]:
    """Tell what the cells of a csv file look like; a list of numbers is known by its shape, as in JSON.

    Examples
    --------
    >>> list(text_looks(["[1, 2.5]", "[CLS] so"]))
    [('float', (2,)), ('text', ())]
    >>> [kind for kind, _ in text_looks(["63", "2.5", "1e3", "TRUE", "", "NA", "01234", "woman"])]
    ['int', 'float', 'float', 'bool', 'missing', 'missing', 'code', 'text']
    """
    for cell in cells:
        match = _TEXT_LOOKS.fullmatch(cell)
        if match is not None:
            yield (match.lastgroup or "text", ())
        else:
            yield next(json_looks([_listed(cell)])) if cell.lstrip().startswith("[") else ("text", ())


def read_text(cell: str, column: Column) -> Any:
    """Turn a cell of a csv file into a value of its column's kind."""
    if column.kind == "text":
        return cell
    ((look, _),) = text_looks([cell])
    if column.shape and look != MISSING:
        return read_json(_listed(cell), column)
    if look == MISSING:
        raise ValueError(_ABSENT.format(wanted=column))
    if look == "bool" and column.kind == "bool":
        return cell.strip().lower() == "true"
    if column.kind == "bool" or look not in ("int", "float", ENDLESS):
        raise ValueError(f"expected {column}, as in most rows; got {shown(cell)}")
    return _finite(float(cell), cell) if column.kind == "float" or look == ENDLESS else int(cell)


def quick_text(cells: list[str], column: Column) -> Array | None:
    """Make the array of a column in one go; None where some cell may be at fault."""
    if column.kind == "text":
        return np.array(cells, dtype=np.str_)
    if column.shape or column.kind == "bool" or not _PLAIN.fullmatch("".join(cells)):
        return None
    try:
        array: Array = np.array(cells, dtype=DTYPES[column.kind])
    except ValueError:
        return None
    return array if np.isfinite(array).all() else None


def json_looks(cells: Iterable[Any]) -> Iterator[Look]:
    """Tell what JSON values look like; a list is known by its shape and what its numbers are.

    Examples
    --------
    >>> list(json_looks([3, None, "a", [1, 2.5], [[True]]]))
    [('int', ()), ('missing', ()), ('text', ()), ('float', (2,)), ('bool', (1, 1))]
    """
    for cell in cells:
        if cell is None or cell != cell:
            yield (MISSING, ())
        elif (kind := _SCALARS.get(type(cell))) is not None:
            yield (kind if kind != "float" or np.isfinite(cell) else ENDLESS, ())
        elif isinstance(cell, dict):
            yield ("object", ())
        else:
            array = _array(cell)
            yield ("ragged", ()) if array is None else (_kind(array), array.shape)


def quick_json(cells: list[Any], column: Column) -> Array | None:
    """Make the array of a column in one go; None where some cell may be at fault."""
    if column.shape or not set(map(type, cells)) <= _EXACT[column.kind]:
        return None
    try:
        array: Array = np.array(cells, dtype=DTYPES.get(column.kind, np.str_))
    except OverflowError:
        return None
    return array if array.dtype.kind != "f" or np.isfinite(array).all() else None


def read_json(cell: Any, column: Column) -> Any:
    """Turn a JSON value into one of its column's kind."""
    ((look, shape),) = json_looks([cell])
    if look == MISSING:
        raise ValueError(_ABSENT.format(wanted=column))
    if column.kind == "text" and shape == column.shape == () and look in ("int", "float", "bool", "text"):
        return cell if isinstance(cell, str) else str(cell)
    if look in ("object", "ragged"):
        raise ValueError(f"expected a number, a text, or a list of the same shape in all rows; got {shown(cell)}")
    look = "float" if look == ENDLESS else look
    fits = look == column.kind or (look, column.kind) == ("int", "float")
    if not fits or shape != column.shape:
        raise ValueError(f"expected {column}, as in most rows; got {shown(cell)}")
    try:
        return _finite(np.asarray(cell, dtype=DTYPES.get(column.kind, np.str_)), cell)
    except OverflowError as error:
        raise ValueError(f"expected {column} of at most 64 bits; got {shown(cell)}") from error


def _listed(cell: str) -> Any:
    """Return a list of numbers that a cell of text holds, in Python's spelling too; else the cell itself."""
    try:
        found = json.loads(cell.lower())
    except (ValueError, RecursionError):
        return cell
    array = _array(found)
    return found if isinstance(found, list) and array is not None and _kind(array) not in ("text", "object") else cell


def _array(cell: Any) -> Array | None:
    try:
        return np.asarray(cell)
    except ValueError:  # lists of several lengths
        return None


def _kind(array: Array) -> str:
    kinds = {"i": "int", "u": "float", "f": "float", "b": "bool", "U": "text"}  # u: beyond 2**63
    return kinds.get(array.dtype.kind, "object")


def _finite(value: Any, cell: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fc":
        return value
    if not np.isfinite(value).all():
        raise ValueError(f"expected finite numbers; got {shown(cell)}")
    return value
