"""Structures of arrays: what a user passes, as a flat list of leaves and back.

An input may be one array, a list or tuple, a dict, a DataFrame, or any nesting of them. The loop works on the flat
list of leaves; the result takes the shape of the input again. A `Spec` is plain data, so it is saved as JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.errors import InputError, InputTypeError


@dataclass(frozen=True)
class Spec:
    """The shape of a structure without its arrays.

    Attributes
    ----------
    kind : str
        ``"leaf"``, ``"list"``, ``"tuple"``, ``"dict"`` or ``"frame"`` (a DataFrame: one 2-D leaf with labels).
    keys : tuple
        Keys of a dict, columns of a frame; empty otherwise.
    index : tuple
        Row labels of a frame.
    children : tuple of Spec
        One per item of a list, tuple or dict.
    """

    kind: str
    keys: tuple[Any, ...] = ()
    index: tuple[Any, ...] = ()
    children: tuple[Spec, ...] = ()


LEAF = Spec("leaf")


def flatten(x: Any) -> tuple[list[Any], Spec]:
    """Split a structure into its leaves, depth first, and its spec.

    Numbers and lists of numbers become one numpy array; everything with ``shape`` and ``dtype`` is a leaf as it is.

    Examples
    --------
    >>> leaves, spec = flatten({"image": np.zeros((2, 3)), "age": np.ones(2)})
    >>> [leaf.shape for leaf in leaves], names(spec)
    ([(2, 3), (2,)], ['image', 'age'])
    """
    if is_frame(x):
        return [_frame_values(x)], Spec("frame", keys=tuple(x.columns), index=tuple(x.index))
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return [x], LEAF
    if isinstance(x, dict) or (hasattr(x, "keys") and hasattr(x, "__getitem__")):
        return _flatten_items("dict", tuple(x.keys()), [x[key] for key in x])
    if isinstance(x, (list, tuple)) and x and not _is_numeric(x):
        return _flatten_items("tuple" if isinstance(x, tuple) else "list", (), x)
    if _is_numeric(x):
        return [_array(x)], LEAF
    raise InputTypeError(
        "expected an array, a tensor, a DataFrame, or a list, tuple or dict of them; "
        f"got {type(x).__module__}.{type(x).__qualname__}"
        f"{'. For texts use pyig.explain_text(model, text, tokenizer)' if isinstance(x, str) else ''}"
    )


def unflatten(spec: Spec, leaves: Sequence[Any]) -> Any:
    """Put leaves back into the structure that `flatten` took apart; a frame leaf must be 2-D numpy."""
    rest = list(leaves)
    tree = _build(spec, rest)
    if rest:
        raise InputError(f"expected {len(leaves) - len(rest)} leaves for this structure; got {len(leaves)}")
    return tree


def tree_map(function: Callable[[Any], Any], x: Any) -> Any:
    """Apply a function to every leaf and rebuild the structure."""
    leaves, spec = flatten(x)
    return unflatten(spec, [function(leaf) for leaf in leaves])


def names(spec: Spec, prefix: str = "") -> list[str]:
    """Name every leaf by its path: ``""`` for a lone array, ``"image"``, ``"0"``, ``"pair.1"``."""
    if spec.kind in ("leaf", "frame"):
        return [prefix]
    labels = [str(key) for key in spec.keys] if spec.kind == "dict" else [str(i) for i in range(len(spec.children))]
    joined = [f"{prefix}.{label}" if prefix else label for label in labels]
    return [name for label, child in zip(joined, spec.children, strict=True) for name in names(child, label)]


def take_rows(spec: Spec, rows: Sequence[int]) -> Spec:
    """Return the spec of a structure whose samples were sliced: only a frame's row labels change."""
    index = tuple(spec.index[row] for row in rows) if spec.index else ()
    return Spec(spec.kind, spec.keys, index, tuple(take_rows(child, rows) for child in spec.children))


def to_json(spec: Spec) -> dict[str, Any]:
    """Return the spec as JSON-ready data; labels that JSON does not know become strings."""
    out: dict[str, Any] = {"kind": spec.kind}
    if spec.keys:
        out["keys"] = [_plain(key) for key in spec.keys]
    if spec.index:
        out["index"] = [_plain(label) for label in spec.index]
    if spec.children:
        out["children"] = [to_json(child) for child in spec.children]
    return out


def from_json(data: dict[str, Any]) -> Spec:
    """Read what `to_json` wrote."""
    if data.get("kind") not in ("leaf", "list", "tuple", "dict", "frame"):
        raise InputError(f"expected a structure of kind leaf, list, tuple, dict or frame; got {data.get('kind')!r}")
    return Spec(
        data["kind"],
        tuple(data.get("keys", ())),
        tuple(data.get("index", ())),
        tuple(from_json(child) for child in data.get("children", ())),
    )


def is_frame(x: object) -> bool:
    """Tell whether x is a pandas DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(x, pandas.DataFrame)


def _flatten_items(kind: str, keys: tuple[Any, ...], items: Sequence[Any]) -> tuple[list[Any], Spec]:
    parts = [flatten(item) for item in items]
    leaves = [leaf for part, _ in parts for leaf in part]
    return leaves, Spec(kind, keys=keys, children=tuple(spec for _, spec in parts))


def _build(spec: Spec, rest: list[Any]) -> Any:
    if spec.kind in ("leaf", "frame"):
        if not rest:
            raise InputError("expected more leaves for this structure")
        leaf = rest.pop(0)
        return leaf if spec.kind == "leaf" else _to_frame(leaf, spec)
    items = [_build(child, rest) for child in spec.children]
    if spec.kind == "dict":
        return dict(zip(spec.keys, items, strict=True))
    return tuple(items) if spec.kind == "tuple" else items


def _to_frame(leaf: Any, spec: Spec) -> Any:
    import pandas as pd

    if getattr(leaf, "ndim", 0) != 2:  # several targets: one more axis than a table has
        return leaf
    return pd.DataFrame(leaf, columns=list(spec.keys), index=list(spec.index))


def _frame_values(frame: Any) -> Any:
    wrong = [str(column) for column, dtype in frame.dtypes.items() if not _numeric_dtype(dtype)]
    if wrong:
        raise InputTypeError(
            f"expected a DataFrame of numbers; column(s) {', '.join(wrong[:5])} are not numeric. "
            "Encode them first (for example with pandas.get_dummies)"
        )
    dtype = (
        np.result_type(*[np.float32 if str(d) == "bool" else d for d in frame.dtypes]) if len(frame.columns) else float
    )
    return frame.to_numpy(dtype=dtype if np.issubdtype(dtype, np.floating) else np.float64)


def _numeric_dtype(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub"


def _array(numbers: Any) -> NDArray[Any]:
    try:
        return np.asarray(numbers)
    except ValueError as error:
        raise InputError(
            "expected nested lists of numbers of the same length; got ragged ones. Pad them, or pass one array per part"
        ) from error


def _is_numeric(x: object) -> bool:
    if isinstance(x, (bool, int, float, np.number, np.bool_)):
        return True
    return isinstance(x, (list, tuple)) and bool(x) and all(_is_numeric(item) for item in x)


def _plain(label: object) -> Any:
    if isinstance(label, np.generic):
        label = label.item()
    return label if isinstance(label, (str, int, float, bool)) or label is None else str(label)
