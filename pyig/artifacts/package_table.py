"""Rows as a DataFrame, in whatever form they come; packages know no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyig.errors import InputError, InputTypeError, missing, unknown

Table = Any


def frame(rows: Table, columns: Sequence[str] = ()) -> Table:
    """Return rows as a DataFrame with a fresh index; with `columns`, those alone and in that order.

    Raises
    ------
    InputError
        Where there are no rows, or a column is missing.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise missing("pandas", "a model package", "frames") from error
    if isinstance(rows, pd.DataFrame):
        found = rows
    elif isinstance(rows, Mapping):
        scalars = [name for name, value in rows.items() if isinstance(value, str) or not hasattr(value, "__len__")]
        if len(scalars) == len(rows):  # one row
            found = pd.DataFrame([dict(rows)])
        elif scalars:
            raise InputError(f"expected columns of the same length; {', '.join(map(repr, scalars[:5]))} are no arrays")
        else:
            found = pd.DataFrame({name: list(value) for name, value in rows.items()})
    elif isinstance(rows, (list, tuple)) and all(isinstance(row, Mapping) for row in rows):
        found = pd.DataFrame(list(rows))
    else:
        raise InputTypeError(
            f"expected rows as a DataFrame, a dict of columns, or a list of dicts; got {type(rows).__qualname__}"
        )
    if not len(found):
        raise InputError("expected at least one row; got none")
    for column in columns:
        if column not in found.columns:
            raise (
                unknown("column", column, map(str, found.columns))
                if not len(found.columns)
                else InputError(f"expected a column {column!r}; the rows have {', '.join(map(str, found.columns))}")
            )
    return (found[list(columns)] if columns else found).reset_index(drop=True)
