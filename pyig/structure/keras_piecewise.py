"""Exact attributions of small piecewise-linear Keras models: one VJP per region, at its middle; see `regions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pyig.contracts import Floats, Forward, Ints
from pyig.structure.affine import best
from pyig.structure.agreement import OTHER_LAYERS, values_agree
from pyig.structure.bends import NOT_PIECEWISE, Piece, find_bends
from pyig.structure.keras_check import close, ends_and_middle, gradient_gap, gradients, wave
from pyig.structure.keras_prefix import Prefix, cuts, prefix_at
from pyig.structure.keras_program import Program, pulled
from pyig.structure.keras_record import Recording
from pyig.structure.keras_recurring import Recurring
from pyig.structure.keras_steps import Step
from pyig.structure.keras_tools import repeated
from pyig.structure.refusal import Refusal
from pyig.structure.regions import Exact, Head, Kinks, Regions, chunks

_TRIED = 512  # regions of the first sample, whose integral is compared with the rise of the values


@dataclass(frozen=True, eq=False)
class Piecewise:
    """A model that is piecewise linear up to a smooth head without weights.

    Attributes
    ----------
    recording : Recording
        The whole model.
    """

    recording: Recording
    _bends: list[tuple[Step, Recurring]]
    _prefix: Prefix | None
    _whole: Recurring
    _pull: Recurring
    _tail: Program
    _linear_tail: bool

    @property
    def bends(self) -> int:
        """How many operations have kinks."""
        return len(self._bends)

    def regions(
        self,
        points: Sequence[Any],
        starts: Sequence[Any],
        fixed: Sequence[Any] = (),
        *,
        most: int,
        rows: int = 1024,
    ) -> Regions:
        """Find the regions of every path, by forwards alone.

        Parameters
        ----------
        points, starts : sequence of tensor (N, ...), (1 or N, ...)
            The ends of the paths.
        fixed : sequence of tensor (N, ...)
            What does not move.
        most : int
            A sample with more regions is dropped as soon as that shows.
        rows : int
            Most rows of one model call.
        """
        count = points[0].shape[0]
        every = [leaf if leaf.shape[0] == count else repeated(leaf, points[0]) for leaf in starts]
        return Regions(_Paths(self, list(points), every, list(fixed), rows), most, points[0].dtype.size)

    def agrees(self, forward: Forward, points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any] = ()) -> bool:
        """Compare values alone at the ends of the first path and between: enough for the same layers.

        The values are those of the parts that are used, which may have been traced long ago.
        """
        rows, held = ends_and_middle(points, starts, fixed)
        still = self.recording.held(held)
        given = rows if self._prefix is None else [self._prefix.forward(rows, held)]
        found = self._tail([*self._whole([*given, *still]), *still])[0]
        return close(found, forward(rows, held))

    def verified(
        self, forward: Forward, points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any] = ()
    ) -> Piecewise | Refusal:
        """Compare values and gradients with the model's on the first sample; return this when they agree.

        The attributions of all outputs together are compared with the difference of the values as well: they add up to
        it where the kinks are where they are looked for, and the layers are straight between them.
        """
        rows, held = ends_and_middle(points, starts, fixed)
        outputs, expected, along = gradients(forward, rows, held)
        row, kept = [leaf[-1:] for leaf in rows], [leaf[-1:] for leaf in held]
        again, found, _ = gradients(self._plain, row, kept, along[-1:])
        if not close(again, outputs[-1:]):
            return Refusal(OTHER_LAYERS)
        reason = gradient_gap(expected, found)
        if reason is not None:
            return Refusal(reason)
        ends = [leaf[1:2] for leaf in rows], [leaf[:1] for leaf in rows], [leaf[:1] for leaf in held]
        return self if self._adds_up(outputs, *ends) else Refusal("its layers are not what their names say")

    def _adds_up(self, outputs: Any, *ends: Sequence[Any]) -> bool:
        along = tf.cast(wave(outputs[:1]), tf.float64)

        def head(found: Any, index: Any) -> tuple[Any, Any]:
            del index
            cotangent = repeated(along, found)
            return tf.reduce_sum(tf.reshape(tf.cast(found, tf.float64) * cotangent, (found.shape[0], -1)), 1), cotangent

        regions = self.regions(*ends, most=_TRIED)
        if not regions.counts.any():
            return True
        whole = regions.attributions(head, [], linear=True)
        if not isinstance(whole, Exact):
            return False
        parts = [part.numpy() for part in whole.attributions]
        total, size = sum(float(part.sum()) for part in parts), sum(float(np.abs(part).sum()) for part in parts)
        values = (along * tf.cast(outputs[:2], tf.float64)).numpy().reshape(2, -1)
        rise, scale = float((values[1] - values[0]).sum()), size + float(np.abs(values).sum())
        return values_agree(np.array([total, scale]), np.array([rise, scale]), outputs.dtype.size)

    def _plain(self, points: Sequence[Any], fixed: Sequence[Any]) -> Any:
        recording = self.recording
        program = Program(recording.steps, (*recording.points, *recording.fixed), [recording.output])
        return program([*points, *recording.held(fixed)])[0]


class _Paths:
    """See `pyig.structure.regions.Paths`."""

    def __init__(self, model: Piecewise, points: list[Any], starts: list[Any], fixed: list[Any], rows: int) -> None:
        self._model, self._points, self._starts, self.rows = model, points, starts, rows
        self._fixed = model.recording.held(fixed)
        self.bends: Sequence[Kinks | None] = [step.kinks for step, _ in model._bends]
        self.linear_tail, self.count, self.forwards = model._linear_tail, int(points[0].shape[0]), 0
        prefix = model._prefix
        self._ends = (starts, points) if prefix is None else tuple([prefix.forward(x, fixed)] for x in (starts, points))

    def arguments(self, bend: int, samples: Ints, alphas: Floats) -> tuple[NDArray[Any], Ints | None]:
        """Return what an operation with kinks is given, and who wins."""
        step, program = self._model._bends[bend]
        values = np.concatenate([out.numpy() for (out,) in self._run(program, samples, alphas)])
        return values.reshape(len(values), -1), None if step.winners is None else step.winners(values)

    def scalars(self, samples: Ints, alphas: Floats) -> Floats:
        """Return the last piecewise-linear tensor."""
        parts = [out.numpy() for (out,) in self._run(self._model._whole, samples, alphas)]
        return np.concatenate(parts).astype(np.float64)

    def outer(self, head: Head, index: Sequence[Any], samples: Ints, scalars: Floats) -> tuple[Floats, Floats]:
        """Return F and its gradient."""
        leaf, picked = tf.constant(scalars), [tf.gather(flat, samples) for flat in index]
        if not self._model._tail.steps:
            values, gradient = head(leaf, picked)
            return values.numpy(), gradient.numpy()
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(leaf)
            (outputs,) = self._model._tail([leaf, *_rows_of(self._fixed, samples)])
        values, cotangent = head(tf.identity(outputs), picked)
        zero = tf.UnconnectedGradients.ZERO
        found = tape.gradient(outputs, leaf, tf.cast(cotangent, outputs.dtype), unconnected_gradients=zero)
        return values.numpy(), tf.convert_to_tensor(found).numpy()

    def pulled(self, samples: Ints, alphas: Floats, weights: Floats) -> tuple[Ints, list[Any]]:
        """Return the samples, and the sum of their rows' gradients times x - x'."""
        kept, place = np.unique(samples, return_inverse=True)
        totals: list[Any] = [0.0] * len(self._ends[1])
        for part in chunks(samples, self.rows):
            along = tf.constant(weights[part], self._points[0].dtype)
            leaves, still = self._between(samples[part], alphas[part]), _rows_of(self._fixed, samples[part])
            for at, grad in enumerate(self._model._pull([*leaves, *still, along])):
                each = tf.cast(grad, tf.float64)
                totals[at] += tf.math.unsorted_segment_sum(each, place[part], len(kept))
        points, starts, fixed = (_rows_of(leaves, kept) for leaves in (self._points, self._starts, self._fixed))
        if self._model._prefix is not None:
            totals = self._model._prefix.pullback(points, fixed, totals[0])
        wide = [[tf.cast(leaf, tf.float64) for leaf in leaves] for leaves in (points, starts)]
        steps = [stop - start for stop, start in zip(*wide, strict=True)]
        return kept, [step * tf.cast(total, tf.float64) for step, total in zip(steps, totals, strict=True)]

    def _run(self, program: Recurring, samples: Ints, alphas: Floats) -> Iterator[list[Any]]:
        for part in chunks(samples, self.rows):
            self.forwards += len(samples[part])
            yield program([*self._between(samples[part], alphas[part]), *_rows_of(self._fixed, samples[part])])

    def _between(self, samples: Ints, alphas: Floats) -> list[Any]:
        out = []
        for start, stop in zip(*self._ends, strict=True):
            low, high = (tf.cast(tf.gather(end, samples), tf.float64) for end in (start, stop))
            shares = tf.reshape(tf.constant(alphas), (-1, *[1] * (len(stop.shape) - 1)))
            out.append(tf.cast(low + shares * (high - low), stop.dtype))
        return out


def find_piecewise(recording: Recording) -> Piecewise | Refusal:
    """Find out whether the model is piecewise linear up to a smooth head without weights.

    Parameters
    ----------
    recording : Recording
        From ``record(..., everywhere=True)``.

    Returns
    -------
    Piecewise or Refusal
    """
    steps = [step for step in recording.steps if recording.moving.intersection(step.inputs)]
    pieces = [_piece(recording, step) for step in steps]
    found = find_bends(pieces, recording.points, recording.output, recording.usable.__contains__)
    if found is None:
        return Refusal(NOT_PIECEWISE)
    places = [(-1, recording.inputs), *cuts(recording)]
    cut, place = places[best([place for _, place in places], recording.macs)]
    given = ((cut,) if cut >= 0 else recording.points) + recording.fixed
    whole = Program(recording.steps, given, [found.scalars])
    bare = [replace(step, run=step.curve or step.bare or step.run) for step in recording.steps]

    def recurring(function: Callable[[Sequence[Any]], list[Any]]) -> Recurring:
        return Recurring(function, recording.eager)

    return Piecewise(
        recording,
        [(steps[at], recurring(Program(recording.steps, given, [pieces[at].reads[0]]))) for at in found.places],
        prefix_at(recording, cut, place) if cut >= 0 else None,
        recurring(whole),
        recurring(partial(_pulled, whole, len(given) - len(recording.fixed))),
        Program(bare, (found.scalars, *recording.fixed), [recording.output]),
        not found.tailed,
    )


def _pulled(program: Program, moving: int, given: Sequence[Any]) -> list[Any]:
    """Return the VJP of a part of the model; given are its points, fixed tensors, and the cotangent."""
    *rows, along = given
    return pulled(program, [tf.identity(leaf) for leaf in rows[:moving]], rows[moving:], along)


def _piece(recording: Recording, step: Step) -> Piece:
    reads = tuple(number for number in step.inputs if number in recording.moving)
    values = tuple(number for number in step.outputs if number in recording.rows)
    bends = step.kinks is not None or step.winners is not None
    return Piece(reads, step.outputs, values, recording.cost(step), bends, partial(_is_linear, step, reads))


def _is_linear(step: Step, reads: Sequence[int], known: Any) -> bool:
    return step.linear and known.issuperset(reads)


def _rows_of(leaves: Sequence[Any], rows: Ints) -> list[Any]:
    return [tf.gather(leaf, rows) for leaf in leaves]
