"""The affine prefix of a torch model: the path is straight behind it too, so it need not run at every node.

With z = A x + b the path between z' and z is the image of the path between x' and x, and the gradient with respect to x
is A^T times the gradient with respect to z. So the prefix runs once for x and once for x', and its VJP once, on the
accumulated gradient. That needs a cut: one tensor through which everything that depends on the input passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from pyig.contracts import Forward
from pyig.structure import torch_check
from pyig.structure.affine import Cut, Operation, Place, bottlenecks, cheapest, pays
from pyig.structure.agreement import cut_gap
from pyig.structure.refusal import Refusal
from pyig.structure.torch_program import Program
from pyig.structure.torch_recording import Recording
from pyig.structure.torch_rules import is_affine


@dataclass(frozen=True)
class Prefix(Cut):
    """A model cut in two at an affine frontier.

    Attributes
    ----------
    recording : Recording
        The whole model.
    frontier : int
        Number of the tensor at the cut.
    place : Place
        What it costs to run the path there.
    """

    recording: Recording
    frontier: int
    place: Place
    _before: Program
    _after: Program

    def forward(self, points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor] = ()) -> torch.Tensor:
        """Return the frontier for the points, without a gradient.

        Parameters
        ----------
        points : sequence of tensor (R, ...)
            One tensor per leaf on the path.
        fixed : sequence of tensor (R, ...)
            What does not move, row by row.
        """
        with torch.no_grad():
            return self._before([*points, *fixed])[0]

    def suffix(self, frontier: torch.Tensor, fixed: Sequence[torch.Tensor] = ()) -> torch.Tensor:
        """Return the explained output for frontier rows, differentiable; their number may be any."""
        return self._after([frontier, *fixed])[0]

    def pullback(
        self, points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor], gradient: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return the gradient with respect to the points for one with respect to the frontier, by one VJP.

        Parameters
        ----------
        points : sequence of tensor (R, ...)
            For their shapes and dtypes; an affine prefix has the same VJP everywhere.
        fixed : sequence of tensor (R, ...)
            What does not move.
        gradient : tensor (R, ...)
            Shaped like the frontier, of any floating dtype.
        """
        leaves = [torch.zeros_like(leaf).requires_grad_() for leaf in points]
        with torch.enable_grad():
            frontier = self._before([*leaves, *fixed])[0]
            found = torch.autograd.grad(frontier, leaves, gradient.to(frontier.dtype), allow_unused=True)
        return [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(found, leaves, strict=True)]

    def pays(self, evaluations: float) -> bool:
        """Tell whether it is worth its checks and its rows; see `pyig.structure.affine.pays`."""
        return pays(self.place, self.recording.inputs, self.recording.macs, evaluations)

    def verified(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        starts: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor] = (),
    ) -> Prefix | Refusal:
        """Compare values and gradients with the model's between the ends of a path; return this when they agree.

        Parameters
        ----------
        forward : callable
            The model, as in `pyig.structure.torch_record.record`.
        points, starts : sequence of tensor (N, ...), (1 or N, ...)
            The ends of the paths; the first sample is tried.
        fixed : sequence of tensor (N, ...)
            What does not move.
        """
        reason = cut_gap(self, torch_check, forward, points, starts, fixed)
        return self if reason is None else Refusal(reason)


def find_prefix(recording: Recording) -> Prefix | Refusal:
    """Find the affine part of the model before the cut where gradients are cheapest.

    Parameters
    ----------
    recording : Recording
        From `pyig.structure.torch_record.record`.

    Returns
    -------
    Prefix or Refusal
    """
    found = cuts(recording)
    if not found:
        return Refusal(_why_not(recording))
    chosen = cheapest(found, recording.macs)
    return chosen if isinstance(chosen, Refusal) else prefix_at(recording, *chosen)


def explicit_prefix(recording: Recording) -> Prefix | Refusal:
    """Cut at the output of the marked module: the user says that what comes before is affine, `verified` says whether.

    Parameters
    ----------
    recording : Recording
        From ``record(..., mark=module)``.
    """
    if len(recording.marked) != 1:
        return Refusal(f"the module of prefix= is called {len(recording.marked)} times in a forward, not once")
    for frontier, place in cuts(recording, affine_only=False):
        if frontier == recording.marked[0]:
            return prefix_at(recording, frontier, place)
    return Refusal(
        "the module of prefix= is no cut: it returns no tensor of the input's dtype with one row per sample, or the "
        "input reaches the output past it"
    )


def prefix_at(recording: Recording, frontier: int, place: Place) -> Prefix:
    """Cut a recording at a frontier."""
    given = (*recording.points, *recording.fixed)
    before = Program(recording, given, [frontier])
    after = Program(recording, (frontier, *recording.fixed), [recording.output])
    return Prefix(recording, frontier, place, before, after)


def cuts(recording: Recording, affine_only: bool = True) -> list[tuple[int, Place]]:
    """Return the tensors through which everything passes that depends on the points, behind the first operation."""
    dtype = recording.values[recording.points[0]].dtype
    found = []
    for only, macs, affine in bottlenecks(_operations(recording), recording.points, recording.output):
        value = recording.values[only]
        if value.floats and value.dtype == dtype and (affine or not affine_only):
            found.append((only, Place(value.floats, macs)))
    return found


def _operations(recording: Recording) -> Iterator[Operation]:
    for step in recording.steps:
        if recording.moving(step):
            made = tuple(v for v in step.outputs if recording.values[v].moving)
            affine = partial(is_affine, recording, step)
            yield Operation(tuple(recording.moving(step)), made, step.macs, affine)


def _why_not(recording: Recording) -> str:
    first = next((step for step in recording.steps if recording.moving(step)), None)
    if first is None:
        return "the model does nothing to its input"
    if not is_affine(recording, first, set(recording.points)):
        name = getattr(first.func, "__name__", "first operation")
        return f"the model does not begin with an affine operation ({name})"
    return "the input is used again behind its first affine operations"
