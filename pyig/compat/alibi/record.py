"""Explanation: what the peer's `explain` returns, two dicts whose keys are attributes too."""

from __future__ import annotations

import json
from pprint import pformat
from typing import Any

import numpy as np

from pyig.errors import SaveFileError


class Explanation:
    """A result in the peer's form.

    Parameters
    ----------
    meta : dict
        How it was made: ``name``, ``type``, ``explanations``, ``params``, ``version``.
    data : dict
        What was found: ``attributions``, ``X``, ``forward_kwargs``, ``baselines``, ``predictions``, ``deltas``,
        ``target``.

    Examples
    --------
    >>> found = Explanation({"name": "IntegratedGradients"}, {"deltas": np.zeros(2, np.float32)})
    >>> found.deltas is found["deltas"] is found.data["deltas"]
    True
    >>> Explanation.from_json(found.to_json()).deltas
    array([0., 0.], dtype=float32)
    """

    def __init__(self, meta: dict[str, Any], data: dict[str, Any]) -> None:
        self.meta = meta
        self.data = data

    def __getattr__(self, name: str) -> Any:
        for part in ("data", "meta"):
            known = self.__dict__.get(part, {})  # empty while a copy is being made
            if name in known:
                return known[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getitem__(self, name: str) -> Any:
        """Return an attribute by its name, as old code does."""
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.meta, *self.data})

    def __repr__(self) -> str:
        parts = [f"{part}={pformat(getattr(self, part), sort_dicts=False)}" for part in ("meta", "data")]
        return f"{type(self).__name__}({', '.join(parts)})"

    def to_json(self) -> str:
        """Return JSON: arrays as nested lists, as the peer writes them, and their dtypes and shapes beside them."""
        arrays: list[Any] = []
        plain = {part: _plain(getattr(self, part), [part], arrays) for part in ("meta", "data")}
        return json.dumps({**plain, "arrays": arrays})

    @classmethod
    def from_json(cls, jsonrepr: str) -> Explanation:
        """Read what `to_json` wrote, arrays included; what the peer wrote keeps its lists.

        Raises
        ------
        SaveFileError
            No JSON, or not that of an explanation.
        """
        try:
            read = json.loads(jsonrepr)
            meta, data = read["meta"], read["data"]
            for path, dtype, shape in read.get("arrays", []):
                holder: Any = read
                for key in path[:-1]:
                    holder = holder[key]
                holder[path[-1]] = np.array(holder[path[-1]], dtype=np.dtype(dtype)).reshape(shape)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise SaveFileError(
                f"expected the JSON of an explanation, with meta and data ({type(error).__name__}: {error})"
            ) from error
        return cls(meta, data)


def _plain(value: Any, path: list[Any], arrays: list[Any]) -> Any:
    """Return what JSON knows; note where an array was."""
    if isinstance(value, dict):
        return {str(key): _plain(item, [*path, str(key)], arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, [*path, i], arrays) for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if callable(value):
        return f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', type(value).__qualname__)}"
    if hasattr(value, "__array__"):  # a tensor or a table too
        array = np.asarray(value)
        arrays.append([path, array.dtype.str, list(array.shape)])
        return array.tolist()
    return value
