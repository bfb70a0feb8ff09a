"""The ends of the paths, block by block: in the space of the input, or in the space of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyig import tree
from pyig.baselines import at_layer
from pyig.calling import InputForward, LayerForward, call_spec
from pyig.contracts import Backend, Forward, Ints, Split, Tensor
from pyig.errors import InputTypeError, ModelError
from pyig.integrate.batching import Sizer
from pyig.integrate.inputs import Inputs
from pyig.rows import joined


@dataclass(frozen=True)
class Stage:
    """The path's ends for one block of S samples, ready for the loop.

    Attributes
    ----------
    start : list of tensor
        Baseline rows per moving leaf; row ``start_row[m, s]`` belongs to baseline m and sample s of the block.
    stop : list of tensor
        Input rows; row ``stop_row[s]`` belongs to sample s of the block.
    fixed : list of tensor
        What does not move, row by row like `stop`.
    shared_start : bool
        Whether F(x') is the same for all samples, so that one evaluation serves them all.
    held : int
        How many of `fixed` are values of the layer that do not move; the rest only passes the layer by.
    ends : object, optional
        A closed form that was evaluated at both ends: its ``outputs`` and ``start_outputs`` are the model's.
    """

    forward: Forward
    start: list[Tensor]
    stop: list[Tensor]
    fixed: list[Tensor]
    start_row: Ints
    stop_row: Ints
    shared_start: bool
    held: int = 0
    ends: Any = None

    def without_context(self) -> Stage:
        """Return what the report needs; what passed the layer by is let go, and so is a graph."""
        return replace(self, fixed=self.fixed[: self.held], ends=None)


class InputStages:
    """Paths between baseline and input: every row is already there, a block only says which.

    Attributes
    ----------
    spec : Spec
        Structure of the attributions.
    template : list of tensor
        One tensor per leaf of `spec`, for its dtype, device and shape behind the first axis.
    moving : tuple of int
        The leaves that are on the path.
    note : str or None
        What the user should know about how the paths are evaluated.
    """

    def __init__(
        self, backend: Backend, inputs: Inputs, baselines: Sequence[Sequence[Tensor]], output: str | int | None
    ):
        moving = inputs.floating
        if not moving:
            found = ", ".join(
                f"{n or 'input'}: {leaf.dtype}" for n, leaf in zip(inputs.names, inputs.leaves, strict=True)
            )
            raise InputTypeError(
                f"expected at least one input of floating dtype to move along the path; got {found}, and no embedding "
                "is seen to take it. For token ids pass layer=, the layer whose output is the first of floating dtype; "
                "for numbers stored as integers pass x.astype('float32')"
            )
        self.spec, self.moving, self.template = inputs.spec, moving, inputs.leaves
        self.note: str | None = None
        self._forward = InputForward(
            # Without the row labels of a table: a backend's traces are kept by the forward's value.
            backend,
            call_spec(inputs.spec),
            moving,
            tuple(inputs.batched),
            tuple(inputs.shared.items()),
            output,
        )
        self._stop = [inputs.leaves[i] for i in moving]
        self._fixed = [leaf for i, leaf in enumerate(inputs.leaves) if i not in moving] + list(inputs.batched.values())
        self._start = [joined(backend, [baseline[i] for baseline in baselines]) for i in moving]
        self._rows = _start_rows([[int(b[i].shape[0]) for i in moving] for b in baselines], inputs.samples)
        if self._rows is None:  # leaves of one baseline differ in their rows: spell every row out
            every = np.arange(inputs.samples)
            wide = [[_spread(backend, b[i], every) for i in moving] for b in baselines]
            self._start = [joined(backend, [b[k] for b in wide]) for k in range(len(moving))]
            self._rows = np.arange(len(baselines) * inputs.samples).reshape(len(baselines), -1)
        alone = all(int(b[i].shape[0]) == 1 for b in baselines for i in moving)
        self._shared = alone and not self._fixed

    def __call__(self, samples: Ints) -> Stage:
        """Return the stage of a block."""
        rows = self._rows
        assert rows is not None
        return Stage(self._forward, self._start, self._stop, self._fixed, rows[:, samples], samples, self._shared)


class LayerStages:
    """Paths between a layer's values at the baseline and at the input, both computed once per block.

    Attributes as for `InputStages`.

    Parameters
    ----------
    start : at_layer, optional
        A baseline in the space of the layer, of all values but the first `own`.
    """

    def __init__(
        self,
        backend: Backend,
        inputs: Inputs,
        baselines: Sequence[Sequence[Tensor]],
        split: Split,
        output: str | int | None,
        start: at_layer | None = None,
        own: int = 0,
    ) -> None:
        self._backend, self._inputs, self._baselines, self._split, self._output = (
            backend,
            inputs,
            baselines,
            split,
            output,
        )
        self.moving: tuple[int, ...] = ()
        self.template: list[Tensor] = []
        self.sizer: Sizer | None = None  # its first size follows the layer's values, which the next line finds
        self._start, self._own = start, own
        self(np.arange(min(2, inputs.samples)))  # two: batch statistics of one row are an error in themselves
        self.spec = split.spec

    @property
    def note(self) -> str | None:
        """What the cut has to say by now."""
        return self._split.note

    def __call__(self, samples: Ints) -> Stage:
        """Run the model up to the layer for a block, at the inputs and at every baseline."""
        # Baselines first: what the cut keeps from its last run is then what belongs to x.
        starts = [self._before(baseline, samples)[0] for baseline in self._baselines]
        if self._start is not None:
            own = self._own
            starts = [[*found[:own], *(self._started(leaf, samples) for leaf in found[own:])] for found in starts]
        values, context = self._before(self._inputs.leaves, samples)
        moving = tuple(i for i, leaf in enumerate(values) if self._backend.is_floating(leaf))
        if not moving:
            raise InputTypeError(
                f"expected the layer to give floating values; got {', '.join(str(v.dtype) for v in values)}. "
                "Attribute to the layer's outputs, or to a later layer"
            )
        self.moving, self.template = moving, values
        start = [joined(self._backend, [found[i] for found in starts]) for i in moving]
        fixed = [leaf for i, leaf in enumerate(values) if i not in moving] + context
        rows = np.arange(len(starts) * len(samples)).reshape(len(starts), -1)
        forward = LayerForward(self._backend, self._split, moving, self._output)
        stop, held = [values[i] for i in moving], len(values) - len(moving)
        return Stage(forward, start, stop, fixed, rows, np.arange(len(samples)), False, held)

    def _started(self, leaf: Tensor, samples: Ints) -> Tensor:
        """Return a baseline that is given in the space of the layer; what does not move stays."""
        assert self._start is not None
        if not self._backend.is_floating(leaf):
            return leaf
        return self._start.start(leaf, samples, lambda array: self._like(array, leaf))

    def _like(self, array: Any, leaf: Tensor) -> Tensor:
        return self._backend.cast_like(self._backend.from_numpy(array, leaf), leaf)

    def _before(self, leaves: Sequence[Tensor], samples: Ints) -> tuple[list[Tensor], list[Tensor]]:
        """Return the layer's values and what passes it by, in batches like those of the loop."""
        parts: list[tuple[list[Tensor], list[Tensor]]] = []
        done = 0
        while done < len(samples):
            here = done

            def call(rows: int, here: int = here) -> tuple[int, tuple[list[Tensor], list[Tensor]]]:
                part = samples[here : here + rows]
                return len(part), self._reach(leaves, part)

            count, found = call(len(samples)) if self.sizer is None else self.sizer.attempt(self._backend, call)
            if parts and len(found[1]) != len(parts[0][1]):  # the cut stopped replaying: what is there does not fit
                parts, done = [], 0
                continue
            parts.append(found)
            done += count
        values, context = zip(*parts, strict=True)
        return [joined(self._backend, each) for each in zip(*values, strict=True)], [
            joined(self._backend, each) for each in zip(*context, strict=True)
        ]

    def _reach(self, leaves: Sequence[Tensor], samples: Ints) -> tuple[list[Tensor], list[Tensor]]:
        backend, inputs = self._backend, self._inputs
        x = tree.unflatten(call_spec(inputs.spec), [_spread(backend, leaf, samples) for leaf in leaves])
        batched = {key: backend.take(value, samples) for key, value in inputs.batched.items()}
        values, context = self._split.before(x, batched, inputs.shared)
        for leaf in values:
            if not leaf.shape or int(leaf.shape[0]) != len(samples):
                raise ModelError(
                    f"expected layer values with one row per sample ({len(samples)}); got shape {tuple(leaf.shape)}. "
                    "Choose a layer whose first axis is the batch"
                )
        return values, context


def _start_rows(counts: list[list[int]], samples: int) -> Ints | None:
    """Return the row of baseline m for sample s in the joined leaves; None when leaves of one baseline disagree."""
    if any(len(set(count)) > 1 for count in counts):
        return None
    first, rows = 0, []
    for count, *_ in counts:
        rows.append(np.full(samples, first) if count == 1 else first + np.arange(samples))
        first += count
    return np.stack(rows)


def _spread(backend: Backend, leaf: Tensor, samples: Ints) -> Tensor:
    """Return the rows of these samples; a single row serves them all."""
    return backend.take(leaf, np.zeros_like(samples) if int(leaf.shape[0]) == 1 else samples)
