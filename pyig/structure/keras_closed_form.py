"""Exact attributions of Keras models whose every way from input to output bends at most once; see `curves`.

The model is a graph of layer calls, which are made here one by one with the user's own layers and weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from pyig.contracts import Forward
from pyig.structure.agreement import OTHER_LAYERS
from pyig.structure.curves import BENT_TWICE, MOST_LAYERS, TOO_DEEP, Move, find_curves
from pyig.structure.keras_check import close, compared, ends_and_middle, gradient_gap, gradients
from pyig.structure.keras_program import Program
from pyig.structure.keras_record import Recording, recorded, unchanged
from pyig.structure.keras_secant import mean_slope
from pyig.structure.keras_tools import describe, inside, mask_of, repeated, with_mask
from pyig.structure.refusal import Refusal


@dataclass(frozen=True, eq=False)
class Ends:
    """The model at both ends of every path; the face of `pyig.integrate.exact.Ends`.

    Attributes
    ----------
    outputs, start_outputs : tensor (N, ...), (1 or N, ...)
        The explained output at the inputs and at the baselines.
    """

    outputs: Any
    start_outputs: Any
    _leaves: list[Any]
    _steps: list[Any]
    _tape: Any

    def attributions(self, index: Any, contrast: Any = None) -> list[Any]:
        """Return the attributions of one output per sample, or of the difference of two.

        Parameters
        ----------
        index, contrast : int64 tensor (N,)
            Flat positions in a row of the outputs.

        Returns
        -------
        list of tensor (N, ...)
            One per leaf, in its own dtype, but not below float32.
        """
        shape = self.outputs.shape
        count = shape[1:].num_elements()
        flat = tf.one_hot(index, count, dtype=self.outputs.dtype)
        if contrast is not None:
            flat -= tf.one_hot(contrast, count, dtype=self.outputs.dtype)
        zero = tf.UnconnectedGradients.ZERO
        found = self._tape.gradient(self.outputs, self._leaves, tf.reshape(flat, shape), unconnected_gradients=zero)
        return [step * tf.cast(tf.convert_to_tensor(g), step.dtype) for g, step in zip(found, self._steps, strict=True)]


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """A model with a closed form.

    Attributes
    ----------
    constant : bool
        Whether the model is affine, so that its gradient is the same everywhere.
    """

    recording: Recording
    constant: bool
    _curves: dict[int, tuple[int, Program]]
    _whole: Program
    _traced: Program

    def evaluate(self, points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any] = ()) -> Ends:
        """Run the model at the baselines and at the inputs.

        Parameters
        ----------
        points, starts : sequence of tensor (N, ...), (1 or N, ...)
            The ends of the paths. One baseline row for all costs one row, unless there are fixed tensors.
        fixed : sequence of tensor (N, ...)
            What does not move.
        """
        held = self.recording.held(fixed)
        if fixed or any(leaf.shape[0] != 1 for leaf in starts):
            starts = [repeated(leaf, points[0]) if leaf.shape[0] == 1 else leaf for leaf in starts]
        *arguments, start_outputs = self._traced([*starts, *held])
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            leaves = [tf.identity(leaf) for leaf in points]
            for leaf in leaves:
                tape.watch(leaf)
            hooks = {
                after: _Rescaled(program, before, argument, tape)
                for (after, (before, program)), argument in zip(self._curves.items(), arguments, strict=True)
            }
            (outputs,) = self._whole([*leaves, *held], hooks)
        steps = [_enough(stop) - _enough(start) for stop, start in zip(points, starts, strict=True)]
        return Ends(outputs, start_outputs, leaves, steps, tape)

    def unchanged(self, model: Any) -> bool:
        """Walk the graph again: the same layers with the same calls have the same form, whatever their weights are."""
        return unchanged(self.recording, model)

    def agrees(self, forward: Forward, ends: Ends, points: Sequence[Any], fixed: Sequence[Any] = ()) -> bool:
        """Compare the first output at the inputs with the model's: enough for the same layers."""
        return close(ends.outputs[:1], forward([leaf[:1] for leaf in points], [leaf[:1] for leaf in fixed]))

    def verified(
        self, forward: Forward, points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any] = ()
    ) -> ClosedForm | Refusal:
        """Compare values and gradients with the model's on the first sample; return this when they agree.

        The attributions of all outputs together are compared with the difference of the values as well: they add up to
        it where the parts taken as affine are so.
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
        ends = self.evaluate([leaf[1:2] for leaf in rows], [leaf[:1] for leaf in rows], [leaf[:1] for leaf in held])
        return self if _adds_up(ends, outputs) else Refusal("its layers are not what their names say")

    def _plain(self, points: Sequence[Any], fixed: Sequence[Any]) -> Any:
        return self._whole([*points, *self.recording.held(fixed)])[0]


def closed_form(
    model: Any,
    forward: Forward,
    points: Sequence[Any],
    starts: Sequence[Any],
    fixed: Sequence[Any],
    known: ClosedForm | None = None,
    kept: MutableMapping[str, Any] | None = None,
) -> ClosedForm | Refusal:
    """Walk the model's graph, find its closed form, and compare it with the model; see `pyig.structure.closed_form`."""
    if known is not None and _still_agrees(known, model, forward, points, starts, fixed):
        return known
    if len(inside(model)) > MOST_LAYERS:
        return TOO_DEEP
    recording = recorded(kept, model, forward, points, fixed)
    if isinstance(recording, Refusal):
        return recording
    found = find_closed_form(recording)
    return found if isinstance(found, Refusal) else compared(found.verified, forward, points, starts, fixed)


def find_closed_form(recording: Recording) -> ClosedForm | Refusal:
    """Find out whether the model has a closed form.

    Parameters
    ----------
    recording : Recording
        From ``record(..., everywhere=True)``.

    Returns
    -------
    ClosedForm or Refusal
    """
    if recording.output not in recording.moving:
        return Refusal("the output does not depend on the input")
    for step in recording.steps:
        if not recording.moving.intersection(step.inputs):
            continue
        if not (step.linear or step.curve):
            what = "an activation" if step.layer is None else describe(step.layer)
            return Refusal(f"{what} is not known to be affine, or to act entry by entry")
        if not recording.rows.issuperset(step.outputs):
            return Refusal(f"{describe(step.layer)} returns another dtype, or not one row per sample")
    curves = find_curves(_moves(recording), recording.points, recording.output)
    if curves is None:
        return Refusal(BENT_TWICE)
    given = (*recording.points, *recording.fixed)
    bent = [replace(step, run=step.curve) for step in recording.steps if step.curve is not None]
    programs = {after: (before, Program(bent, [before], [after])) for after, before in curves.items()}
    whole = Program(recording.steps, given, [recording.output], kept=list(curves.values()))
    traced = Program(recording.steps, given, [*curves.values(), recording.output])
    return ClosedForm(recording, not curves, programs, whole, traced)


def _still_agrees(
    known: ClosedForm, model: Any, forward: Forward, points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any]
) -> bool:
    try:
        return known.unchanged(model) and known.agrees(forward, known.evaluate(points, starts, fixed), points, fixed)
    except Exception:  # a layer may be another than when it was recorded; then it is recorded again
        return False


def _moves(recording: Recording) -> Iterator[Move]:
    for step in recording.steps:
        reads = tuple(number for number in step.inputs if number in recording.moving)
        if reads:
            yield Move(reads, step.outputs, step.linear, step.curve is not None)


@dataclass(frozen=True)
class _Rescaled:
    """Gives a tensor the value of the curve, and its mean slope as derivative."""

    program: Program
    before: int
    start: Any
    tape: Any

    def __call__(self, tensors: Mapping[int, Any], made: Any) -> Any:
        stop = tensors[self.before]
        with self.tape.stop_recording():
            slope = tf.cast(mean_slope(lambda z: self.program([z])[0], self.start, stop), stop.dtype)
            still = tf.identity(stop)
        return with_mask(tf.stop_gradient(made) + (stop - still) * slope, mask_of(made))


def _enough(tensor: Any) -> Any:
    """Return the tensor in a dtype in which one product loses nothing that counts."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor


def _adds_up(ends: Ends, outputs: Any) -> bool:
    flat = np.asarray(tf.cast(tf.reshape(outputs, (outputs.shape[0], -1)), tf.float64))
    place = int(np.abs(flat[1] - flat[0]).argmax())
    parts = ends.attributions(tf.constant([place], tf.int64))
    total = sum(float(tf.reduce_sum(tf.cast(part, tf.float64))) for part in parts)
    sizes = sum(float(tf.reduce_sum(tf.abs(tf.cast(part, tf.float64)))) for part in parts)
    scale = sizes + float(np.abs(flat[:2, place]).max())
    return close(
        tf.constant([total, scale], outputs.dtype), tf.constant([flat[1, place] - flat[0, place], scale], outputs.dtype)
    )
