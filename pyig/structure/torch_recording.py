"""What a recording is made of: numbered tensors, and the steps between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from pyig.structure.affine import Place


class Var(NamedTuple):
    """A tensor in a template: its number in the recording."""

    number: int


class Rows(NamedTuple):
    """An integer in a template that follows the number of rows: ``scale * rows + offset``."""

    scale: int
    offset: int


@dataclass(frozen=True)
class Step:
    """One operation.

    Attributes
    ----------
    args, kwargs : templates
        Arguments with `Var` for a tensor and `Rows` for an integer that follows the rows.
    inputs : tuple of int
        Numbers of the tensors among the arguments, one for each occurrence.
    first : frozenset of int
        Those in the first argument.
    outputs : tuple of int
        New numbers: of the tensors in the result, then of the arguments that were written to.
    written : tuple of int
        Places among `inputs` of the arguments that were written to.
    shape_only : bool
        Whether only the shapes of the arguments matter (``zeros_like``).
    macs : float
        Multiply-adds per row.
    """

    func: Any
    args: Any
    kwargs: Any
    inputs: tuple[int, ...]
    first: frozenset[int]
    outputs: tuple[int, ...]
    written: tuple[int, ...]
    shape_only: bool
    macs: float

    def argument(self, place: int, name: str, default: Any) -> Any:
        """Return an argument by position or name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)


@dataclass(frozen=True)
class Value:
    """What is known about a numbered tensor.

    Attributes
    ----------
    shape : tuple of int or Rows
        Its shape.
    moving, held : bool
        Whether it depends on the points, and on the fixed inputs.
    storage : int
        The same for tensors that share memory.
    constant : tensor or None
        The tensor itself where it belongs to the model.
    """

    shape: tuple[Any, ...]
    dtype: torch.dtype
    moving: bool
    held: bool
    storage: int
    constant: torch.Tensor | None = None

    @property
    def floats(self) -> int:
        """Elements per row; 0 where the first axis, and no other, does not hold the rows."""
        if not self.shape or self.shape[0] != Rows(1, 0) or any(isinstance(size, Rows) for size in self.shape[1:]):
            return 0
        total = 1
        for size in self.shape[1:]:
            total *= size
        return total


@dataclass(frozen=True)
class Recording:
    """The operations between the points and the explained output, without those that do not reach it.

    Attributes
    ----------
    steps : tuple of Step
        In the model's order.
    values : dict from int to Value
        The numbered tensors.
    points, fixed : tuple of int
        Numbers of the inputs: those that move on the path, and the others.
    output : int
        Number of the explained tensor.
    marked : tuple of int
        What the marked module returned, call by call.
    """

    steps: tuple[Step, ...]
    values: dict[int, Value]
    points: tuple[int, ...]
    fixed: tuple[int, ...]
    output: int
    marked: tuple[int, ...] = ()

    @property
    def macs(self) -> float:
        """Multiply-adds per row of the whole model."""
        return sum(step.macs for step in self.steps)

    @property
    def inputs(self) -> Place:
        """The inputs on the path, as a place where it may run."""
        return Place(sum(self.values[v].floats for v in self.points), 0.0)

    def moving(self, step: Step) -> list[int]:
        """Return the moving tensors among the arguments whose values matter, one for each occurrence."""
        return [] if step.shape_only else [v for v in step.inputs if self.values[v].moving]

    def last_uses(self) -> dict[int, int]:
        """Return the last step that needs the values of each moving tensor; the output is needed to the end."""
        last = dict.fromkeys(self.points, -1)
        for place, step in enumerate(self.steps):
            last.update(dict.fromkeys(self.moving(step), place))
        last[self.output] = len(self.steps)
        return last
