"""A Sequential or Functional Keras model as one list of calls.

Nested models are unfolded, and a linear layer is cut from its activation where that opens a place for the path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyig.structure.keras_curves import activation_curve, curve_of
from pyig.structure.keras_graph import Call, calls_of
from pyig.structure.keras_kinks import Winners, activation_kinks, kinks_of, winners_of
from pyig.structure.keras_rules import is_affine, linear_part, with_operation
from pyig.structure.keras_tools import mask_of, nest, with_mask
from pyig.structure.regions import Kinks

Run = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Step:
    """One call, on tensors that have numbers.

    Attributes
    ----------
    layer : Keras layer or operation
        What is called, for its name and its cost.
    inputs, outputs : tuple of int
        Its tensors.
    affine : bool
        Whether its outputs are affine in the inputs on the path.
    linear : bool
        Whether they are affine in those of its inputs that depend on them.
    curve : callable, optional
        The call in any dtype, where each entry of the output depends on the same entry of the inputs alone.
    bare : callable, optional
        The call in any dtype, of a layer without weights.
    kinks : tuple of float, optional
        Where it changes its slope, if it is a piecewise-linear function of single entries.
    winners : callable, optional
        What tells which entries a maximum takes.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    affine: bool
    run: Run
    linear: bool = False
    curve: Run | None = None
    bare: Run | None = None
    kinks: Kinks | None = None
    winners: Winners | None = None


@dataclass(frozen=True)
class Steps:
    """The calls of a model in an order in which they can run.

    Attributes
    ----------
    inputs, outputs : tuple of int
        The model's own.
    moving : frozenset of int
        The tensors that depend on the inputs on the path.
    calls : tuple of (layer, tuple of int)
        Every call of a layer or nested model, and what it returns; without its activation where it was cut from it.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    moving: frozenset[int]
    calls: tuple[tuple[Any, tuple[int, ...]], ...]


def unfold(model: Any, on_path: Sequence[bool], mark: Any = None, everywhere: bool = False) -> Steps:
    """Write down the calls of a model.

    Parameters
    ----------
    model : Keras model
        A graph; see `is_graph`.
    on_path : sequence of bool
        Which of ``model.inputs`` move.
    mark : layer, optional
        A layer that is cut from its activation even if nobody knows that its input is affine.
    everywhere : bool, default False
        Whether every layer is cut from its activation, not only those that are affine in the inputs.
    """
    unfolding = _Unfolding(on_path, mark, everywhere)
    outputs = unfolding.unfold(model, range(len(on_path)))
    return Steps(
        tuple(unfolding.steps),
        tuple(range(len(on_path))),
        tuple(outputs),
        frozenset(unfolding.moving),
        tuple(unfolding.calls),
    )


def is_graph(model: Any) -> bool:
    """Tell whether a model is a graph of layers, and runs as one: a subclass may have a call of its own."""
    outputs = getattr(model, "outputs", None)
    if not outputs or not all(hasattr(tensor, "_keras_history") for tensor in outputs) or "call" in vars(model):
        return False
    calls = (type(model).call, type(model).__call__)
    return all(getattr(call, "__module__", "").partition(".")[0] in ("keras", "tf_keras") for call in calls)


class _Unfolding:
    def __init__(self, on_path: Sequence[bool], mark: Any, everywhere: bool) -> None:
        self._mark, self._everywhere = mark, everywhere
        self.steps: list[Step] = []
        self.calls: list[tuple[Any, tuple[int, ...]]] = []
        self.moving = {number for number, moves in enumerate(on_path) if moves}
        self._affine = set(self.moving)
        self._count = len(on_path)

    def unfold(self, model: Any, entries: Sequence[int]) -> list[int]:
        """Write down the calls of a model that is called on numbered tensors; return the numbers of its outputs."""
        known = dict(zip(map(id, model.inputs), entries, strict=True))
        for call in calls_of(model):
            if all(id(symbol) in known for symbol in call.outputs):
                continue  # an input
            inputs = [known[id(symbol)] for symbol in call.inputs]
            if is_graph(call.operation) and _fits(call):
                outputs: Sequence[int] = self.unfold(call.operation, inputs)
                self.calls.append((call.operation, tuple(outputs)))
            else:
                outputs = self._call(call, inputs)
            known |= dict(zip(map(id, call.outputs), outputs, strict=True))
        return [known[id(symbol)] for symbol in model.outputs]

    def _call(self, call: Call, inputs: list[int]) -> Sequence[int]:
        layer, moving = call.operation, [number in self.moving for number in inputs]
        on_path = [number for number, moves in zip(inputs, moving, strict=True) if moves]
        linear = bool(on_path) and is_affine(call, moving)
        affine = linear and self._affine.issuperset(on_path)
        cut = (affine or layer is self._mark or (self._everywhere and linear)) and linear_part(layer) is not None
        made = tuple(range(self._count, self._count + len(call.outputs)))
        self.calls.append((layer, made))
        if not cut:
            curve, bare = curve_of(call, moving), None if getattr(layer, "weights", ()) else call.bare
            kinks, winners = kinks_of(call, moving), winners_of(call)
            self._add(Step(layer, tuple(inputs), made, affine, call, linear, curve, bare, kinks, winners))
            return made
        self._add(Step(layer, tuple(inputs), made, affine, _linear(call), linear))
        bent, curve, kinks = (self._count,), None, None
        if linear:
            curve, kinks = activation_curve(layer), activation_kinks(layer)
        self._add(Step(None, made, bent, False, _activation(layer), curve=curve, kinks=kinks))
        return bent

    def _add(self, step: Step) -> None:
        self._count += len(step.outputs)
        if self.moving.intersection(step.inputs):
            self.moving.update(step.outputs)
        if step.affine:
            self._affine.update(step.outputs)
        self.steps.append(step)


def _fits(call: Call) -> bool:
    """Tell whether a nested model takes its inputs as they come, without a cast, a reshape, or other arguments."""
    model = call.operation
    given, wanted = call.inputs, model.inputs
    if len(call.args) != 1 or any(value is not None and name != "training" for name, value in call.kwargs.items()):
        return False
    if isinstance(call.args[0], dict) and len(given) > 1:
        return False  # matched by name
    return len(given) == len(wanted) == len(nest(model).flatten(call.args[0])) and all(
        a.dtype == b.dtype and len(a.shape) == len(b.shape) for a, b in zip(given, wanted, strict=True)
    )


def _linear(call: Call) -> Run:
    def run(tensors: Sequence[Any]) -> list[Any]:
        # The twin is made for every call: what the user changes in the layer in the meantime is in it.
        twin = linear_part(call.operation)
        return (call if twin is None else with_operation(call, twin))(tensors)

    return run


def _activation(layer: Any) -> Run:
    def run(tensors: Sequence[Any]) -> list[Any]:
        (hidden,) = tensors
        return [hidden if layer.activation is None else with_mask(layer.activation(hidden), mask_of(hidden))]

    return run
