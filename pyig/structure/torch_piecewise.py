"""Exact attributions of small piecewise-linear torch models: one VJP per region, at its middle; see `regions`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyig.contracts import Floats, Forward, Ints
from pyig.structure.affine import best
from pyig.structure.bends import NOT_PIECEWISE, Piece, find_bends
from pyig.structure.refusal import Refusal
from pyig.structure.regions import Head, Kinks, Regions, chunks
from pyig.structure.torch_check import disagreement
from pyig.structure.torch_prefix import Prefix, cuts, prefix_at
from pyig.structure.torch_program import Program, widest
from pyig.structure.torch_recording import Recording, Step
from pyig.structure.torch_rules import is_affine, kinks, maximum


@dataclass(frozen=True)
class Piecewise:
    """A model that is piecewise linear up to a smooth head without weights.

    Attributes
    ----------
    recording : Recording
        The whole model.
    bends : int
        How many operations have kinks.
    """

    recording: Recording
    _bends: list[tuple[Step, Program]]
    _prefix: Prefix | None
    _whole: Program
    _tail: Program
    _linear_tail: bool

    @property
    def bends(self) -> int:
        """How many operations have kinks."""
        return len(self._bends)

    def regions(
        self,
        points: Sequence[torch.Tensor],
        starts: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor] = (),
        *,
        most: int,
        rows: int = 1024,
    ) -> Regions:
        """Find the regions of every path, by forwards alone.

        Parameters
        ----------
        points, starts : sequence of tensor (N, ...), (1 or N, ...)
            The ends of the paths.
        fixed : sequence of tensor (N, ...)
            What does not move.
        most : int
            A sample with more regions is dropped as soon as that shows.
        rows : int
            Most rows of one model call.
        """
        points = [leaf.detach() for leaf in points]
        starts = [leaf.detach().expand(leaf_.shape) for leaf, leaf_ in zip(starts, points, strict=True)]
        return Regions(_Paths(self, points, starts, list(fixed), rows), most, points[0].dtype.itemsize)

    def verified(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        starts: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor] = (),
    ) -> Piecewise | Refusal:
        """Compare the recording with the model itself on the first sample; return this when they agree."""
        recording = self.recording
        whole = Program(recording, (*recording.points, *recording.fixed), [recording.output])
        reason = disagreement(forward, lambda rows, held: whole([*rows, *held])[0], points, starts, fixed)
        return self if reason is None else Refusal(reason)


class _Paths:
    """See `pyig.structure.regions.Paths`."""

    def __init__(
        self,
        model: Piecewise,
        points: list[torch.Tensor],
        starts: list[torch.Tensor],
        fixed: list[torch.Tensor],
        rows: int,
    ) -> None:
        self._model, self._points, self._starts, self._fixed, self.rows = model, points, starts, fixed, rows
        recording, prefix = model.recording, model._prefix
        self.bends: Sequence[Kinks | None] = [kinks(recording, step) for step, _ in model._bends]
        self.linear_tail, self.count, self.forwards = model._linear_tail, len(points[0]), 0
        self._ends = starts, points
        if prefix is not None:
            self._ends = [prefix.forward(starts, fixed)], [prefix.forward(points, fixed)]

    def arguments(self, bend: int, samples: Ints, alphas: Floats) -> tuple[NDArray[Any], Ints | None]:
        """Return what an operation with kinks is given, and who wins."""
        step, program = self._model._bends[bend]
        values = torch.cat([out for (out,) in self._run(program, samples, alphas)])
        winners = maximum(self._model.recording, step)
        return _numpy(values.flatten(1)), None if winners is None else _numpy(winners(step, values))

    def scalars(self, samples: Ints, alphas: Floats) -> Floats:
        """Return the last piecewise-linear tensor."""
        found = torch.cat([part[0] for part in self._run(self._model._whole, samples, alphas)])
        return _numpy(found).astype(np.float64)

    def outer(self, head: Head, index: Sequence[torch.Tensor], samples: Ints, scalars: Floats) -> tuple[Floats, Floats]:
        """Return F and its gradient."""
        like = self._points[0]
        leaf = torch.from_numpy(scalars).to(widest(like)).to(like.device)
        own = torch.from_numpy(samples).to(like.device)
        picked = [flat.to(like.device).index_select(0, own) for flat in index]
        if not self._model._tail.steps:
            values, gradient = head(leaf, picked)
            return _numpy(values), _numpy(gradient)
        with torch.enable_grad():
            leaf.requires_grad_()
            (outputs,) = self._model._tail([leaf, *_rows_of(self._fixed, samples)])
            values, cotangent = head(outputs.detach(), picked)
            (gradient,) = torch.autograd.grad(outputs, leaf, cotangent.to(outputs.dtype))
        return _numpy(values), _numpy(gradient)

    def pulled(self, samples: Ints, alphas: Floats, weights: Floats) -> tuple[Ints, list[torch.Tensor]]:
        """Return the samples, and the sum of their rows' gradients times x - x'."""
        kept, place = np.unique(samples, return_inverse=True)
        like = self._ends[1]
        totals = [torch.zeros((len(kept), *leaf.shape[1:]), dtype=widest(leaf), device=leaf.device) for leaf in like]
        for part in chunks(samples, self.rows):
            leaves = [leaf.requires_grad_() for leaf in self._between(samples[part], alphas[part])]
            with torch.enable_grad():
                (out,) = self._model._whole([*leaves, *_rows_of(self._fixed, samples[part])])
                along = torch.from_numpy(weights[part]).to(out.dtype).to(out.device)
                grads = torch.autograd.grad(out, leaves, along, allow_unused=True)
            where = torch.from_numpy(place[part])
            for total, grad in zip(totals, grads, strict=True):
                if grad is not None:
                    total.index_add_(0, where.to(total.device), grad.to(total.dtype))
        points, starts, fixed = (_rows_of(leaves, kept) for leaves in (self._points, self._starts, self._fixed))
        if self._model._prefix is not None:
            totals = list(self._model._prefix.pullback(points, fixed, totals[0]))
        steps = [stop.to(widest(stop)) - start.to(widest(stop)) for stop, start in zip(points, starts, strict=True)]
        return kept, [step * total.to(step.dtype) for step, total in zip(steps, totals, strict=True)]

    def _run(self, program: Program, samples: Ints, alphas: Floats) -> Iterator[list[torch.Tensor]]:
        for part in chunks(samples, self.rows):
            self.forwards += len(samples[part])
            with torch.no_grad():
                yield program([*self._between(samples[part], alphas[part]), *_rows_of(self._fixed, samples[part])])

    def _between(self, samples: Ints, alphas: Floats) -> list[torch.Tensor]:
        out = []
        for start, stop in zip(*self._ends, strict=True):
            where = torch.from_numpy(samples).to(stop.device)
            low, high = start.index_select(0, where), stop.index_select(0, where)
            shares = torch.from_numpy(alphas).to(widest(stop)).to(stop.device).reshape(-1, *[1] * (stop.ndim - 1))
            out.append((low + shares * (high.to(shares.dtype) - low)).to(stop.dtype))
        return out


def find_piecewise(recording: Recording) -> Piecewise | Refusal:
    """Find out whether the model is piecewise linear up to a smooth head without weights.

    Parameters
    ----------
    recording : Recording
        From `pyig.structure.torch_record.record`.

    Returns
    -------
    Piecewise or Refusal
    """
    steps = [step for step in recording.steps if recording.moving(step)]
    pieces = [_piece(recording, step) for step in steps]
    found = find_bends(pieces, recording.points, recording.output, lambda v: bool(recording.values[v].floats))
    if found is None:
        return Refusal(NOT_PIECEWISE)
    bends = [(pieces[place].reads[0], steps[place]) for place in found.places]
    return _assemble(recording, bends, found.scalars, found.tailed)


def _piece(recording: Recording, step: Step) -> Piece:
    values = recording.values
    makes = tuple(v for v in step.outputs if values[v].moving)
    floating = tuple(v for v in makes if values[v].dtype.is_floating_point)
    bends = kinks(recording, step) is not None or maximum(recording, step) is not None
    reads = tuple(recording.moving(step))
    return Piece(reads, makes, floating, step.macs, bends, partial(is_affine, recording, step))


def _assemble(recording: Recording, bends: list[tuple[int, Step]], scalars: int, tailed: bool) -> Piecewise:
    """Cut the recording before the first bend where that saves work, at every bend, and before the tail."""
    places = [(-1, recording.inputs), *cuts(recording)]
    cut, place = places[best([place for _, place in places], recording.macs)]
    prefix = prefix_at(recording, cut, place) if cut >= 0 else None
    given = ((cut,) if prefix else recording.points) + recording.fixed
    programs = [(step, Program(recording, given, [before])) for before, step in bends]
    whole = Program(recording, given, [scalars])
    tail = Program(recording, (scalars, *recording.fixed), [recording.output], wide=True)
    return Piecewise(recording, programs, prefix, whole, tail, not tailed)


def _rows_of(leaves: Sequence[torch.Tensor], rows: Ints) -> list[torch.Tensor]:
    return [leaf.index_select(0, torch.from_numpy(rows).to(leaf.device)) for leaf in leaves]


def _numpy(tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach()
    array: NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()
    return array
