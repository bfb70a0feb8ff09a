"""What the columns of a table hold: kinds, ranges, categories and missing values, inferred once and checked later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pyig.artifacts.artifact import Problem
from pyig.errors import InputError, unknown

KINDS = ("integer", "float", "boolean", "category", "text")
MAX_CARDINALITY = 100

Table = Any


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
    kind : {"integer", "float", "boolean", "category", "text"}
    minimum, maximum : float, optional
        Of numbers.
    categories : tuple of str
        Of a category, in order of frequency.
    missing : bool
        Whether cells may be empty.
    """

    name: str
    kind: str
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    missing: bool = False

    def mock(self, i: int) -> Any:
        """Return an invented value that fits the column; different ones for different `i`."""
        if self.kind == "boolean":
            return i % 2 == 0
        if self.kind == "category":
            return self.categories[i % len(self.categories)] if self.categories else "category"
        if self.kind == "text":
            return f"some text {i}"
        low = 0.0 if self.minimum is None else self.minimum
        high = low + 1.0 if self.maximum is None else self.maximum
        share = (0.5, 0.0, 1.0, 0.25, 0.75)[i % 5]
        value = min(max((1 - share) * low + share * high, low), high)  # rounding may leave a wide range
        return round(value) if self.kind == "integer" else float(value)

    def problems(self, values: Any) -> Iterator[Problem]:
        """Say how cells of a table (a Series) differ from the column."""
        where = f"rows.{self.name}"
        found = values.dropna()
        empty = len(values) - len(found)
        if empty and not self.missing:
            yield Problem(
                "warning",
                where,
                f"expected no empty cells; got {empty} of {len(values)}",
                "Fill them before explaining",
            )
        kind = kind_of(found, MAX_CARDINALITY)
        if self.kind in ("integer", "float", "boolean"):
            numeric = found.dtype.kind in "fiub"
            whole = numeric and bool((found == np.floor(found.astype(float))).all())
            if not numeric or (self.kind == "integer" and not whole):
                yield Problem(
                    "error",
                    where,
                    f"expected {self.kind} values; got {kind if numeric else 'text'}",
                    "Convert the column",
                )
                return
            if self.minimum is not None and self.maximum is not None and len(found):
                low, high = float(found.min()), float(found.max())
                if low < self.minimum or high > self.maximum:
                    yield Problem(
                        "warning",
                        where,
                        f"expected values from {self.minimum:g} to {self.maximum:g}; got {low:g} to {high:g}",
                        "Check the units, or widen the range in the schema",
                    )
        elif self.kind == "category" and self.categories:
            strange = sorted({str(value) for value in found} - set(self.categories))
            if strange:
                yield Problem(
                    "warning",
                    where,
                    f"expected one of {len(self.categories)} categories; got {', '.join(map(repr, strange[:5]))}",
                    "Map them to known ones, or add them to the schema",
                )


@dataclass(frozen=True)
class DatasetSchema:
    """The columns of a table.

    Attributes
    ----------
    columns : tuple of Column
    name : str

    Examples
    --------
    >>> import pandas as pd
    >>> schema = DatasetSchema.infer(pd.DataFrame({"age": [63, 37], "cp": ["typical", "none"]}))
    >>> [(column.name, column.kind) for column in schema.columns]
    [('age', 'integer'), ('cp', 'category')]
    """

    columns: tuple[Column, ...]
    name: str = ""

    @classmethod
    def infer(cls, table: Table, name: str = "", max_cardinality: int = MAX_CARDINALITY) -> DatasetSchema:
        """Infer the schema of a DataFrame.

        Parameters
        ----------
        table : DataFrame
        name : str
        max_cardinality : int, default 100
            Text with more different values is no category.
        """
        names = [str(column) for column in table.columns]
        if len(set(names)) != len(names):
            raise InputError(f"expected columns of different names; got {', '.join(names)}")
        return cls(tuple(_column(str(label), table[label], max_cardinality) for label in table.columns), name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise unknown("column", name, self.names)

    def mock(self, rows: int = 3, columns: Sequence[str] | None = None) -> Table:
        """Return invented rows that fit the schema."""
        import pandas as pd

        chosen = self.columns if columns is None else [self[name] for name in columns]
        return pd.DataFrame({column.name: [column.mock(i) for i in range(rows)] for column in chosen})

    def problems(self, table: Table, columns: Sequence[str] | None = None) -> Iterator[Problem]:
        """Say how a table differs from the schema; the columns alone that are named, where some are."""
        for column in self.columns:
            if columns is not None and column.name not in columns:
                continue
            if column.name not in table.columns:
                yield Problem("error", f"rows.{column.name}", "expected this column; it is not there", "Add it")
            else:
                yield from column.problems(table[column.name])

    def data(self) -> dict[str, Any]:
        """Return the schema as JSON data; what does not hold of a column is left out."""
        return {
            "name": self.name,
            "columns": [
                # 0.0 equals False, and is a bound.
                {k: v for k, v in asdict(column).items() if v is not None and v is not False and v != ()}
                for column in self.columns
            ],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> DatasetSchema:
        """Read what `data` returns."""
        columns = data.get("columns")
        if not isinstance(columns, list):
            raise InputError(f"expected 'columns' as a list; got {type(columns).__qualname__}")
        return cls(tuple(_read(column) for column in columns), str(data.get("name", "")))


def kind_of(values: Any, max_cardinality: int) -> str:
    """Name the kind of a Series without empty cells."""
    letter = getattr(values.dtype, "kind", "O")
    if letter == "b":
        return "boolean"
    if letter in "iu":
        return "integer"
    if letter == "f":
        return "float"
    return "category" if values.astype(str).nunique() <= max_cardinality else "text"


def _column(name: str, values: Any, max_cardinality: int) -> Column:
    found, missing = values.dropna(), bool(values.isna().any())
    if found.dtype == object and len(found) and all(isinstance(value, (bool, np.bool_)) for value in found):
        found = found.astype(bool)  # with empty cells, pandas keeps booleans as objects
    kind = kind_of(found, max_cardinality)
    if kind in ("integer", "float"):
        low, high = (float(found.min()), float(found.max())) if len(found) else (None, None)
        return Column(name, kind, low, high, missing=missing)
    if kind == "category":
        return Column(name, kind, categories=tuple(map(str, found.astype(str).value_counts().index)), missing=missing)
    return Column(name, kind, missing=missing)


def _read(data: Any) -> Column:
    known = list(Column.__dataclass_fields__)
    if not isinstance(data, Mapping) or "name" not in data or "kind" not in data:
        raise InputError(f"expected a column with 'name' and 'kind'; got {data!r:.80}")
    for key in data:
        if key not in known:
            raise unknown(f"key of column {data['name']!r}", key, known)
    if data["kind"] not in KINDS:
        raise unknown(f"kind of column {data['name']!r}", data["kind"], KINDS)
    return Column(**{**data, "categories": tuple(map(str, data.get("categories", ())))})
