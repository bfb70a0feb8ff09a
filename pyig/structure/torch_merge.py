"""Two runs of a model on different numbers of rows, merged into one recording for any number."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from pyig.structure.refusal import Refusal
from pyig.structure.torch_recording import Recording, Rows, Step, Value, Var


@dataclass
class Run:
    """One recorded run: its steps and tensors as they came.

    Attributes
    ----------
    tensors : list of tensor
        Every tensor by its number; held, so that an ``id`` stays one tensor's.
    number : dict from int to int
        The latest number of each tensor's ``id``: a tensor that is written to gets a new one.
    moving, held, constants : set of int
        What depends on the points, what depends on the fixed inputs, and what belongs to the model.
    marked : list of int
        What the marked module returned, call by call.
    """

    steps: list[Step] = field(default_factory=list)
    tensors: list[torch.Tensor] = field(default_factory=list)
    number: dict[int, int] = field(default_factory=dict)
    moving: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    constants: set[int] = field(default_factory=set)
    points: tuple[int, ...] = ()
    fixed: tuple[int, ...] = ()
    output: int = -1
    marked: list[int] = field(default_factory=list)
    refused: str | None = None

    @property
    def rows(self) -> int:
        """The number of rows of this run."""
        return int(self.tensors[0].shape[0])

    def new(self, tensor: torch.Tensor) -> int:
        """Number a tensor."""
        self.tensors.append(tensor)
        self.number[id(tensor)] = len(self.tensors) - 1
        return len(self.tensors) - 1

    def template(self, value: Any, found: list[int]) -> Any:
        """Return the value with its tensors replaced by their numbers, which are added to `found`."""
        if isinstance(value, torch.Tensor):
            if id(value) not in self.number:
                self.constants.add(self.new(value))
            found.append(self.number[id(value)])
            return Var(found[-1])
        if isinstance(value, (tuple, list)):
            parts = [self.template(part, found) for part in value]
            return parts if isinstance(value, list) else tuple(parts)
        if isinstance(value, dict):
            return {key: self.template(part, found) for key, part in value.items()}
        if isinstance(value, slice):
            return slice(*(self.template(part, found) for part in (value.start, value.stop, value.step)))
        return value


class Unrecordable(Exception):  # noqa: N818 - a signal, not an error
    """Ends a recording with the reason."""


def merge(one: Run, two: Run) -> Recording | Refusal:
    """Merge two runs; refuse where they differ by more than their rows."""
    same = (len(one.steps), one.marked) == (len(two.steps), two.marked) and all(
        a.func == b.func and a.outputs == b.outputs and a.written == b.written
        for a, b in zip(one.steps, two.steps, strict=True)
    )
    if not same or one.output != two.output or one.constants != two.constants or one.moving != two.moving:
        return Refusal("the model runs different operations on other rows")
    rows = (one.rows, two.rows)
    try:
        steps = [
            replace(a, args=_align(a.args, b.args, rows), kwargs=_align(a.kwargs, b.kwargs, rows))
            for a, b in zip(one.steps, two.steps, strict=True)
        ]
        seen = {v for step in steps for v in (*step.inputs, *step.outputs)}
        values = {v: _value(one, two, v, v in seen) for v in range(len(one.tensors))}
    except Unrecordable as error:
        return Refusal(str(error))
    if not values[one.output].moving:
        return Refusal("the output does not depend on the input")
    needed = _reaching(steps, one.output)
    found = Recording(tuple(needed), values, one.points, one.fixed, one.output, tuple(one.marked))
    if _overwrites(found, steps):
        return Refusal("a tensor that is used again is written to in place")
    return found


def _align(a: Any, b: Any, rows: tuple[int, int]) -> Any:
    if type(a) is not type(b):
        raise Unrecordable("the model passes other arguments on other rows")
    if isinstance(a, Var):
        if a != b:
            raise Unrecordable("the model passes other tensors on other rows")
        return a
    if type(a) is int:
        if a == b:
            return a
        scale, rest = divmod(b - a, rows[1] - rows[0])
        if rest:
            raise Unrecordable("a size does not grow evenly with the number of rows")
        return Rows(scale, a - scale * rows[0])
    if isinstance(a, (tuple, list)):
        if len(a) != len(b):
            raise Unrecordable("the model passes other arguments on other rows")
        parts = [_align(p, q, rows) for p, q in zip(a, b, strict=True)]
        return parts if isinstance(a, list) else tuple(parts)
    if isinstance(a, dict):
        if list(a) != list(b):
            raise Unrecordable("the model passes other arguments on other rows")
        return {key: _align(a[key], b[key], rows) for key in a}
    if isinstance(a, slice):
        return slice(*(_align(getattr(a, k), getattr(b, k), rows) for k in ("start", "stop", "step")))
    if a is not b and a != b and not (a != a and b != b):  # NaN equals NaN here
        raise Unrecordable("the model passes other numbers on other rows")
    return a


def _value(one: Run, two: Run, number: int, in_steps: bool) -> Value:
    a, b = one.tensors[number], two.tensors[number]
    constant = None
    if number in one.constants:
        # What a scripted module or a custom autograd function returns has no recorded origin either: it shows by
        # differing between two runs on different rows.
        if a is not b and not (a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)):
            raise Unrecordable("a tensor comes from an operation that torch does not show")
        constant = a
    shape = _align(tuple(a.shape), tuple(b.shape), (one.rows, two.rows))
    # A constant of no step was only asked for its shape; an exported program asks tensors that have no memory at all.
    placed = a.layout == torch.strided and (in_steps or constant is None)
    storage = a.untyped_storage().data_ptr() if placed else 0
    return Value(shape, a.dtype, number in one.moving, number in one.held, storage or -1 - number, constant)


def _reaching(steps: list[Step], output: int) -> list[Step]:
    needed, kept = {output}, []
    for step in reversed(steps):
        if needed & set(step.outputs):
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def _overwrites(recording: Recording, steps: list[Step]) -> bool:
    """Tell whether memory is written to that is read again through another tensor, or that is not the run's own.

    Every step counts as a writer, also one whose own result is not used: ``h.view(-1).relu_()`` changes h.
    """
    values, needed = recording.values, {id(step) for step in recording.steps}
    owned = {value.storage for v, value in values.items() if value.constant is not None or v in recording.fixed}
    seen: dict[int, set[int]] = defaultdict(set)
    spoilt: set[int] = set()
    for v in recording.points:
        seen[values[v].storage].add(v)
    for step in steps:
        if id(step) in needed and spoilt.intersection(step.inputs):
            return True
        for place in step.written:
            storage = values[step.inputs[place]].storage
            if storage in owned:
                return True
            spoilt |= seen[storage]
        for v in step.outputs:
            seen[values[v].storage].add(v)
    return recording.output in spoilt
