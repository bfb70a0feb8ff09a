"""A part of a Keras model between numbered tensors, run call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from pyig.structure.keras_steps import Step

Hooks = Mapping[int, Callable[[Mapping[int, Any], Any], Any]]


class Program:
    """The steps that lead from given tensors to wanted ones.

    Parameters
    ----------
    steps : sequence of Step
        Of the whole model, in order.
    given, wanted : sequence of int
        Tensors that the caller brings, and those to return.
    kept : sequence of int
        Tensors that hooks look at.

    Raises
    ------
    ValueError
        A needed tensor is neither given nor made.
    """

    def __init__(
        self, steps: Sequence[Step], given: Sequence[int], wanted: Sequence[int], kept: Sequence[int] = ()
    ) -> None:
        self._given, self._wanted = tuple(given), tuple(wanted)
        needed, found = set(wanted).difference(given), []
        for step in reversed(steps):
            if needed.intersection(step.outputs):
                needed = needed.difference(step.outputs) | set(step.inputs).difference(given)
                found.append(step)
        if needed:
            raise ValueError(f"expected all that the program needs; tensors {sorted(needed)} are not given")
        self.steps = found[::-1]
        last = {number: place for place, step in enumerate(self.steps) for number in step.inputs}
        self._frees = [
            [number for number, at in last.items() if at == place and number not in kept]
            for place in range(len(self.steps))
        ]

    def __call__(self, tensors: Sequence[Any], hooks: Hooks | None = None) -> list[Any]:
        """Return the wanted tensors.

        Parameters
        ----------
        tensors : sequence of tensor
            One per given number.
        hooks : mapping from int to callable, optional
            ``hook(tensors, made) -> tensor`` stands in for the tensor of that number as soon as it is made.
        """
        found = {number: tensor for number, tensor in self.run(tensors, hooks or {}) if number in self._wanted}
        return [found[number] for number in self._wanted]

    def run(self, tensors: Sequence[Any], hooks: Hooks | None = None) -> Iterator[tuple[int, Any]]:
        """Yield every tensor with its number; what no later step needs is let go."""
        known = dict(zip(self._given, tensors, strict=True))
        yield from known.items()
        for step, frees in zip(self.steps, self._frees, strict=True):
            made = step.run([known[number] for number in step.inputs])
            for place, number in enumerate(step.outputs):
                if hooks and number in hooks:
                    made[place] = hooks[number](known, made[place])
            yield from zip(step.outputs, made, strict=True)
            known.update(zip(step.outputs, made, strict=True))
            for number in frees:
                del known[number]


def pulled(program: Program, leaves: Sequence[Any], rest: Sequence[Any], along: Any) -> list[Any]:
    """Return the VJP at the leaves of a program with one result, zero where the result does not depend on a leaf."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for leaf in leaves:
            tape.watch(leaf)
        (out,) = program([*leaves, *rest])
    found = tape.gradient(out, list(leaves), along, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(leaf) for leaf in found]
