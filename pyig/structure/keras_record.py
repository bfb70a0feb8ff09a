"""The calls between the points of a path and the explained output of a Keras model, seen in a run on one row."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from pyig.contracts import Forward
from pyig.structure.affine import Place
from pyig.structure.keras_check import close
from pyig.structure.keras_costs import multiply_adds
from pyig.structure.keras_program import Program
from pyig.structure.keras_steps import Step, Steps, is_graph, unfold
from pyig.structure.keras_tools import CutError, mask_of, nest
from pyig.structure.refusal import Refusal


@dataclass(frozen=True)
class Recording:
    """What a model does between the points and its output.

    Attributes
    ----------
    steps : tuple of Step
        The calls that lead to the output.
    points, fixed : tuple of int
        Numbers of the model's inputs: those that move on the path, and the others.
    dtypes : tuple of DType
        What the model casts its fixed inputs to.
    output : int
        Number of the explained tensor.
    moving : frozenset of int
        The tensors that depend on the points.
    shapes : dict from int to tuple of int
        Shapes behind the first axis.
    rows : frozenset of int
        The tensors with one row per sample, in the points' dtype.
    usable : frozenset of int
        Those of them at which a path may run: without a mask.
    calls : tuple of (layer, tuple of int)
        Every call of a layer or nested model, and what it returned; see `Steps`.
    eager : bool
        Whether the user asked for eager execution.
    """

    steps: tuple[Step, ...]
    points: tuple[int, ...]
    fixed: tuple[int, ...]
    dtypes: tuple[Any, ...]
    output: int
    moving: frozenset[int]
    shapes: dict[int, tuple[int, ...]]
    rows: frozenset[int]
    usable: frozenset[int]
    calls: tuple[tuple[Any, tuple[int, ...]], ...]
    eager: bool = False

    @property
    def macs(self) -> float:
        """Multiply-adds per row of the whole model."""
        return sum(map(self.cost, self.steps))

    @property
    def inputs(self) -> Place:
        """The input as a place for the path."""
        return Place(sum(self.floats(number) for number in self.points), 0.0)

    def cost(self, step: Step) -> float:
        """Multiply-adds per row of a step."""
        return multiply_adds(step.layer, *([self.shapes[v] for v in part] for part in (step.inputs, step.outputs)))

    def floats(self, number: int) -> int:
        """Elements per row."""
        return math.prod(self.shapes[number])

    def held(self, fixed: Sequence[Any]) -> list[Any]:
        """Return the fixed inputs as the model casts them."""
        return [tf.cast(leaf, dtype) for leaf, dtype in zip(fixed, self.dtypes, strict=True)]


def record(
    model: Any,
    forward: Forward,
    points: Sequence[Any],
    fixed: Sequence[Any] = (),
    mark: Any = None,
    everywhere: bool = False,
) -> Recording | Refusal:
    """Write down the calls of a model; one row of a forward, two where the model has several outputs.

    Parameters
    ----------
    model : object
        A Sequential or Functional model; anything else is refused.
    forward : callable
        The model as the engine calls it; its ``arguments(points, fixed)``, where it has one, tells how.
    points, fixed : sequence of tensor (N, ...)
        Inputs on the path, and what does not move.
    mark : layer, optional
        A layer whose results are to be found again, without its activation, in ``Recording.calls``.
    everywhere : bool, default False
        Whether every layer is cut from its activation; see `unfold`.

    Returns
    -------
    Recording or Refusal
    """
    if not hasattr(model, "layers"):
        return Refusal("the model is a function, not a graph of layers")
    try:
        if not getattr(model, "outputs", None):
            forward([leaf[:1] for leaf in points], [leaf[:1] for leaf in fixed])  # the first call builds a Sequential
        if not is_graph(model):
            return Refusal("the model is not a Sequential or Functional Keras model, so its layers are not known")
        order = _order(model, forward, points, fixed)
        steps = unfold(model, [place < len(points) for place in order], mark, everywhere)
        numbers = {place: number for number, place in enumerate(order)}
        return _seen(steps, model, forward, points, fixed, [numbers[place] for place in range(len(order))])
    except CutError as reason:
        return Refusal(str(reason))
    except Exception as error:  # Keras shows its graph in parts that may change; the model itself has its own errors
        return Refusal(f"its layers cannot be called one by one ({type(error).__name__}: {error})")


def recorded(
    kept: MutableMapping[str, Any] | None, model: Any, forward: Forward, points: Sequence[Any], fixed: Sequence[Any]
) -> Recording | Refusal:
    """Return a recording ``everywhere``; kept for the other searches of one call, which are given the same."""
    kept = {} if kept is None else kept
    if "recording" not in kept:
        kept["recording"] = record(model, forward, points, fixed, everywhere=True)
    found: Recording | Refusal = kept["recording"]
    return found


def unchanged(recording: Recording, model: Any) -> bool:
    """Tell whether a walk ``everywhere`` finds the calls of the recording again, of the same layers in the same way."""
    numbers = (*recording.points, *recording.fixed)
    if not is_graph(model):
        return False
    again = unfold(model, [number in recording.points for number in range(len(numbers))], everywhere=True)
    steps = Program(again.steps, numbers, [recording.output]).steps
    return [_kind(step) for step in steps] == [_kind(step) for step in recording.steps]


def _kind(step: Step) -> tuple[Any, ...]:
    return id(step.layer), step.inputs, step.outputs, step.linear, step.curve is not None, step.kinks


def _order(model: Any, forward: Forward, points: Sequence[Any], fixed: Sequence[Any]) -> list[int]:
    """Return, for each input of the model, which of the points and fixed tensors it is."""
    given = [*points, *fixed]
    x, kwargs = given if len(given) > 1 else given[0], {}
    if hasattr(forward, "arguments"):
        x, kwargs = forward.arguments(points, fixed)
    if kwargs:
        raise CutError(f"the model is called with more than its input ({', '.join(kwargs)})")
    inputs = model.inputs or []
    if isinstance(x, dict) and not isinstance(getattr(model, "input", None), dict):
        leaves = [x.get(symbol.name) for symbol in inputs]
    else:
        leaves = nest(model).flatten(x)
    places = [next((place for place, leaf in enumerate(given) if leaf is item), -1) for item in leaves]
    if sorted(places) != list(range(len(given))) or len(places) != len(inputs):
        raise CutError("what the model is given is not, one by one, what it declares as its inputs")
    for place, symbol in zip(places, inputs, strict=True):
        leaf, declared = given[place], tf.as_dtype(symbol.dtype)
        if leaf.shape.rank != len(symbol.shape) or (place < len(points) and leaf.dtype != declared):
            raise CutError(
                f"the model casts or reshapes its input: {leaf.dtype.name} {tuple(leaf.shape)} to {declared.name} "
                f"{tuple(symbol.shape)}"
            )
    return places


def _seen(
    steps: Steps, model: Any, forward: Forward, points: Sequence[Any], fixed: Sequence[Any], numbers: list[int]
) -> Recording:
    moving, held = numbers[: len(points)], numbers[len(points) :]
    dtypes = tuple(tf.as_dtype(model.inputs[number].dtype) for number in held)
    rows, still = [leaf[:1] for leaf in points], [leaf[:1] for leaf in fixed]
    given = [*rows, *(tf.cast(leaf, dtype) for leaf, dtype in zip(still, dtypes, strict=True))]
    output = _explained(steps, numbers, given, lambda: forward(rows, still))
    program = Program(steps.steps, numbers, [output])
    shapes, same, usable = {}, set(), set()
    for number, tensor in program.run(given):
        shapes[number] = tuple(int(size) for size in tensor.shape[1:])
        if tensor.shape.rank and tensor.shape[0] == 1 and tensor.dtype == rows[0].dtype:
            same.add(number)
            if mask_of(tensor) is None:
                usable.add(number)
    return Recording(
        tuple(program.steps),
        tuple(moving),
        tuple(held),
        dtypes,
        output,
        steps.moving,
        shapes,
        frozenset(same),
        frozenset(usable),
        steps.calls,
        bool(getattr(model, "run_eagerly", False) or tf.config.functions_run_eagerly()),
    )


def _explained(steps: Steps, numbers: list[int], given: list[Any], call: Any) -> int:
    """Return which of the model's outputs is explained; of several it is found by its values."""
    outputs = list(dict.fromkeys(steps.outputs))
    if len(outputs) == 1:
        return outputs[0]
    wanted = call()
    every = zip(outputs, Program(steps.steps, numbers, outputs)(given), strict=True)
    same = [number for number, found in every if found.shape == wanted.shape and close(found, wanted)]
    if len(same) != 1:
        raise CutError(f"{len(same)} of the model's {len(outputs)} outputs have the explained values")
    return same[0]
