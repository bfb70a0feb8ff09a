"""Runs a part of a recording: from some of its tensors to others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from pyig.structure.torch_record import tensors_in
from pyig.structure.torch_recording import Recording, Rows, Step, Var

Hook = Callable[[Mapping[int, torch.Tensor]], torch.Tensor]
Filler = Callable[[Mapping[int, torch.Tensor], int], Any]


class Program:
    """The steps that lead from given tensors to wanted ones, in the model's order.

    Parameters
    ----------
    recording : Recording
        Where the steps come from.
    given : sequence of int
        Numbers of the tensors that a call brings; at least one has one row per row of the call.
    wanted : sequence of int
        Numbers of the tensors that a call returns.
    kept : sequence of int
        Numbers of the tensors that hooks look at.
    wide : bool, default False
        Whether the part runs in the widest dtype of the device, so that the model's own tensors do too.

    Raises
    ------
    ValueError
        A wanted tensor depends on an input that is not given.
    """

    def __init__(
        self,
        recording: Recording,
        given: Sequence[int],
        wanted: Sequence[int],
        kept: Sequence[int] = (),
        wide: bool = False,
    ) -> None:
        self._values = values = recording.values
        self._given, self._wanted = tuple(given), tuple(wanted)
        self.steps, needed = self._between(recording)
        self._wide = wide
        self._constants = {v: t for v in needed if (t := values[v].constant) is not None}
        self._shapes = [v for v in needed if v not in self._constants]
        kept = [*given, *wanted, *kept]
        self._frees = self._last_uses({*kept, *self._constants, *self._shapes})
        self._rows_from = next((place for place, v in enumerate(given) if values[v].shape), 0)
        # A step that works in place gets a copy of what is looked at later; nothing else reads that memory again.
        storages = {values[v].storage for v in kept}
        self._copies = [tuple(v for p in s.written if values[v := s.inputs[p]].storage in storages) for s in self.steps]
        self._arguments = [(_filler(step.args), _filler(step.kwargs)) for step in self.steps]

    @property
    def scalar(self) -> bool:
        """Whether the model's own tensors are single numbers here, so that an entrywise part may run on any entries."""
        return all(t.numel() == 1 for t in self._constants.values()) and not self._shapes

    def __call__(self, given: Sequence[torch.Tensor], hooks: Mapping[int, Hook] | None = None) -> list[torch.Tensor]:
        """Run the steps.

        Parameters
        ----------
        given : sequence of tensor
            One per given number; never written to.
        hooks : mapping from int to callable, optional
            ``hook(tensors) -> tensor`` stands in for the tensor of that number as soon as it is there.
        """
        # Widened in every call, not once: the model's numbers may have changed since.
        constants = {v: _wide(t) for v, t in self._constants.items()} if self._wide else self._constants
        env = dict(zip(self._given, given, strict=True)) | constants
        like = given[self._rows_from]
        rows = int(like.shape[0])
        for v in self._shapes:  # no memory: one zero, seen as the whole tensor
            zero = torch.zeros((), dtype=self._values[v].dtype, device=like.device)
            env[v] = zero.expand(_filler(self._values[v].shape)(env, rows))
        whole = zip(self.steps, self._arguments, self._copies, self._frees, strict=True)
        for step, (args, kwargs), copies, free in whole:
            there = env | {v: env[v].clone() for v in copies} if copies else env
            results = tensors_in(step.func(*args(there, rows), **kwargs(there, rows)))
            results += [there[step.inputs[place]] for place in step.written]
            env.update(zip(step.outputs, results, strict=True))
            for v in step.outputs if hooks else ():
                if hooks and v in hooks:
                    env[v] = hooks[v](env)
            for v in free:
                del env[v]
        return [env[v] for v in self._wanted]

    def _between(self, recording: Recording) -> tuple[list[Step], set[int]]:
        """Return the steps, and the tensors that neither a step nor the call brings."""
        ready = set(self._given)
        wanted = set(self._wanted) - ready
        shapes: set[int] = set()
        steps: list[Step] = []
        for step in reversed(recording.steps):
            if wanted.intersection(step.outputs):
                (shapes if step.shape_only else wanted).update(set(step.inputs) - ready)
                steps.append(step)
        made = {v for step in steps for v in step.outputs}
        if any(self._values[v].constant is None for v in wanted - made):
            raise ValueError("a wanted tensor depends on an input that is not given")
        return steps[::-1], (wanted | shapes) - made

    def _last_uses(self, kept: set[int]) -> list[list[int]]:
        """Return what each step may let go of, so that a forward without gradients needs no more than the model's."""
        last: dict[int, int] = {}
        for place, step in enumerate(self.steps):
            last.update(dict.fromkeys((*step.inputs, *step.outputs), place))
        frees: list[list[int]] = [[] for _ in self.steps]
        for v, place in last.items():
            if v not in kept:
                frees[place].append(v)
        return frees


def widest(tensor: torch.Tensor) -> torch.dtype:
    """Return float64, or float32 on a device without it."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _wide(constant: torch.Tensor) -> torch.Tensor:
    return constant.detach().to(widest(constant)) if constant.is_floating_point() else constant


def _filler(template: Any) -> Filler:
    """Return what fills a template; built once, for most parts of most templates are the same in every call."""
    if isinstance(template, Var):
        number = template.number
        return lambda env, rows: env[number]
    if isinstance(template, Rows):
        scale, offset = template
        return lambda env, rows: scale * rows + offset
    if isinstance(template, dict):
        names, named = list(template), _filler(list(template.values()))
        return lambda env, rows: dict(zip(names, named(env, rows), strict=True))
    if isinstance(template, slice):
        ends = _filler([template.start, template.stop, template.step])
        return lambda env, rows: slice(*ends(env, rows))
    if not isinstance(template, (tuple, list)):
        return lambda env, rows: template
    parts, kind = [_filler(part) for part in template], type(template)
    return lambda env, rows: kind(part(env, rows) for part in parts)
