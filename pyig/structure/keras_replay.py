"""A Keras model that is a Python program, cut at a layer by recording its calls and playing them back.

The program itself runs, so control flow and odd calls stay as they are. In `before`, every layer call that is complete
when the layer is reached is recorded, and the run stops there. In `after` these calls return their recording, and the
layer returns the points. A recording that nothing refers to at the cut, beside the record, is never read again: one row
of it stands in for all.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig import tree
from pyig.contracts import Backend
from pyig.errors import ModelError
from pyig.structure.keras_tools import CutError, called_again, describe, inside, nest, repeated, rows_of, tuple_spec

_patching = threading.RLock()  # two threads that explain one model take turns at its layers


class _Reached(BaseException):
    """Ends the recording run at the layer; no Exception, which Keras would dress up with the arguments of the call."""


@dataclass
class _Record:
    """One complete layer call.

    Attributes
    ----------
    structure : structure of 0
        What the layer returned, without its tensors.
    leaves : list
        Its leaves; a tensor that is not read again is None.
    firsts : list
        The first row of each leaf that may have one row per sample; None for the others.
    """

    layer: Any
    structure: Any
    leaves: list[Any]
    firsts: list[Any]


class ReplayCut:
    """See `pyig.contracts.Split`.

    Parameters
    ----------
    record : bool
        Whether to record; otherwise the layers before the cut run again in `after`.
    """

    def __init__(self, backend: Backend, model: Any, layer: Any, to_inputs: bool, record: bool) -> None:
        self.spec = tree.LEAF
        self._backend, self._model, self._layer, self._to_inputs = backend, model, layer, to_inputs
        self._nest = nest(layer)
        self._recorded = {id(item): item for item in inside(model) if record and item is not layer}
        self._follows: list[bool] | None = None  # per recorded leaf: whether it has one row per sample
        self._records: list[_Record] = []
        self._structure: Any = None
        self._input: tuple[Any, list[str], dict[str, Any]] = (None, [], {})

    def before(self, x: Any, batched: dict[str, Any], shared: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """Return the layer's values; as context x, the keyword tensors, and the recordings that are read again."""
        leaves, spec = tree.flatten(x)
        values, records = self._run(x, batched | shared, rows_of(leaves[0]))
        if self._follows is None:
            self._follows = self._compare(leaves, spec, batched, shared, records)
        if len(self._follows) != sum(len(record.leaves) for record in records):
            raise CutError("the layers before the cut are not the same in every run")
        self._input = (spec, list(batched), shared)
        self._records = records
        flags = iter(self._follows)
        context = [*leaves, *batched.values()]
        for record in records:
            for i, follows in zip(range(len(record.leaves)), flags, strict=False):
                if not follows:
                    record.leaves[i] = record.firsts[i] if record.leaves[i] is None else record.leaves[i]
                    record.firsts[i] = None
                elif record.leaves[i] is not None:
                    context.append(record.leaves[i])
                    record.leaves[i] = _IN_CONTEXT
        return values, context

    def after(self, points: Sequence[Any], context: Sequence[Any]) -> Any:
        """Run the program with the recordings and the points in the places of the layers."""
        spec, names, shared = self._input
        rest = iter(context)
        x = tree.unflatten(spec, [next(rest) for _ in tree.names(spec)])
        kwargs = {name: next(rest) for name in names} | shared
        queues: dict[int, deque[Any]] = {}
        for record in self._records:
            played = self._nest.pack_sequence_as(record.structure, list(_filled(record, rest, points[0])))
            queues.setdefault(id(record.layer), deque()).append(played)
        patches = [(self._recorded[key], _player(queue, self._recorded[key].call)) for key, queue in queues.items()]
        calls: list[int] = []
        with patched([*patches, (self._layer, self._stand_in(points, calls))]):
            raw = self._backend.call(x, kwargs)
        if not calls:
            raise CutError("the layer was not called a second time")
        return raw

    def _run(self, x: Any, kwargs: dict[str, Any], samples: int) -> tuple[list[Any], list[_Record]]:
        """Run up to the layer; return its values and the outermost calls that were complete by then."""
        done: list[tuple[int, _Record]] = []
        found: list[Any] = []
        depth = [0]
        patches = [(layer, self._recorder(layer, done, depth)) for layer in self._recorded.values()]
        with patched([*patches, (self._layer, self._target(found, done, samples))]):
            try:
                self._backend.call(x, kwargs)
            except _Reached:
                pass
            else:
                raise ModelError(
                    f"expected the layer {describe(self._layer)} to be called in the model's forward; "
                    "it was not. A layer inside a tf.function that was traced before cannot be reached"
                )
        if not found or not all(hasattr(value, "numpy") for value in found):
            raise ModelError("expected the layer to give or take tensors, outside of any tf.function; it did not")
        self.spec = tuple_spec(len(found))
        return found, [record for _, record in done]

    def _recorder(self, layer: Any, done: list[tuple[int, _Record]], depth: list[int]) -> Callable[..., Any]:
        call = layer.call

        def recorder(*args: Any, **kwargs: Any) -> Any:
            depth[0] += 1
            out = call(*args, **kwargs)
            depth[0] -= 1
            while done and done[-1][0] > depth[0]:  # calls inside this one are covered by its own output
                done.pop()
            leaves = self._nest.flatten(out)
            structure = self._nest.pack_sequence_as(out, [0] * len(leaves))
            done.append((depth[0], _Record(layer, structure, leaves, [None] * len(leaves))))
            return out

        return recorder

    def _target(self, found: list[Any], done: list[tuple[int, _Record]], samples: int) -> Callable[..., Any]:
        call = self._layer.call

        def target(*args: Any, **kwargs: Any) -> Any:
            self._let_go([record for _, record in done], samples)
            if self._to_inputs:
                found.extend(leaf for key, leaf in self._arguments(args, kwargs) if self._moves(key, leaf))
            else:
                out = call(*args, **kwargs)
                found.extend(self._nest.flatten(out))
                self._structure = self._nest.pack_sequence_as(out, [0] * len(found))
            raise _Reached

        return target

    def _let_go(self, records: list[_Record], samples: int) -> None:
        """Forget the recordings that only the records refer to, while the program stands at the layer."""
        for record in records:
            for i, leaf in enumerate(record.leaves):
                if self._backend.is_tensor(leaf) and rows_of(leaf) == samples:
                    record.firsts[i] = self._backend.take(leaf, np.zeros(1, np.int64))
                    record.leaves[i] = weakref.ref(leaf)
            leaf = None
        for record in records:
            record.leaves = [leaf() if isinstance(leaf, weakref.ref) else leaf for leaf in record.leaves]

    def _compare(
        self, leaves: list[Any], spec: Any, batched: dict[str, Any], shared: dict[str, Any], records: list[_Record]
    ) -> list[bool]:
        """Run with another number of rows; tell for every recorded leaf whether its rows follow the samples."""
        samples = rows_of(leaves[0])
        rows = np.zeros(1 if samples > 1 else 2, np.int64)
        take = self._backend.take
        x = tree.unflatten(spec, [take(leaf, rows) for leaf in leaves])
        _, others = self._run(x, {key: take(value, rows) for key, value in batched.items()} | shared, len(rows))
        if [record.layer for record in records] != [record.layer for record in others]:
            raise CutError("the layers before the cut depend on the number of rows")
        found = []
        for mine, theirs in zip(records, others, strict=True):
            for a, b in zip(_shapes(mine, samples), _shapes(theirs, len(rows)), strict=True):
                if a != b and (not a or not b or a[1:] != b[1:] or (a[0], b[0]) != (samples, len(rows))):
                    raise CutError("a layer before the cut gives a tensor without one row per sample")
                found.append(a != b)
        return found

    def _stand_in(self, points: Sequence[Any], calls: list[int]) -> Callable[..., Any]:
        call = self._layer.call

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            if len(calls) > 1:
                raise called_again(self._layer)
            if not self._to_inputs:
                return self._nest.pack_sequence_as(self._structure, list(points))
            fresh = iter(points)
            flat = [next(fresh) if self._moves(*item) else item[1] for item in self._arguments(args, kwargs)]
            args, kwargs = self._nest.pack_sequence_as((args, kwargs), flat)
            return call(*args, **kwargs)

        return stand_in

    def _arguments(self, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
        """Return the flat arguments of a call, each with its keyword, in the order of the structure as a whole."""
        named = [("", leaf) for leaf in self._nest.flatten(args)]
        return named + [(key, leaf) for key in sorted(kwargs) for leaf in self._nest.flatten(kwargs[key])]

    def _moves(self, keyword: str, value: Any) -> bool:
        return self._backend.is_tensor(value) and keyword != "training" and not keyword.endswith("mask")


_IN_CONTEXT = object()


def _shapes(record: _Record, samples: int) -> list[tuple[int, ...]]:
    """Return the shape of each leaf, () for what is no tensor, also where only its first row was kept."""
    shapes = []
    for leaf, first in zip(record.leaves, record.firsts, strict=True):
        shape = tuple(getattr(leaf if first is None else first, "shape", ()))
        shapes.append(shape if first is None else (samples, *shape[1:]))
    return shapes


def _filled(record: _Record, context: Iterator[Any], like: Any) -> Iterator[Any]:
    """Yield the leaves for the rows of a batch."""
    for leaf, first in zip(record.leaves, record.firsts, strict=True):
        if leaf is _IN_CONTEXT:
            yield next(context)
        else:
            yield leaf if first is None else repeated(first, like)


def _player(queue: deque[Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the recordings in the order of the calls, then what the layer itself gives."""

    def play(*args: Any, **kwargs: Any) -> Any:
        return queue.popleft() if queue else call(*args, **kwargs)

    return play


@contextmanager
def patched(calls: list[tuple[Any, Callable[..., Any]]]) -> Iterator[None]:
    """Set `call` on layer instances, past Keras' tracking of attributes, and put back whatever was there."""
    with _patching:
        saved = [(layer, layer.__dict__.get("call", _IN_CONTEXT)) for layer, _ in calls]
        try:
            for layer, call in calls:
                layer.__dict__["call"] = call
            yield
        finally:
            for layer, old in saved:
                if old is _IN_CONTEXT:
                    layer.__dict__.pop("call", None)
                else:
                    layer.__dict__["call"] = old
