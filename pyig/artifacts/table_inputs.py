"""Rows in the user's words -> one array for each input of a model."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.signatures import Tensor
from pyig.errors import InputError, InputTypeError, unknown

Columns = Sequence[str] | Mapping[str, Sequence[str]]


class TableInputs:
    """How the columns of a table become the inputs of a model.

    An input takes the column of its own name, or, where it is a vector, several columns, one for each element.

    Parameters
    ----------
    inputs : dict of Tensor
        What the model takes.
    columns : sequence of str, or dict of them, optional
        The columns that make up a vector input, in order; by input name where there are several. Without them, the
        columns of a table that has just as many as the vector's length, in their order.
    defaults : dict, optional
        Values of inputs that a table may leave out.
    """

    def __init__(
        self, inputs: Mapping[str, Tensor], columns: Columns | None = None, defaults: Mapping[str, Any] | None = None
    ) -> None:
        self.inputs = dict(inputs)
        self.defaults = dict(defaults or {})
        self.given = self._given(columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """What a row must have, as far as that is known without one."""
        needed = [self.given.get(name, (name,)) for name in self.inputs if name not in self.defaults]
        return tuple(column for group in needed for column in group)

    def arrays(self, rows: Any) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[str, ...]]]:
        """Return one array per input, and the columns of those that were put together from several.

        Raises
        ------
        InputError, InputTypeError
            When a column is missing, its cells have different lengths, or the shape does not fit.
        """
        table = as_columns(rows, list(self.inputs))
        groups = {name: self.given.get(name) or self._implied(name, table) for name in self.inputs}
        self._check(table, groups)
        arrays, used = {}, {}
        for name, place in self.inputs.items():
            group = groups[name]
            if group is not None:
                arrays[name] = np.stack([_numbers(table[column], column) for column in group], axis=1)
                used[name] = group
            elif name in table:
                arrays[name] = _fitted(table[name], place)
            else:
                arrays[name] = self._default(name, place, table)
        return arrays, used

    def _given(self, columns: Columns | None) -> dict[str, tuple[str, ...]]:
        if columns is None:
            return {}
        if not isinstance(columns, Mapping):
            vectors = [name for name, place in self.inputs.items() if _width(place) != 1]
            if isinstance(columns, str) or len(vectors) != 1:
                raise InputTypeError(
                    f"expected columns= as a dict by input, {', '.join(vectors) or 'none of which is a vector'}; "
                    f"got {columns!r}"
                )
            columns = {vectors[0]: columns}
        found = {}
        for name, group in columns.items():
            if name not in self.inputs:
                raise unknown("input", name, self.inputs)
            width = _width(self.inputs[name])
            if width not in (None, len(group)):
                raise InputError(f"expected {width} columns for {self.inputs[name]}; got {len(group)} in columns=")
            found[name] = tuple(str(column) for column in group)
        return found

    def _implied(self, name: str, table: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return the columns of a table that are as many as the vector has elements, and belong to nothing else."""
        width = _width(self.inputs[name])
        if name in table or width in (None, 1) or self.inputs[name].dtype == "string":
            return None
        taken = {column for group in self.given.values() for column in group} | set(self.inputs)
        free = [column for column in table if column not in taken]
        alone = sum(_width(place) not in (None, 1) and other not in table for other, place in self.inputs.items())
        return tuple(free) if len(free) == width and alone == 1 else None

    def _check(self, table: Mapping[str, Any], groups: Mapping[str, tuple[str, ...] | None]) -> None:
        wanted = {name: groups[name] or (name,) for name in self.inputs}
        absent = [
            column
            for name, group in wanted.items()
            for column in group
            if column not in table and not (column == name and name in self.defaults)
        ]
        if not absent:
            return
        near = [f"{c!r} is near {n[0]!r}" for c in absent if (n := difflib.get_close_matches(c, table, n=1))]
        shapes = ", ".join(str(self.inputs[name]) for name in absent if name in self.inputs)
        wide = [name for name in absent if name in self.inputs and _width(self.inputs[name]) not in (None, 1)]
        raise InputError(
            f"expected columns {', '.join(map(repr, absent))}, which the rows do not have; they have "
            f"{', '.join(map(repr, list(table)[:20])) or 'none'}{'; ' + ', '.join(near) if near else ''}"
            + (f". The model takes {shapes}" if shapes else "")
            + (f". Name the columns that make up {wide[0]!r} with columns=" if wide else "")
        )

    def _default(self, name: str, place: Tensor, table: Mapping[str, Any]) -> NDArray[Any]:
        value = np.asarray(self.defaults[name])
        rows = len(next(iter(table.values()))) if table else 0
        batched = place.shape is not None and len(place.shape) > value.ndim
        return np.broadcast_to(value, (rows, *value.shape)) if batched else value


def as_columns(rows: Any, inputs: Sequence[str]) -> dict[str, Any]:
    """Return a table as arrays by column name; a lone array is the only input.

    Parameters
    ----------
    rows : DataFrame, dict of arrays, list of dicts, or array
    inputs : sequence of str
        Names of the inputs.
    """
    if hasattr(rows, "columns") and hasattr(rows, "iloc"):
        table = {str(column): rows[column].to_numpy() for column in rows.columns}
    elif isinstance(rows, Mapping):
        table = {str(column): values for column, values in rows.items()}
    elif isinstance(rows, (list, tuple)) and rows and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(name for row in rows for name in row))
        for number, row in enumerate(rows):
            if len(row) != len(names):
                lacking = ", ".join(repr(name) for name in names if name not in row)
                raise InputError(f"expected the same columns in every row; row {number} has no {lacking}")
        table = {str(name): [row[name] for row in rows] for name in names}
    elif len(inputs) == 1 and hasattr(rows, "shape"):
        table = {inputs[0]: rows}
    else:
        raise InputTypeError(
            f"expected rows as a DataFrame, a dict of arrays or a list of dicts; got {type(rows).__qualname__}"
        )
    table = {name: _array(values, name) for name, values in table.items()}
    lengths = {name: len(values) for name, values in table.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"expected columns of one length; got {lengths}")
    if not lengths or not next(iter(lengths.values())):
        raise InputError("expected at least one row; got none")
    return table


def _array(values: Any, name: str) -> NDArray[Any]:
    """Return a column as an array; cells that are lists or arrays become further axes."""
    array = values if isinstance(values, np.ndarray) else _ragged(values, name)
    if array.dtype == object and array.size and isinstance(array.flat[0], (list, tuple, np.ndarray)):
        array = _ragged(list(array), name)
    if array.ndim == 0:
        raise InputError(f"expected one value per row in column {name!r}; got the single value {array!r}")
    return array


def _ragged(values: Any, name: str) -> NDArray[Any]:
    try:
        found = np.asarray(values)
        # As objects: numpy's own bytes lose the zeros at their end, and with them the end of an image.
        return np.asarray(values, dtype=object) if found.dtype.kind == "S" else found
    except ValueError:
        lengths = sorted({len(value) for value in values if hasattr(value, "__len__")})
        raise InputError(
            f"expected cells of one shape in column {name!r}; got lengths {lengths[:8]}. Pad them to one length"
        ) from None


def _numbers(values: NDArray[Any], column: str) -> NDArray[Any]:
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InputTypeError(
            f"expected one number per row in column {column!r}; got dtype {values.dtype} and shape {values.shape}. "
            "Write categories as numbers, the way the model was trained"
        )
    return values


def _fitted(values: NDArray[Any], place: Tensor) -> NDArray[Any]:
    """Return a column with the axes that the input has; a column of numbers may be a vector of length one."""
    if place.shape is None:
        return values
    rank = len(place.shape)
    if rank == 0:
        first = values.ravel()[:1]
        if not (values == first).all():
            raise InputError(f"expected one value for all rows in {place}; got several")
        return np.asarray(first[0])
    if values.ndim == rank - 1 and place.shape[-1] in (None, 1):
        values = values[..., None]
    elif values.ndim == rank + 1 and values.shape[-1] == 1:
        values = values[..., 0]
    fits = values.ndim == rank and all(n in (None, m) for n, m in zip(place.shape, values.shape, strict=True))
    if not fits:
        raise InputError(f"expected {place}; got shape {values.shape} with {len(values)} rows")
    return values


def _width(place: Tensor) -> int | None:
    """Return how many numbers a row of the input has; None where it is no vector, or its length is open."""
    if place.shape is None or len(place.shape) > 2 or not place.shape:
        return None
    return place.shape[1] if len(place.shape) == 2 else 1
