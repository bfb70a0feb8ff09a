"""Which entry of the outputs is explained: every way to say it, as flat indices per sample.

A spec is read once at the door (`parse`), where its form and length are checked, and resolved per chunk of samples
once the outputs are known, where its range is checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Backend, Ints
from pyig.errors import InputError, InputTypeError

_TOP = re.compile(r"top(\d+)$")
Outputs = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Target:
    """A parsed target.

    Attributes
    ----------
    kind : str
        ``"default"``, ``"predicted"``, ``"top"``, ``"same"`` (one index for all samples), ``"each"``, or ``"single"``:
        the only output there is, where the default would choose among several.
    index : int64
        ``"same"``: (rank - 1,) or a single number; ``"each"``: (N,) or (N, rank - 1).
    top : int
        How many targets each sample has.
    """

    kind: str
    index: Ints | None = None
    top: int = 1

    def resolve(self, rows: Ints, shape: tuple[int, ...], outputs: Outputs, name: str = "target") -> Ints:
        """Return flat indices (len(rows), top) into outputs of the given shape (first axis: rows).

        Parameters
        ----------
        rows : int64
            Sample numbers of this chunk.
        shape : tuple of int
            Shape of the outputs.
        outputs : callable
            Fetches the outputs as numpy; asked only where the values decide.
        """
        columns = shape[1:]
        size = math.prod(columns)
        if self.kind in ("default", "single") and size == 1:
            return np.zeros((len(rows), 1), dtype=np.int64)
        if self.kind == "single":
            raise InputError(
                f"expected {name}= to say which output to explain; got none for outputs of shape {_shown(columns)}. "
                f"{_choices(columns)}"
            )
        if self.kind in ("default", "predicted", "top"):
            return self._ranked(columns, size, outputs, name)
        assert self.index is not None
        index = self.index if self.kind == "same" else self.index[rows]
        flat = _flat(index, self.kind, columns, name)
        return np.repeat(flat, len(rows) if self.kind == "same" else 1)[:, None]

    def _ranked(self, columns: Sequence[int], size: int, outputs: Outputs, name: str) -> Ints:
        if len(columns) > 1:
            asked = {"default": "none", "predicted": "'predicted'"}.get(self.kind, f"'top{self.top}'")
            raise InputError(
                f"expected {name}= as a tuple of {len(columns)} whole numbers for outputs of shape {_shown(columns)}; "
                f"got {asked}, which is defined for (N, C)"
            )
        if self.top > size:
            raise InputError(f"expected {name}='top1' to 'top{size}' for {size} output columns; got 'top{self.top}'")
        scores = outputs().reshape(-1, size)
        order: Ints = np.argsort(-scores, axis=1, kind="stable")[:, : self.top].astype(np.int64)
        return order


def fetched(backend: Backend, target: Any) -> Any:
    """Return a target that came as a tensor as numpy, and any other as it is."""
    return backend.to_numpy(target) if backend.is_tensor(target) and hasattr(target, "shape") else target


def parse(target: Any, samples: int, name: str = "target") -> Target:
    """Read a target spec: its form, and its length where it has one entry per sample.

    Examples
    --------
    >>> parse("top3", samples=10)
    Target(kind='top', index=None, top=3)
    """
    if isinstance(target, Target):
        return target
    if target is None:
        return Target("default")
    if isinstance(target, str):
        return _parse_name(target, name)
    if isinstance(target, (bool, np.bool_)):
        raise InputTypeError(f"expected {name}= as a class number; got the boolean {target!r}. Say int({target!r})")
    if isinstance(target, (int, np.integer)):
        return Target("same", np.array([target], dtype=np.int64))
    if isinstance(target, tuple) and target and all(_is_whole(item) for item in target):
        return Target("same", np.array(target, dtype=np.int64))
    index = _whole_array(target, name)
    if index.ndim == 0:
        return Target("same", index.reshape(1))
    if index.ndim > 2 or len(index) != samples:
        raise InputError(
            f"expected {name}= with one entry per sample, shape ({samples},) or ({samples}, rank - 1); "
            f"got shape {index.shape}. For one index into outputs of higher rank pass a tuple"
        )
    return Target("each", index)


def _parse_name(target: str, name: str) -> Target:
    if target == "predicted":
        return Target("predicted")
    match = _TOP.match(target)
    if match and int(match[1]) >= 1:
        return Target("top", top=int(match[1]))
    raise InputError(
        f"expected {name}= as a class number, an array, 'predicted', 'top3', or a function; got {target!r}"
    )


def _whole_array(target: Any, name: str) -> Ints:
    try:
        index = np.asarray(target)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputTypeError(f"expected {name}= as whole numbers; got {type(target).__qualname__}") from error
    if index.dtype.kind not in "iu":
        raise InputTypeError(
            f"expected {name}= as whole numbers, a name, or a function; "
            f"got {type(target).__qualname__} of dtype {index.dtype}"
        )
    return index.astype(np.int64)


def _is_whole(item: object) -> bool:
    return isinstance(item, (int, np.integer)) and not isinstance(item, bool)


def _flat(index: Ints, kind: str, columns: Sequence[int], name: str) -> Ints:
    wide = index.reshape(1, -1) if kind == "same" else index.reshape(len(index), -1)
    sizes = np.array(columns if columns else (1,), dtype=np.int64)
    if wide.shape[1] != len(sizes):
        raise InputError(
            f"expected {name}= with {len(sizes)} whole number(s) per sample for outputs of shape "
            f"{_shown(columns)}; got {wide.shape[1]}"
        )
    bad = (wide < -sizes) | (wide >= sizes)
    if bad.any():
        row, axis = (int(i) for i in np.argwhere(bad)[0])
        where = "" if kind == "same" else f" for sample {row}"
        raise InputError(
            f"{name}={int(wide[row, axis])} is out of range{where}: the model's output has shape {_shown(columns)}, so "
            f"axis {axis + 1} takes 0 to {int(sizes[axis]) - 1}"
        )
    found = np.where(wide < 0, wide + sizes, wide)
    flat: Ints = found[:, 0] if len(sizes) == 1 else np.ravel_multi_index(tuple(found.T), tuple(sizes)).astype(np.int64)
    return flat


def _choices(columns: Sequence[int]) -> str:
    if len(columns) == 1:
        return f"Pass a class number from 0 to {columns[0] - 1}, or one for each sample"
    return f"Pass a tuple of {len(columns)} whole numbers, or one tuple for each sample"


def _shown(columns: Sequence[int]) -> str:
    return f"({', '.join(['N', *map(str, columns)])}{'' if columns else ','})"
