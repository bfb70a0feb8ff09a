"""When a step of the loop runs eagerly, and when as a compiled graph.

An eager step costs 2 to 20 times a graph's, and tracing costs about ten eager steps. So a step that comes back is
traced, once for all batch sizes, and kept over the calls of an explainer. A graph shows the Python of the day it was
traced: every call first compares one row with an eager forward, the same row for all its graphs. What cannot be traced,
or disagrees, stays eager.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pyig.backends.kept import Kept, identity
from pyig.contracts import Forward

Step = Callable[[Any, Any, Any], list[Any]]
Read = Callable[[Any, Any], Any]
Args = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]


@dataclass
class _Entry:
    keep: tuple[Any, ...]  # alive as long as the entry, so that an identity in the key is not given to another object
    calls: int = 0
    graph: Any = None
    eager: bool = False
    checked: int = -1


@dataclass(frozen=True)
class _Witness:
    """One row of the model, called eagerly in this session: what a graph has to give as well."""

    forward: Forward  # alive as long as the key
    key: Any
    points: Sequence[Any]
    fixed: Sequence[Any]
    outputs: Any


class Graphs(Kept[_Entry]):
    """Traced steps, by what they compute and by the dtypes and row shapes of their tensors; the oldest goes first."""

    def __init__(self) -> None:
        super().__init__(_Entry)
        self._session = 0
        self._witness: _Witness | None = None
        self._depth = threading.local()  # one explainer may serve several threads

    @contextmanager
    def session(self) -> Iterator[bool]:
        """One call of the explainer: what was traced before is compared again before it is used.

        Yields whether this session is in no other, whose comparisons would serve it.
        """
        depth = getattr(self._depth, "value", 0)
        if not depth:
            self._session += 1
            self._witness = None
        self._depth.value = depth + 1
        try:
            yield not depth
        finally:
            self._depth.value = depth
            if not depth:
                self._witness = None  # it holds the user's model and a row of the input

    def value(self, forward: Forward, args: Args) -> Any:
        """Return ``forward(points, fixed)``; the first of a session is eager, and what graphs are compared with."""

        def step(points: Any, fixed: Any, index: Any) -> list[Any]:
            del index
            return [forward(points, fixed)]

        if _has_rows(args) and self._seen(forward, args) is None:
            outputs = forward(*args[:2])
            self._see(forward, args, outputs)
            return outputs
        # An explanation evaluates its two ends, seldom more: a graph pays later here than in the loop.
        return self.run((forward,), step, lambda outputs, index: outputs, args, patience=4)[0]

    def run(self, what: tuple[Any, ...], step: Step, read: Read, args: Args, patience: int) -> list[Any]:
        """Return ``step(*args)``, traced once it has run `patience` times; every tensor has one row per point.

        `what` tells the step from others and begins with the forward. ``read(outputs, index)`` gives the first tensor
        of the step from what the forward gives, for the comparison.
        """
        args = (list(args[0]), list(args[1]), list(args[2]))
        if not _has_rows(args):
            return step(*args)
        entry = self._kept(what, _shapes(args))
        entry.calls += 1
        if entry.graph is not None and entry.checked != self._session and not self._is_fresh(entry, read, args):
            entry.graph = None
        if entry.graph is None and not entry.eager and entry.calls > patience:
            entry.graph = _traced(step, args)
            entry.eager = entry.graph is None
        if entry.graph is None:
            return step(*args)
        entry.checked = self._session
        return list(entry.graph(*args))

    def _is_fresh(self, entry: _Entry, read: Read, args: Args) -> bool:
        forward: Forward = entry.keep[0]
        points, fixed, index = _first(args, 1)
        seen = self._seen(forward, args)
        if seen is None:
            outputs = forward(points, fixed)
            self._see(forward, (points, fixed, ()), outputs)
        else:
            points, fixed, outputs = seen.points, seen.fixed, seen.outputs
        try:
            return _close(entry.graph(points, fixed, index)[0], read(outputs, index))
        except tf.errors.ResourceExhaustedError:
            raise
        except Exception:  # the model has just answered, so this is the graph's own trouble
            return False

    def _seen(self, forward: Forward, args: Args) -> _Witness | None:
        found = self._witness  # another thread may put its own there
        return found if found is not None and found.key == identity((forward,), _shapes(args[:2])) else None

    def _see(self, forward: Forward, args: Args, outputs: Any) -> None:
        points, fixed, _ = _first(args, 1)
        rows = args[0][0].shape[0]
        if rows != 1:
            if not outputs.shape.rank or outputs.shape[0] != rows:
                return
            outputs = outputs[:1]
        self._witness = _Witness(forward, identity((forward,), _shapes(args[:2])), points, fixed, outputs)


def _shapes(parts: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(tuple((tensor.dtype, tuple(tensor.shape[1:])) for tensor in part) for part in parts)


def _has_rows(args: Args) -> bool:
    return all(tensor.shape.rank for part in args for tensor in part)


def _traced(step: Step, args: Args) -> Any:
    """Return the concrete function; None where Python decides by the data, has side effects, or goes through numpy."""
    specs = tuple([tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in part] for part in args)
    try:
        wanted = step(
            *_first(args, 1)
        )  # before the trace, so that what a model builds on its first call is not built there
        # No autograph: Keras itself compiles without it, and what needs it runs eagerly, unchanged.
        graph = tf.function(step, input_signature=specs, autograph=False).get_concrete_function()
        # One row and two: a model may take a batch of one for a special case.
        same = _agree(graph(*_first(args, 1)), wanted) and _agree(graph(*_first(args, 2)), step(*_first(args, 2)))
    except tf.errors.ResourceExhaustedError:
        raise
    except Exception:
        return None  # the eager step says itself what is wrong, if anything is
    return graph if same else None


def _first(args: Args, rows: int) -> Args:
    points, fixed, index = ([tensor[:rows] for tensor in part] for part in args)
    return points, fixed, index


def _agree(found: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return all(_close(a, b) for a, b in zip(found, wanted, strict=True))


def _close(found: Any, wanted: Any) -> bool:
    if found is None or wanted is None:
        return found is wanted
    if not wanted.dtype.is_floating:
        return bool(tf.reduce_all(tf.equal(found, wanted)))
    tolerance = {2: 1e-1, 4: 1e-3, 8: 1e-6}.get(wanted.dtype.size, 1e-1)  # not for accuracy: it tells a stale graph
    a, b = (np.asarray(tf.cast(tensor, tf.float64)) for tensor in (found, wanted))
    scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
