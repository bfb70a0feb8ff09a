"""Where a model looks its input up in tables: seen by trying, not guessed from names.

One sample is run as many rows. In each of them other entries hold another value, in a pattern that no two entries
share, nor any two of them together. What changes in the pattern of an entry is that entry, wherever it arrives: moved,
cut out of its column, shifted by a constant, or joined with others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Backend, Ints
from pyig.errors import InputError
from pyig.registry import Registry

EMBEDDINGS = Registry(
    "embedding",
    {"torch": "pyig.structure.torch_embedding:Tables", "keras": "pyig.structure.keras_embedding:Tables"},
)
_OTHER = -2  # changes as no entry alone does


@dataclass
class Seen:
    """One call of a layer in a run of the model.

    Attributes
    ----------
    name : str
        As ``layer=`` takes it.
    layer : object
    inside : tuple of object
        The layers around this call, the outermost first.
    weights : bool
        Whether the layer has any of its own, or of layers inside it.
    listed : bool
        Whether it is one of several in a row.
    value : tensor or None
        What it gives; None for what is no floating tensor.
    """

    name: str
    layer: Any
    inside: tuple[Any, ...]
    weights: bool
    listed: bool
    value: Any = None


class Tables(Protocol):
    """The embedding layers of a model."""

    layers: Sequence[Any]
    padding: int | None
    """The id that they all take for padding, where one names it."""

    def calls(self, backend: Backend, run: Callable[[], Any]) -> list[Seen]:
        """Return the calls of all layers in a run, in the order in which they end."""
        ...

    def watching(self, act: Callable[[Any, Any, Callable[[], Any]], Any]) -> AbstractContextManager[None]:
        """Let ``act(layer, ids, call)`` answer for the layers; ``call()`` is what the layer itself gives."""
        ...


@dataclass(frozen=True)
class LookUp:
    """One call of an embedding layer that is given entries of the input.

    Attributes
    ----------
    layer : object
    turn : int
        Which of the layer's calls.
    entries : int64 (T,)
        The entry of the input that each id of the call is, numbered over all leaves; -1 for one that is none.
    """

    layer: Any
    turn: int
    entries: Ints


def tables(backend: Backend, model: Any) -> Tables | None:
    """Return the model's embedding layers; None where they are not looked for, or there are none."""
    kind = "keras" if hasattr(model, "compute_output_shape") or backend.name == "tensorflow" else backend.name
    if kind not in EMBEDDINGS:
        return None
    found: Tables = EMBEDDINGS[kind](model)
    return found if found.layers else None


def reads(
    backend: Backend, held: Tables, leaves: Sequence[NDArray[Any]], call: Callable[[Sequence[Any], int], Any]
) -> bool:
    """Tell whether an embedding layer is given anything that depends on these leaves; parameters as for `look_ups`."""
    two = [_coded(leaf, np.repeat([[False], [True]], leaf[0].size, axis=1)) for leaf in leaves]
    found: list[bool] = []

    def note(layer: Any, ids: Any, run: Callable[[], Any]) -> Any:
        given = backend.to_numpy(ids)
        found.append(len(given) == 2 and bool((given[0] != given[1]).any()) if given.ndim else False)
        return run()

    try:
        with held.watching(note):
            call(two, 2)
    except Exception as error:
        if backend.is_out_of_memory(error):
            raise
    return any(found)


def look_ups(
    backend: Backend, held: Tables, leaves: Sequence[NDArray[Any]], call: Callable[[Sequence[Any], int], Any]
) -> list[LookUp]:
    """Return the calls of embedding layers that are given entries of the input.

    Parameters
    ----------
    leaves : sequence of array (n, ...)
        A few samples.
    call : callable
        ``call(leaves, rows)`` runs the model on so many rows of the first sample, with these leaves.
    """
    trial = partial(_trial, backend, held, call)
    first = [leaf[:1] for leaf in leaves]
    sizes = [leaf[0].size for leaf in leaves]
    marks = np.split(_marks(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    coded = [_coded(leaf, own) for leaf, own in zip(leaves, marks, strict=True)]
    pads = [_padded(leaf, own, held.padding) for leaf, own in zip(coded, marks, strict=True)]
    for changed in (pads, coded) if held.padding is not None else (coded,):
        found = trial(changed)
        if found is not None:
            return found
    # Such values are not for all leaves of this model: one may be a length, or hold marks that the model counts.
    parts: list[LookUp] = []
    for place, leaf in enumerate(first):
        alone = trial(_alone(first, place, coded[place]))
        if alone is None:
            alone = trial(_alone(first, place, _turned(leaf[0], marks[place])))
        parts += alone or []
    if not parts:
        call(first, 1)  # says itself what is wrong
    return _joined(parts)


def _alone(first: Sequence[NDArray[Any]], place: int, changed: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the first sample in rows, of which one leaf changes."""
    return [changed if i == place else np.repeat(leaf, len(changed), axis=0) for i, leaf in enumerate(first)]


def _trial(
    backend: Backend, held: Tables, call: Callable[[Sequence[Any], int], Any], leaves: Sequence[NDArray[Any]]
) -> list[LookUp] | None:
    """Return what is looked up when the leaves change so; None where the model does not take them."""
    rows = len(leaves[0])
    names: dict[bytes, int] = {}
    for entry, pattern in enumerate(itertools.chain.from_iterable(map(_patterns, leaves))):
        if pattern is not None:
            names[pattern] = _OTHER if pattern in names else entry
    try:
        return _seen(backend, held, partial(call, leaves, rows), rows, names)
    except Exception as error:
        if backend.is_out_of_memory(error) or isinstance(error, InputError):
            raise
        return None


def _joined(parts: Sequence[LookUp]) -> list[LookUp]:
    """Return one look-up for each call: its ids may come from several leaves."""
    found: dict[tuple[int, int], LookUp] = {}
    for part in parts:
        key = (id(part.layer), part.turn)
        known = found.get(key, part)
        found[key] = replace(known, entries=np.maximum(known.entries, part.entries))
    return list(found.values())


def _marks(count: int) -> NDArray[np.bool_]:
    """Return in which rows each entry is changed, (R, count): never in the first, and in half of the others.

    Words of one weight: what depends on two entries changes in the rows of both, which is no word.
    """
    half = next(k for k in itertools.count(1) if math.comb(2 * k, k) >= count)
    words = itertools.islice(itertools.combinations(range(1, 2 * half + 1), half), count)
    out = np.zeros((2 * half + 1, count), dtype=bool)
    for entry, rows in enumerate(words):
        out[list(rows), entry] = True
    return out


def _coded(leaf: NDArray[Any], marks: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the first sample in rows, with another value where it is marked: of another sample, if one differs."""
    first = leaf[0]
    differs = leaf != first
    other = np.take_along_axis(leaf, differs.argmax(axis=0)[None], axis=0)[0]
    # Not zero, unless there is no choice: it may be a length.
    other = np.where(differs.any(axis=0), other, first != 1 if leaf.dtype != bool else ~first)
    out: NDArray[Any] = np.where(marks.reshape(len(marks), *first.shape), other, first).astype(leaf.dtype)
    return out


def _padded(rows: NDArray[Any], marks: NDArray[np.bool_], pad: int | None) -> NDArray[Any]:
    """Return the rows with padding where they change: what depends on where it is shows that it depends on several."""
    if pad is None or rows.dtype == bool:
        return rows
    changed = marks.reshape(rows.shape) & (rows[:1] != pad)
    return np.where(changed, pad, rows).astype(rows.dtype)


def _turned(first: NDArray[Any], marks: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a sample in rows, in which what is marked changes places with each other: the values stay the same."""
    out = np.repeat(first.reshape(1, -1), len(marks), axis=0)
    for row, mark in zip(out, marks, strict=True):
        row[mark] = np.roll(row[mark], 1)
    return out.reshape(len(marks), *first.shape)


def _patterns(rows: NDArray[Any]) -> list[bytes | None]:
    """Return how each entry changes over the rows, whatever its values are; None for one that does not."""
    flat = rows.reshape(len(rows), -1)
    since = (flat[:, None] == flat[None]).argmax(axis=1).astype(np.uint8)  # the first row with the same value
    return [column.tobytes() if column.any() else None for column in np.ascontiguousarray(since.T)]


def _seen(backend: Backend, held: Tables, run: Callable[[], Any], rows: int, names: dict[bytes, int]) -> list[LookUp]:
    found: list[LookUp] = []
    turns: dict[int, int] = {}

    def note(layer: Any, ids: Any, call: Callable[[], Any]) -> Any:
        turn = turns[id(layer)] = turns.get(id(layer), -1) + 1
        out = call()
        given = backend.to_numpy(ids)
        if given.ndim and given.shape[0] == rows:
            entries = _entries(given, names)
            if entries is not None and _changes(backend, out):
                _check_vectors(layer, given.shape, tuple(out.shape))
                found.append(LookUp(layer, turn, entries))
        else:
            _check_rows(layer, given, rows, names)
        return out

    with held.watching(note):
        run()
    return found


def _changes(backend: Backend, out: Any) -> bool:
    """Tell whether what a layer gives depends on the ids: a table of positions may be given them for their shape."""
    if not backend.is_tensor(out):
        return False
    values = backend.to_numpy(out)
    return bool(values.ndim and (values != values[:1]).any())


def _entries(given: NDArray[Any], names: dict[bytes, int]) -> Ints | None:
    """Return the entries that ids are, row by row; None where some are computed from several, or none is an entry."""
    known = [-1 if pattern is None else names.get(pattern, _OTHER) for pattern in _patterns(given)]
    entries = np.array(known, dtype=np.int64)
    return entries if entries.max(initial=-1) >= 0 and entries.min() > _OTHER else None


def _check_vectors(layer: Any, ids: tuple[int, ...], values: tuple[int, ...]) -> None:
    if values[: len(ids)] != ids and math.prod(ids[1:]) > 1:
        raise InputError(
            "expected an embedding with one vector for each id; the model adds them up in "
            f"{type(layer).__qualname__}, and nothing is left to give to a single id. Use Embedding and a sum, which "
            "is the same model, or pass layer= to explain what comes out of it"
        )


def _check_rows(layer: Any, given: NDArray[Any], rows: int, names: dict[bytes, int]) -> None:
    """Refuse ids that have the samples elsewhere than on their first axis."""
    ways = [np.moveaxis(given, axis, 0) for axis in range(1, given.ndim) if given.shape[axis] == rows]
    if given.ndim and given.shape[0] and given.shape[0] % rows == 0:
        ways.append(given.reshape(rows, -1))
    if any(_entries(way, names) is not None for way in ways):
        raise InputError(
            f"expected ids with one row per sample where they are looked up; {type(layer).__qualname__} is given them "
            f"in shape {given.shape} for {rows} samples. Look them up before the batch axis is moved or joined, or "
            "pass layer= (pyig.text_layers lists them), a later one whose first axis is the batch"
        )
