"""A part of a Keras model between numbered tensors, run call by call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pyig.structure.keras_steps import Step


class Program:
    """The steps that lead from given tensors to wanted ones.

    Parameters
    ----------
    steps : sequence of Step
        Of the whole model, in order.
    given, wanted : sequence of int
        Tensors that the caller brings, and those to return.

    Raises
    ------
    ValueError
        A needed tensor is neither given nor made.
    """

    def __init__(self, steps: Sequence[Step], given: Sequence[int], wanted: Sequence[int]) -> None:
        self._given, self._wanted = tuple(given), tuple(wanted)
        needed, kept = set(wanted).difference(given), []
        for step in reversed(steps):
            if needed.intersection(step.outputs):
                needed = needed.difference(step.outputs) | set(step.inputs).difference(given)
                kept.append(step)
        if needed:
            raise ValueError(f"expected all that the program needs; tensors {sorted(needed)} are not given")
        self.steps = kept[::-1]
        last = {number: place for place, step in enumerate(self.steps) for number in step.inputs}
        self._frees = [[number for number, at in last.items() if at == place] for place in range(len(self.steps))]

    def __call__(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the wanted tensors."""
        found = {number: tensor for number, tensor in self.run(tensors) if number in self._wanted}
        return [found[number] for number in self._wanted]

    def run(self, tensors: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield every tensor with its number; what no later step needs is let go."""
        known = dict(zip(self._given, tensors, strict=True))
        yield from known.items()
        for step, frees in zip(self.steps, self._frees, strict=True):
            made = step.run([known[number] for number in step.inputs])
            yield from zip(step.outputs, made, strict=True)
            known.update(zip(step.outputs, made, strict=True))
            for number in frees:
                del known[number]
