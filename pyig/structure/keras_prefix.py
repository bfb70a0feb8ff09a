"""The affine prefix of a Keras model on TensorFlow; the algebra is that of `pyig.structure.torch_prefix`.

The model is a graph of layer calls. The part before the cut and the part behind it make these calls one by one, as the
model does, so no weight is copied and no node is added to the user's layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from pyig.contracts import Forward
from pyig.structure import keras_check
from pyig.structure.affine import Cut, Operation, Place, bottlenecks, cheapest, pays
from pyig.structure.agreement import NOT_AFFINE, OTHER_VALUES, between, cut_gap
from pyig.structure.keras_check import close, ends_and_middle, same_product, wave
from pyig.structure.keras_program import Program, pulled
from pyig.structure.keras_record import Recording
from pyig.structure.keras_recurring import Recurring
from pyig.structure.keras_tools import describe
from pyig.structure.refusal import Refusal

# Per layer: some five eager calls, in the check and at the ends, of 0.2 to 0.5 ms each; see `affine.FLOAT_COST`.
_CALL = 5e7


@dataclass(frozen=True, eq=False)
class Prefix(Cut):
    """A model cut in two at an affine frontier; the face of `pyig.contracts.Prefix`.

    Attributes
    ----------
    recording : Recording
        The whole model.
    frontier : int
        Number of the tensor at the cut.
    place : Place
        What it costs to run the path there.
    """

    recording: Recording
    frontier: int
    place: Place
    _before: Recurring
    _pullback: Recurring
    _after: Program

    def forward(self, points: Sequence[Any], fixed: Sequence[Any] = ()) -> Any:
        """Return the frontier for the points, without a gradient.

        Parameters
        ----------
        points : sequence of tensor (R, ...)
            One tensor per leaf on the path.
        fixed : sequence of tensor (R, ...)
            What does not move, row by row.
        """
        return tf.stop_gradient(self._before([*points, *self.recording.held(fixed)])[0])

    def suffix(self, frontier: Any, fixed: Sequence[Any] = ()) -> Any:
        """Return the explained output for frontier rows, differentiable; their number may be any."""
        return self._after([frontier, *self.recording.held(fixed)])[0]

    def pullback(self, points: Sequence[Any], fixed: Sequence[Any], gradient: Any) -> list[Any]:
        """Return the gradient with respect to the points for one with respect to the frontier, by one VJP.

        Parameters
        ----------
        points : sequence of tensor (R, ...)
            For their shapes and dtypes; an affine prefix has the same VJP everywhere.
        fixed : sequence of tensor (R, ...)
            What does not move.
        gradient : tensor (R, ...)
            Shaped like the frontier, of any floating dtype.
        """
        return self._pullback([*points, *self.recording.held(fixed), tf.cast(gradient, points[0].dtype)])

    def pays(self, evaluations: float) -> bool:
        """Tell whether it is worth its checks and its rows; see `pyig.structure.affine.pays`."""
        recording = self.recording
        return pays(self.place, recording.inputs, recording.macs, evaluations, _CALL * len(recording.steps))

    def verified(
        self, forward: Forward, points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any] = ()
    ) -> Prefix | Refusal:
        """Compare values and gradients with the model's between the ends of a path; return this when they agree.

        Parameters
        ----------
        forward : callable
            The model as the engine calls it.
        points, starts : sequence of tensor (N, ...), (1 or N, ...)
            The ends of the paths; the first sample is tried.
        fixed : sequence of tensor (N, ...)
            What does not move.
        """
        reason = cut_gap(self, keras_check, forward, points, starts, fixed)
        return self if reason is None else Refusal(reason)

    def still_holds(
        self, forward: Forward, points: Sequence[Any], starts: Sequence[Any], fixed: Sequence[Any] = ()
    ) -> Prefix | Refusal:
        """Compare values alone, for a prefix that was `verified` before, and the VJP with the values.

        Both parts call the model's own layers, so what the user changes in these the gradients behind the cut follow.
        """
        rows, held = ends_and_middle(points, starts, fixed)
        frontier = self.forward(rows, held)
        middle, last = between(frontier), [leaf[-1:] for leaf in held]
        if not close(middle, frontier[2:]):
            return Refusal(NOT_AFFINE)
        if not close(self.suffix(middle, last), forward(rows, held)[-1:]):
            return Refusal(OTHER_VALUES)
        along = wave(middle)
        pulled = self.pullback([leaf[-1:] for leaf in rows], last, along)
        adjoint = same_product([frontier], [along], rows, pulled)
        return self if adjoint else Refusal("the VJP of the part before the cut is not that of its values")


def find_prefix(recording: Recording) -> Prefix | Refusal:
    """Find the affine part of the model before the cut where gradients are cheapest.

    Parameters
    ----------
    recording : Recording
        From `pyig.structure.keras_record.record`.

    Returns
    -------
    Prefix or Refusal
    """
    found = cuts(recording)
    if not found:
        return Refusal(_why_not(recording))
    chosen = cheapest(found, recording.macs)
    return chosen if isinstance(chosen, Refusal) else prefix_at(recording, *chosen)


def explicit_prefix(recording: Recording, layer: Any) -> Prefix | Refusal:
    """Cut behind a layer, before its activation: the user says that this is affine, `verified` says whether.

    Parameters
    ----------
    recording : Recording
        From ``record(..., mark=layer)``.
    layer : Keras layer
        Part of the model, or of a model in it.
    """
    marked = [outputs for operation, outputs in recording.calls if operation is layer]
    if len(marked) != 1:
        return Refusal(f"{describe(layer)} is called {len(marked)} times in the graph of the model, not once")
    for frontier, place in cuts(recording, affine_only=False):
        if marked[0] == (frontier,):
            return prefix_at(recording, frontier, place)
    return Refusal(
        f"{describe(layer)} is no cut: it returns no tensor of the input's dtype with one row per sample and without a "
        "mask, or the input reaches the output past it"
    )


def prefix_at(recording: Recording, frontier: int, place: Place) -> Prefix:
    """Cut a recording at a frontier."""
    before = Program(recording.steps, (*recording.points, *recording.fixed), [frontier])
    after = Program(recording.steps, (frontier, *recording.fixed), [recording.output])
    pull = partial(_pulled, before, len(recording.points))
    return Prefix(
        recording, frontier, place, Recurring(before, recording.eager), Recurring(pull, recording.eager), after
    )


def _pulled(before: Program, moving: int, given: Sequence[Any]) -> list[Any]:
    """Return the VJP of the part before the cut; given are points, fixed tensors, and the gradient."""
    *rows, gradient = given
    return pulled(before, [tf.zeros_like(leaf) for leaf in rows[:moving]], rows[moving:], gradient)


def cuts(recording: Recording, affine_only: bool = True) -> list[tuple[int, Place]]:
    """Return the tensors through which everything passes that depends on the points, behind the first operation."""
    return [
        (only, Place(recording.floats(only), macs))
        for only, macs, affine in bottlenecks(_operations(recording), recording.points, recording.output)
        if only in recording.usable and (affine or not affine_only)
    ]


def _operations(recording: Recording) -> Iterator[Operation]:
    for step in recording.steps:
        reads = tuple(number for number in step.inputs if number in recording.moving)
        if reads:
            affine = step.affine
            yield Operation(reads, step.outputs, recording.cost(step), lambda _, affine=affine: affine)  # type: ignore[misc]


def _why_not(recording: Recording) -> str:
    first = next(step for step in recording.steps if recording.moving.intersection(step.inputs))
    if not first.affine:
        return f"the model does not begin with an affine layer ({describe(first.layer)})"
    return "the input is used again behind its first affine layers, or a mask goes with it"
