"""Exact attributions of torch models whose every way from input to output bends at most once; see `curves`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from pyig.contracts import Forward
from pyig.structure.curves import BENT_TWICE, MOST_LAYERS, TOO_DEEP, Move, find_curves
from pyig.structure.refusal import Refusal
from pyig.structure.torch_check import close, disagreement
from pyig.structure.torch_program import Hook, Program
from pyig.structure.torch_record import recorded
from pyig.structure.torch_recording import Recording
from pyig.structure.torch_rules import is_affine, is_entrywise
from pyig.structure.torch_secant import mean_slope
from pyig.structure.torch_signature import layers_in, signature


@dataclass(frozen=True)
class Ends:
    """The model at both ends of every path, ready for attributions.

    Attributes
    ----------
    outputs, start_outputs : tensor (N, ...), (1 or N, ...)
        The explained output at the inputs and at the baselines.
    """

    outputs: torch.Tensor
    start_outputs: torch.Tensor
    _leaves: list[torch.Tensor]
    _steps: list[torch.Tensor]
    _graph: torch.Tensor

    def attributions(self, index: torch.Tensor, contrast: torch.Tensor | None = None) -> list[torch.Tensor]:
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
        flat = torch.zeros_like(self.outputs).reshape(len(index), -1)
        flat.scatter_(1, index[:, None], 1.0)
        if contrast is not None:
            flat.scatter_add_(1, contrast[:, None], -torch.ones_like(flat[:, :1]))
        found = torch.autograd.grad(
            self._graph, self._leaves, flat.reshape(self.outputs.shape), retain_graph=True, allow_unused=True
        )
        alone = len(found) == 1  # the gradients of a sum are one tensor; a lone one is not held by anybody else
        return [
            torch.zeros_like(step) if g is None else _times(g.contiguous().to(step.dtype), step, alone)
            for g, step in zip(found, self._steps, strict=True)
        ]


@dataclass(frozen=True)
class ClosedForm:
    """A model with a closed form.

    Attributes
    ----------
    constant : bool
        Whether the model is affine, so that its gradient is the same everywhere.
    signature : object
        Of the model whose values and gradients it was compared with.
    """

    recording: Recording
    constant: bool
    _curves: dict[int, tuple[int, Program]]
    _whole: Program
    _traced: Program
    signature: object = None

    def evaluate(
        self, points: Sequence[torch.Tensor], starts: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor] = ()
    ) -> Ends:
        """Run the model at the baselines and at the inputs.

        Parameters
        ----------
        points, starts : sequence of tensor (N, ...), (1 or N, ...)
            The ends of the paths. One baseline row for all costs one row, unless there are fixed tensors.
        fixed : sequence of tensor (N, ...)
            What does not move.
        """
        rows = len(points[0])
        steps = [_step(stop.detach(), start) for stop, start in zip(points, starts, strict=True)]
        if fixed or any(len(leaf) != 1 for leaf in starts):
            starts = [leaf.expand(rows, *leaf.shape[1:]) for leaf in starts]
        with torch.no_grad():
            *arguments, start_outputs = self._traced([*(leaf.detach() for leaf in starts), *fixed])
        leaves = [leaf.detach().requires_grad_() for leaf in points]
        hooks = {
            after: _rescaled(program, after, before, argument)
            for (after, (before, program)), argument in zip(self._curves.items(), arguments, strict=True)
        }
        with torch.enable_grad():
            (graph,) = self._whole([*leaves, *fixed], hooks)
        return Ends(graph.detach(), start_outputs, leaves, steps, graph)

    def unchanged(self, model: object) -> bool:
        """Tell whether the model has the parts, numbers, switches and hooks of the one it was compared with."""
        return self.signature is not None and signature(model) == self.signature

    def agrees(
        self, forward: Forward, ends: Ends, points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor] = ()
    ) -> bool:
        """Compare the first output at the inputs with the model's: enough for a model with the same parts."""
        with torch.no_grad():
            row = forward([leaf[:1].clone() for leaf in points], [leaf[:1] for leaf in fixed])
        return close(ends.outputs[:1], row)

    def verified(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        starts: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor] = (),
    ) -> ClosedForm | Refusal:
        """Compare the recording with the model itself on the first sample; return this when they agree."""
        reason = disagreement(forward, lambda rows, held: self._whole([*rows, *held])[0], points, starts, fixed)
        return self if reason is None else Refusal(reason)


def closed_form(
    model: object,
    forward: Forward,
    points: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor],
    known: ClosedForm | None = None,
    kept: MutableMapping[str, Any] | None = None,
) -> ClosedForm | Refusal:
    """Record the model, find its closed form, and compare it with the model; see `pyig.structure.closed_form`."""
    if known is not None:
        if known.unchanged(model) and known.agrees(forward, known.evaluate(points, starts, fixed), points, fixed):
            return known
        if not known.unchanged(model) and known.verified(forward, points, starts, fixed):
            return replace(known, signature=signature(model))
    if len(layers_in(model)) > MOST_LAYERS:
        return TOO_DEEP
    recording = recorded(kept, model, forward, points, starts, fixed)
    if isinstance(recording, Refusal):
        return recording
    found = find_closed_form(recording)
    if isinstance(found, Refusal):
        return found
    checked = found.verified(forward, points, starts, fixed)
    return replace(checked, signature=signature(model)) if isinstance(checked, ClosedForm) else checked


def find_closed_form(recording: Recording) -> ClosedForm | Refusal:
    """Find out whether the model has a closed form.

    Parameters
    ----------
    recording : Recording
        From `pyig.structure.torch_record.record`.

    Returns
    -------
    ClosedForm or Refusal
    """
    curves = find_curves(_moves(recording), recording.points, recording.output)
    if curves is None:
        return Refusal(BENT_TWICE)
    given = (*recording.points, *recording.fixed)
    programs = {v: (root, Program(recording, [root], [v], wide=True)) for v, root in curves.items()}
    whole = Program(recording, given, [recording.output], kept=list(curves.values()))
    traced = Program(recording, given, [*curves.values(), recording.output])
    return ClosedForm(recording, not curves, programs, whole, traced)


def _moves(recording: Recording) -> Iterator[Move]:
    for step in recording.steps:
        moving = recording.moving(step)
        if moving:
            # A factor that changes from row to row is no part of a curve; most often the step is affine all the same.
            varies = any(recording.values[v].held for v in step.inputs if v not in moving)
            entrywise = is_entrywise(recording, step) and not varies
            yield Move(tuple(moving), tuple(step.outputs), is_affine(recording, step, set(moving)), entrywise)


def _times(gradient: torch.Tensor, step: torch.Tensor, in_place: bool) -> torch.Tensor:
    return gradient.mul_(step) if in_place else gradient * step


def _step(stop: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Return stop - start; from a baseline of zeros the input itself, for a copy would take a tenth of the call."""
    if len(start) == 1 and not bool(start.any()):
        return _enough(stop)
    return _enough(stop) - _enough(start)


def _enough(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in a dtype in which one product loses nothing that counts."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def _rescaled(program: Program, after: int, before: int, start: torch.Tensor) -> Hook:
    """Return a tensor with the value of the curve and its mean slope as derivative."""

    def hook(tensors: Mapping[int, torch.Tensor]) -> torch.Tensor:
        stop = tensors[before]
        slope = mean_slope(lambda z: program([z])[0], start, stop.detach(), program.scalar)
        return tensors[after].detach() + (stop - stop.detach()) * slope.to(stop.dtype)

    return hook
