"""Rows of a .parquet file: types are its own, and rows are read a batch at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyig.errors import InputError, missing
from pyig.scale.columns import DTYPES, Array, Column, Fault, fill, shown

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing("pyarrow", "reading and writing .parquet files", "scale") from error


class ParquetTable:
    """A parquet file with what its schema says; parameters as for `Untyped`."""

    clean = False  # nobody has looked at the cells yet

    def __init__(self, path: Path, wanted: Sequence[str] | None, text: Collection[str]) -> None:
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"expected {path.name} as a parquet file; it cannot be read as one ({error})") from error
        self._path = path
        self.count = int(self._file.metadata.num_rows)
        schema = self._file.schema_arrow
        self.names = list(schema.names)
        kept = [field for field in schema if wanted is None or field.name in wanted]
        self.columns = {field.name: _column(field, path, field.name in text) for field in kept}
        for column in [column for column in self.columns.values() if column.shape == (-1,)]:
            self.columns[column.name] = replace(column, shape=(self._length(column.name),))

    def tables(self, size: int, first: int) -> Iterator[tuple[int, int, dict[str, Array], list[Fault]]]:
        """Yield the first row number, the count, the arrays and the faults, `size` rows at a time."""
        group, before = 0, 0
        while group < self._file.num_row_groups:
            rows = self._file.metadata.row_group(group).num_rows
            if before + rows > first:
                break
            group, before = group + 1, before + rows
        groups, skip = list(range(group, self._file.num_row_groups)), first - before
        held: list[Any] = []
        for batch in self._batches(groups, size):
            held.append(batch.slice(min(skip, len(batch))))
            skip -= min(skip, len(batch))
            while sum(map(len, held)) >= size:
                table = pa.Table.from_batches(held)
                yield self._arrays(table.slice(0, size), first)
                held, first = table.slice(size).to_batches(), first + size
        if sum(map(len, held)):
            yield self._arrays(pa.Table.from_batches(held), first)

    def _batches(self, groups: list[int], size: int) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(batch_size=size, row_groups=groups, columns=list(self.columns))
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"expected {self._path.name} to be whole; reading its rows failed ({error})") from error

    def _arrays(self, table: Any, first: int) -> tuple[int, int, dict[str, Array], list[Fault]]:
        arrays, faults = {}, []
        for name, column in self.columns.items():
            data = table.column(name)
            quick = not column.shape and column.kind != "text" and not data.null_count
            array = data.to_numpy().astype(DTYPES[column.kind], copy=False) if quick else None
            if array is None or not np.isfinite(array).all():
                array, found = fill(column, data.to_pylist(), first, _read)
                faults += found
            arrays[name] = array
        return first, len(table), arrays, faults

    def _length(self, name: str) -> int:
        """Return the length of the first list in a column: the schema does not know it, and chunks must agree on it."""
        for batch in self._file.iter_batches(batch_size=256, columns=[name]):
            for cell in batch.column(0).to_pylist():
                if cell is not None:
                    return len(cell)
        return 0


def _column(field: Any, path: Path, text: bool) -> Column:
    kind: Any = field.type
    shape: tuple[int, ...] = ()
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        shape = (kind.list_size,) if pa.types.is_fixed_size_list(kind) else (-1,)
        kind = kind.value_type
    checks = {
        "bool": pa.types.is_boolean,
        "int": lambda t: pa.types.is_integer(t) and t != pa.uint64(),
        "float": pa.types.is_floating,
        "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    }
    for name, check in checks.items():
        if check(kind):
            return Column(field.name, "text" if text and not shape else name, shape)
    if pa.types.is_null(kind):
        return Column(field.name, "float")
    raise InputError(
        f"expected numbers, booleans, texts or lists of them in column {field.name!r} of {path.name}; "
        f"got {field.type}. Cast it before it is written"
    )


def _read(cell: Any, column: Column) -> Any:
    if cell is None or cell != cell:
        raise ValueError(f"expected {column}; the cell is missing")
    if column.kind == "text":
        return str(cell) if not column.shape else np.array(cell, dtype=np.str_)
    value = np.asarray(cell)
    if value.shape != column.shape or value.dtype == object:
        raise ValueError(f"expected {column}, as in the first row; got {shown(cell)}")
    if not np.isfinite(value).all():
        raise ValueError(f"expected finite numbers; got {shown(cell)}")
    return value
