"""When a step of the loop runs eagerly, and when as a compiled graph.

An eager step costs 2 to 20 times a graph's, and tracing costs about ten eager steps. So a step that comes back is
traced, once for all batch sizes, and kept over the calls of an explainer. A graph shows the Python of the day it was
traced: every call first compares one row with an eager forward. What cannot be traced, or disagrees, stays eager.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pyig.backends.kept import Kept

Step = Callable[[Any, Any, Any], list[Any]]
Values = Callable[[Any, Any, Any], Any]
Args = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]


@dataclass
class _Entry:
    keep: tuple[Any, ...]  # alive as long as the entry, so that an identity in the key is not given to another object
    calls: int = 0
    graph: Any = None
    eager: bool = False
    checked: int = -1


class Graphs(Kept[_Entry]):
    """Traced steps, by what they compute and by the dtypes and row shapes of their tensors; the oldest goes first."""

    def __init__(self) -> None:
        super().__init__(_Entry)
        self._session = 0

    def begin(self) -> None:
        """Start a new call of the explainer: what was traced before is compared again before it is used."""
        self._session += 1

    def run(self, what: tuple[Any, ...], step: Step, values: Values, args: Args, patience: int) -> list[Any]:
        """Return ``step(*args)``, traced once it has run `patience` times; every tensor has one row per point.

        `values` gives the first tensor of the step alone, for the comparison.
        """
        args = (list(args[0]), list(args[1]), list(args[2]))
        if not all(tensor.shape.rank for part in args for tensor in part):  # no axis for the rows
            return step(*args)
        entry = self._entry(what, args)
        entry.calls += 1
        if entry.graph is not None and entry.checked != self._session and not _is_fresh(entry.graph, values, args):
            entry.graph = None
        if entry.graph is None and not entry.eager and entry.calls > patience:
            entry.graph = _traced(step, args)
            entry.eager = entry.graph is None
        if entry.graph is None:
            return step(*args)
        entry.checked = self._session
        return list(entry.graph(*args))

    def _entry(self, what: tuple[Any, ...], args: Args) -> _Entry:
        shapes = tuple(tuple((tensor.dtype, tuple(tensor.shape[1:])) for tensor in part) for part in args)
        return self._kept(what, shapes)


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


def _is_fresh(graph: Any, values: Values, args: Args) -> bool:
    wanted = values(*_first(args, 1))
    try:
        return _close(graph(*_first(args, 1))[0], wanted)
    except tf.errors.ResourceExhaustedError:
        raise
    except Exception:  # the model has just answered, so this is the graph's own trouble
        return False


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
