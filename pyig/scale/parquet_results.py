"""Results as parquet: one row group per chunk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO

from pyig.errors import missing
from pyig.scale.columns import Array
from pyig.scale.parts import Part
from pyig.scale.results import Layout, spread

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise missing("pyarrow", "reading and writing .parquet files", "scale") from error

_TYPES = {"f4": pa.float32(), "f8": pa.float64(), "i8": pa.int64(), "b1": pa.bool_(), "U": pa.string()}


def write_parquet(file: BinaryIO, layout: Layout, parts: Iterable[Part]) -> None:
    """Write the columns in the dtypes that they were computed in; what is not known is null."""
    writer = None
    try:
        for part in parts:
            table = _table(layout, part)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _table(layout: Layout, part: Part) -> Any:
    columns = {"row": pa.array(part.row, type=pa.int64())}
    if layout.id_name is not None and part.ids is not None:
        columns[layout.id_name] = pa.array(part.ids)
    for name, (kind, lists) in layout.kinds.items():
        scalar = _TYPES.get(kind, pa.int64() if name in ("target", "n_evals") else pa.float64())
        kind_of = pa.list_(scalar) if lists else scalar
        array = part.columns.get(name)
        values = [None] * len(part.row) if array is None else spread(part, _values(array), None)
        columns[name] = pa.array(values, type=kind_of)
    if layout.marked:
        columns["problem"] = pa.array([problem or None for problem in part.problems.tolist()], type=pa.string())
    return pa.table(columns)


def _values(array: Array) -> list[Any]:
    """Return Python values, None for NaN."""
    values: list[Any] = array.tolist()
    if array.dtype.kind != "f":
        return values
    if array.ndim > 1:
        return [[None if number != number else number for number in row] for row in values]
    return [None if number != number else number for number in values]
