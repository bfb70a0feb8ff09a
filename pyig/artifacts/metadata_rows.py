"""Rows in the user's words -> arrays for the inputs of a model.

A sparse input is held as a padded array (N, L) and a mask (N, L), under the names of its values and of its indices:
everything that follows a path has a row per sample. `metadata_tail` makes the three parts of them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.metadata_bind import Bound
from pyig.artifacts.metadata_schema import NAMED
from pyig.artifacts.signatures import Tensor
from pyig.errors import InputError, InputTypeError
from pyig.tree import is_frame

Array = NDArray[Any]
Columns = dict[str, Any]
_PARTS = ("values", "indices", "dense_shape", "weights")


def columns(rows: Any) -> Columns:
    """Return a table by column: each an array or a list with one entry per row.

    Examples
    --------
    >>> columns([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    {'a': [1, 2], 'b': ['x', 'y']}
    """
    if is_frame(rows):
        return {str(name): rows[name].to_numpy() for name in rows.columns}
    if isinstance(rows, Mapping):
        for name, column in rows.items():
            if isinstance(column, (str, bytes)) or not hasattr(column, "__len__"):
                raise InputError(f"expected a column in {name!r}, one value per row; got {column!r}. Write [{{...}}]")
        return {str(name): column for name, column in rows.items()}
    if isinstance(rows, (list, tuple)) and not rows:
        raise InputError("expected at least one row; got none")
    if isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        keys = list(rows[0])
        for i, row in enumerate(rows):
            if set(row) != set(keys):
                raise InputError(f"expected the keys {', '.join(map(str, keys))} in every row; row {i} has {list(row)}")
        return {str(key): [row[key] for row in rows] for key in keys}
    raise InputTypeError(
        "expected rows as a DataFrame, a dict of columns, or a list of dicts; "
        f"got {type(rows).__module__}.{type(rows).__qualname__}"
    )


def wanted(features: Iterable[Bound], others: Iterable[str]) -> tuple[str, ...]:
    """Return what a row must have, in the user's words."""
    found: list[str] = []
    fed = [bound for bound in features if bound.feed is not None]
    for bound in fed:
        names = bound.item.index_feature_mapping
        spread = bound.direct and bound.sparse is None and bound.item.encoding in NAMED
        shared = sum(other.feed == bound.feed for other in fed) > 1
        found += map(str, names) if spread and names else [str(bound.feed) if shared else bound.item.name]
    return tuple(dict.fromkeys([*found, *others]))


def read(table: Columns, features: Iterable[Bound], others: Mapping[str, Tensor], optional: Iterable[str]) -> Columns:
    """Return the arrays of the model's inputs, by their names in the model.

    Parameters
    ----------
    table : dict
        As `columns` returns it.
    features : iterable of Bound
        The metadata's inputs.
    others : dict of Tensor
        Further inputs of the model, by name.
    optional : iterable of str
        Names of those that the model has a value for.
    """
    out: Columns = {}
    fed = [bound for bound in features if bound.feed is not None]
    for bound in fed:
        if bound.feed not in out:  # encoded in several ways, it is one column
            names = [other.item.name for other in fed if other.feed == bound.feed]
            out |= _feature(table, bound, names)
    left_out = set(optional)
    for name, tensor in others.items():
        if name in table:
            out[name] = dense(table[name], tensor, name)
        elif name not in left_out:
            raise _absent(name, [name], table)
    counts = {name: len(array) for name, array in out.items() if np.ndim(array)}
    if len(set(counts.values())) > 1:
        raise InputError(f"expected columns of one length; got {', '.join(f'{k}: {n}' for k, n in counts.items())}")
    return out


def dense(column: Any, place: Tensor, name: str) -> Array:
    """Return a column as an array of the rank that the model takes; an axis of length 1 comes and goes."""
    array = _array(column, name)
    if place.dtype == "string":
        array = _texts(array, name)
    elif array.dtype.kind not in "fiub":
        array = _numbers(array, name)
    if place.shape is None:
        return array
    rank = len(place.shape)
    if rank == 0 and array.ndim and (array == array[:1]).all():
        return np.asarray(array.ravel()[0])  # one value for all rows, such as a keep probability
    if array.ndim == rank - 1 and place.shape[-1] in (1, None):
        array = array[..., None]
    elif array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    fits = array.ndim == rank and all(m in (None, n) for m, n in zip(place.shape, array.shape, strict=True))
    if not fits:
        raise InputError(f"expected {name!r} to fit {place}; got shape {array.shape}")
    return array


def padded(column: Any, name: str, dtype: str) -> tuple[Array, Array, Array]:
    """Return sparse values as (N, L) with their mask and weights: lists of values, or dicts of values and indices."""
    entries = [_entry(value, name) for value in column]
    width = max([1, *(place + 1 for _, places, _ in entries for place in places), *map(_size, column)])
    texts = dtype == "string"
    values = np.full((len(entries), width), "" if texts else 0, dtype=object)
    mask, weights = np.zeros((len(entries), width), bool), np.ones((len(entries), width), np.float32)
    for row, (items, places, given) in enumerate(entries):
        values[row, places], mask[row, places] = items, True
        if given is not None:
            weights[row, places] = given
    plain = _texts(values, name) if texts else _numbers(values, name)
    return plain, mask, weights


def invented(place: Tensor) -> Array:
    """Return two rows that a model may take: zeros and ones, or some text.

    Examples
    --------
    >>> invented(Tensor("x", "x:0", "float32", (None, 2)))
    array([[0., 0.],
           [1., 1.]], dtype=float32)
    """
    shape = tuple(2 if n is None else n for n in (place.shape if place.shape is not None else (2,)))
    if place.dtype == "string":
        return np.full(shape, "a")
    values = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1)) if shape else np.ones(())
    return np.broadcast_to(values, shape).astype("float32" if place.dtype == "bfloat16" else place.dtype)


def _feature(table: Columns, bound: Bound, own: Sequence[str]) -> Columns:
    item, feed = bound.item, str(bound.feed)
    names = [*own, feed, *filter(None, [item.input_tensor_name])]
    column = next((table[name] for name in names if name in table), None)
    if bound.sparse is not None:
        return _sparse(table, bound, column)
    if column is None and item.encoding in NAMED and item.index_feature_mapping and bound.direct:
        single = [str(name) for name in item.index_feature_mapping]
        if all(name in table for name in single):
            column = np.stack([_numbers(_array(table[name], name), name) for name in single], axis=-1)
    if column is None:
        parts = map(str, item.index_feature_mapping or ()) if bound.direct else ()
        raise _absent(item.name, [*names, *parts], table)
    assert bound.source is not None
    return {feed: dense(column, bound.source, item.name)}


def _sparse(table: Columns, bound: Bound, column: Any) -> Columns:
    assert bound.sparse is not None
    assert bound.source is not None
    feed, sparse, weights = str(bound.feed), bound.sparse, bound.weights
    if column is None:
        raise _absent(bound.item.name, [bound.item.name, feed], table)
    if feed in table and sparse.indices in table:  # as the service was sent them: three entries in each row
        column = [
            {"values": value, "indices": places, "weights": None if weights is None else own}
            for value, places, own in zip(
                table[feed],
                table[sparse.indices],
                table[weights[0]] if weights is not None and weights[0] in table else [None] * len(table[feed]),
                strict=True,
            )
        ]
    values, mask, own = padded(column, bound.item.name, bound.source.dtype)
    names = None if bound.item.encoded_tensor_name else bound.item.index_feature_mapping
    if names is not None:  # every feature has its place, present or not
        if values.shape[1] > len(names):
            raise InputError(
                f"expected at most {len(names)} values per row in {bound.item.name!r}, one for each name of "
                f"index_feature_mapping; got {values.shape[1]}"
            )
        short = [(0, 0), (0, len(names) - values.shape[1])]
        values, mask = np.pad(values.astype(np.float64), short), np.ones((len(values), len(names)), bool)
    return {feed: values, sparse.indices: mask} | ({} if weights is None else {weights[0]: own})


def _entry(value: Any, name: str) -> tuple[list[Any], list[int], list[float] | None]:
    """Return one row's values, their places, and their weights."""
    if not isinstance(value, Mapping):
        items = [value] if isinstance(value, (str, bytes)) or np.ndim(value) == 0 else list(value)
        return items, list(range(len(items))), None
    strange = [key for key in value if key not in _PARTS]
    if strange or "values" not in value:
        raise InputError(f"expected {name!r} as a list, or a dict of {', '.join(_PARTS)}; got one of {list(value)}")
    items = list(value["values"])
    given = value.get("indices")
    places = list(range(len(items))) if given is None else [int(np.ravel(place)[-1]) for place in given]
    weights = value.get("weights")
    for key, part in (("indices", places), ("weights", items if weights is None else list(weights))):
        if len(part) != len(items):
            raise InputError(f"expected as many {key} as values in {name!r}; got {len(part)} and {len(items)}")
    if len(set(places)) < len(places) or min(places, default=0) < 0:
        raise InputError(f"expected indices in {name!r} that differ and count from 0; got {places}")
    return items, places, None if weights is None else [float(weight) for weight in weights]


def _size(value: Any) -> int:
    """Return the width that a row asks for by its dense shape."""
    shape = value.get("dense_shape") if isinstance(value, Mapping) else None
    return 0 if shape is None else int(np.ravel(shape)[-1])


def _array(column: Any, name: str) -> Array:
    if isinstance(column, np.ndarray) and column.dtype != object:
        return column
    items = [_plain(item) for item in column]
    try:
        # As objects: numpy's own bytes lose the zeros at their end, and with them the end of an image.
        array = np.asarray(items, dtype=object if _holds_bytes(items) else None)
    except ValueError:
        lengths = sorted({len(item) for item in items if hasattr(item, "__len__")})
        raise InputError(
            f"expected rows of one length in {name!r}; got {lengths[:5]}. Pad them, or declare the sparse tensors"
        ) from None
    return array


def _holds_bytes(items: Sequence[Any]) -> bool:
    first = next(iter(items), None)
    return _holds_bytes(first) if isinstance(first, (list, tuple)) else isinstance(first, bytes)


def _plain(item: Any) -> Any:
    """Decode bytes that came through JSON as the service took them."""
    if isinstance(item, Mapping) and set(item) == {"b64"}:
        return base64.b64decode(item["b64"])
    return item


def _texts(array: Array, name: str) -> Array:
    if array.dtype.kind in "US":
        return array
    strange = next((item for item in array.ravel() if not isinstance(item, (str, bytes))), None)
    if strange is not None:
        raise InputTypeError(
            f"expected text in {name!r}; got {np.asarray(strange).tolist()!r}. Write the values as strings; a column "
            "of a rows file is read as text with --text"
        )
    if any(isinstance(item, bytes) for item in array.ravel()):
        return array
    return array.astype(np.str_) if array.size else np.zeros(array.shape, "<U1")


def _numbers(array: Array, name: str) -> Array:
    if array.dtype.kind in "fiub":
        return array
    try:
        whole = all(isinstance(item, (int, np.integer)) for item in array.ravel())
        return array.astype(np.int64 if whole else np.float64)
    except (TypeError, ValueError):
        raise InputTypeError(
            f"expected numbers in {name!r}; got {array.ravel()[:3].tolist()}. Name its encoded tensor in the metadata "
            "where it holds words or categories"
        ) from None


def _absent(name: str, names: Iterable[str], table: Columns) -> InputError:
    said = ", ".join(dict.fromkeys(names))
    return InputError(f"expected a column for {name!r} (one of {said}); the rows have {', '.join(table) or 'none'}")
