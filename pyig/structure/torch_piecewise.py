"""Exact attributions of small piecewise-linear models: one VJP per region, at its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pyig.contracts import Floats, Forward, Ints
from pyig.structure.affine import best
from pyig.structure.piecewise import Breakpoints, Segments, averages, crossings, takeovers
from pyig.structure.refusal import Refusal
from pyig.structure.torch_check import disagreement
from pyig.structure.torch_prefix import Prefix, cuts, prefix_at
from pyig.structure.torch_program import Program, widest
from pyig.structure.torch_recording import Recording, Step
from pyig.structure.torch_rules import is_affine, kinks, maximum

Head = Callable[[torch.Tensor, list[torch.Tensor]], tuple[torch.Tensor, torch.Tensor]]
_ROUNDS = 8  # a maximum of k functions has at most k - 1 takeovers; a third function shows in the next round
_GAPS = {torch.float64: 1e-13}  # rounding finds a place again at this distance, and errs by as much at a merged one


@dataclass(frozen=True)
class Exact:
    """Exact attributions of the samples that stayed within their budget.

    Attributes
    ----------
    samples : int64 (S,)
        Which samples these are.
    attributions : list of tensor (S, ...)
        One per leaf, in the widest dtype of the device.
    offsets : int64 (S + 1,)
        The regions of sample s are ``offsets[s]:offsets[s + 1]``.
    alphas, widths, values, slopes : float64 (regions,)
        Middle and width of each region, F there, and the mean of dF/d(alpha) over it.
    """

    samples: Ints
    attributions: list[torch.Tensor]
    offsets: Ints
    alphas: Floats
    widths: Floats
    values: Floats
    slopes: Floats


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
        if self._prefix is None:
            ends = starts, points
        else:
            ends = [self._prefix.forward(starts, fixed)], [self._prefix.forward(points, fixed)]
        gap = _GAPS.get(points[0].dtype, 1e-6)
        breaks = Breakpoints.ends(range(len(points[0])), gap)
        found = Regions(self, points, starts, list(fixed), ends, breaks, rows)
        found.refine(most)
        return found

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


class Regions:
    """The regions of every path of a batch, and the exact integrals over them."""

    def __init__(
        self,
        model: Piecewise,
        points: list[torch.Tensor],
        starts: list[torch.Tensor],
        fixed: list[torch.Tensor],
        ends: tuple[list[torch.Tensor], list[torch.Tensor]],
        breaks: Breakpoints,
        rows: int,
    ) -> None:
        self._model, self._points, self._starts, self._fixed = model, points, starts, fixed
        self._ends, self._breaks, self._rows = ends, breaks, rows
        self.forwards = 0

    @property
    def counts(self) -> Ints:
        """Regions of each sample (N,), which is what its attributions cost in gradients; 0 where it was dropped."""
        return self._breaks.regions(len(self._points[0]))

    def refine(self, most: int) -> None:
        """Find the breakpoints of one operation after the other."""
        for step, program in self._model._bends:
            again: NDArray[np.bool_] | None = None
            for _ in range(_ROUNDS):
                rows = self._begins(again)
                found = self._crossed(step, program, rows)
                if not len(found[0]):
                    break
                again = self._breaks.insert(*self._breaks.within(found))
                counts = self.counts
                over = np.flatnonzero(counts > most)
                if len(over):
                    again = again[~np.isin(self._breaks.samples, over)]
                    self._breaks.drop(over)
                if kinks(self._model.recording, step) is not None or not again.any():
                    break

    def attributions(self, head: Head, index: Sequence[torch.Tensor], *, linear: bool = False) -> Exact | Refusal:
        """Integrate a smooth function of the outputs.

        Parameters
        ----------
        head : callable
            ``head(outputs, index) -> values (R,), cotangent like the outputs``.
        index : sequence of int64 tensor (N,)
            Flat target indices, passed on to the head for the rows' samples.
        linear : bool
            Whether the head is linear in the outputs.

        Returns
        -------
        Exact or Refusal
            Refused where the head is not smooth enough to be averaged.
        """
        breaks = self._breaks
        left = breaks.left()
        samples, alphas = breaks.samples[left], breaks.alphas[left]
        widths = breaks.alphas[left + 1] - alphas
        middles = alphas + 0.5 * widths
        scalars = torch.cat([part[0] for part in self._run(self._model._whole, breaks.samples, breaks.alphas)])
        before, after = (_rows_of([scalars.to(widest(scalars))], rows)[0] for rows in (left, left + 1))

        def outer(regions: Ints, shares: Floats) -> tuple[torch.Tensor, torch.Tensor]:
            return self._outer(head, index, before, after, samples, regions, shares)

        mean, converged = averages(
            lambda regions, shares: _numpy(outer(regions, shares)[1]),
            len(left), samples, not (linear and self._model._linear_tail),
        )  # fmt: skip
        if not converged:
            return Refusal("the function of the outputs is not smooth")
        weights = torch.from_numpy(mean * widths.reshape(-1, *[1] * (mean.ndim - 1)))
        kept, sums = self._pulled(samples, middles, weights)
        values = _numpy(outer(np.arange(len(left)), np.full(len(left), 0.5))[0])
        slopes = (mean * _numpy(after - before)).reshape(len(left), -1).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = np.where(widths > 0, slopes / widths, 0.0)
        offsets = np.concatenate([[0], np.cumsum(self.counts[kept])])
        return Exact(kept, sums, offsets, middles, widths, values, slopes)

    def _begins(self, again: NDArray[np.bool_] | None) -> Ints:
        """Return the rows whose regions are to be looked at: all, or those beside a new breakpoint."""
        left = self._breaks.left()
        return left if again is None else left[again[left] | again[left + 1]]

    def _crossed(self, step: Step, program: Program, left: Ints) -> Segments:
        """Return where a step's kinks lie within the regions that begin at these rows."""
        recording = self._model.recording
        bends, winners = kinks(recording, step), maximum(recording, step)
        found: list[Segments] = []
        for first in range(0, len(left), max(1, self._rows // 2)):
            part = left[first : first + max(1, self._rows // 2)]
            rows = np.unique(np.concatenate([part, part + 1]))
            local = np.searchsorted(rows, part)
            outputs = self._run(program, self._breaks.samples[rows], self._breaks.alphas[rows])
            values = torch.cat([out for (out,) in outputs])
            flat = _numpy(values.flatten(1))
            if bends is not None:
                at, shares = crossings(flat, local, bends)
            else:
                assert winners is not None
                at, shares = takeovers(flat, _numpy(winners(step, values)), local)
            found.append((rows[at], shares))
        if not found:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        return np.concatenate([rows for rows, _ in found]), np.concatenate([shares for _, shares in found])

    def _run(self, program: Program, samples: Ints, alphas: Floats) -> Iterator[list[torch.Tensor]]:
        for first in range(0, len(samples), self._rows):
            part = slice(first, first + self._rows)
            self.forwards += len(samples[part])
            with torch.no_grad():
                yield program([*self._between(samples[part], alphas[part]), *self._held(samples[part])])

    def _between(self, samples: Ints, alphas: Floats) -> list[torch.Tensor]:
        out = []
        for start, stop in zip(*self._ends, strict=True):
            where = torch.from_numpy(samples).to(stop.device)
            low, high = start.index_select(0, where), stop.index_select(0, where)
            shares = torch.from_numpy(alphas).to(widest(stop)).to(stop.device).reshape(-1, *[1] * (stop.ndim - 1))
            out.append((low + shares * (high.to(shares.dtype) - low)).to(stop.dtype))
        return out

    def _held(self, samples: Ints) -> list[torch.Tensor]:
        return _rows_of(self._fixed, samples)

    def _outer(
        self, head: Head, index: Sequence[torch.Tensor], before: torch.Tensor, after: torch.Tensor, samples: Ints,
        regions: Ints, shares: Floats,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Return F and its gradient with respect to the last piecewise-linear tensor."""
        where = torch.from_numpy(regions).to(before.device)
        share = torch.from_numpy(shares).to(before).reshape(-1, *[1] * (before.ndim - 1))
        low, high = before.index_select(0, where), after.index_select(0, where)
        scalars = low + share * (high - low)
        own = torch.from_numpy(samples[regions]).to(before.device)
        picked = [flat.to(before.device).index_select(0, own) for flat in index]
        if not self._model._tail.steps:
            return head(scalars, picked)
        with torch.enable_grad():
            leaf = scalars.requires_grad_()
            (outputs,) = self._model._tail([leaf, *self._held(samples[regions])])
            values, cotangent = head(outputs.detach(), picked)
            (gradient,) = torch.autograd.grad(outputs, leaf, cotangent.to(outputs.dtype))
        return values, gradient

    def _pulled(self, samples: Ints, alphas: Floats, weights: torch.Tensor) -> tuple[Ints, list[torch.Tensor]]:
        """Return the samples, and the sum of their regions' gradients times x - x'."""
        kept, place = np.unique(samples, return_inverse=True)
        like = self._ends[1]
        totals = [torch.zeros((len(kept), *leaf.shape[1:]), dtype=widest(leaf), device=leaf.device) for leaf in like]
        for first in range(0, len(samples), self._rows):
            part = slice(first, first + self._rows)
            leaves = [leaf.requires_grad_() for leaf in self._between(samples[part], alphas[part])]
            with torch.enable_grad():
                (out,) = self._model._whole([*leaves, *self._held(samples[part])])
                grads = torch.autograd.grad(out, leaves, weights[part].to(out), allow_unused=True)
            where = torch.from_numpy(place[part])
            for total, grad in zip(totals, grads, strict=True):
                if grad is not None:
                    total.index_add_(0, where.to(total.device), grad.to(total.dtype))
        points, starts = (_rows_of(leaves, kept) for leaves in (self._points, self._starts))
        if self._model._prefix is not None:
            totals = list(self._model._prefix.pullback(points, self._held(kept), totals[0]))
        steps = [stop.to(widest(stop)) - start.to(widest(stop)) for stop, start in zip(points, starts, strict=True)]
        return kept, [step * total.to(step.dtype) for step, total in zip(steps, totals, strict=True)]


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
    last = recording.last_uses()
    known, open_ = set(recording.points), set(recording.points)
    bends: list[tuple[int, Step]] = []
    scalars, macs, done, after = recording.points[0] if len(recording.points) == 1 else -1, 0.0, 0, 0
    for at, step in enumerate(recording.steps):
        moving = recording.moving(step)
        if not moving:
            continue
        bent = kinks(recording, step) is not None or maximum(recording, step) is not None
        if is_affine(recording, step, known):
            known.update(step.outputs)
        elif bent and known.issuperset(moving) and recording.values[moving[0]].floats:
            known.update(v for v in step.outputs if recording.values[v].dtype.is_floating_point)
            bends.append((moving[0], step))
        macs += step.macs
        open_ = {v for v in (*open_, *step.outputs) if recording.values[v].moving and last.get(v, -1) > at}
        if len(open_) == 1 and open_ <= known and recording.values[min(open_)].floats:
            scalars, after, done = min(open_), at + 1, len(bends)
            macs = 0.0
    if scalars < 0 or macs or len(bends) > done:
        return Refusal("the model is not piecewise linear up to a smooth function of its outputs")
    return _assemble(recording, bends, scalars, any(recording.moving(step) for step in recording.steps[after:]))


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
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return array
