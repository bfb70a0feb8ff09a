"""Runs a part of a recording: from some of its tensors to others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from pyig.structure.torch_record import tensors_in
from pyig.structure.torch_recording import Recording, Rows, Step, Var

Hook = Callable[[Mapping[int, torch.Tensor]], torch.Tensor]


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

    Raises
    ------
    ValueError
        A wanted tensor depends on an input that is not given.
    """

    def __init__(self, recording: Recording, given: Sequence[int], wanted: Sequence[int]) -> None:
        self._values = recording.values
        self._given, self._wanted = tuple(given), tuple(wanted)
        self.steps, needed = self._between(recording)
        self._constants = {v: t for v in needed if (t := self._values[v].constant) is not None}
        self._shapes = [v for v in needed if v not in self._constants and v not in self._given]
        self._frees = self._last_uses()
        self._rows_from = next(place for place, v in enumerate(self._given) if self._values[v].floats)
        storages = {self._values[v].storage for v in self._given}
        self._copies = any(self._values[s.inputs[place]].storage in storages for s in self.steps for place in s.written)

    def __call__(self, given: Sequence[torch.Tensor], hooks: Mapping[int, Hook] | None = None) -> list[torch.Tensor]:
        """Run the steps.

        Parameters
        ----------
        given : sequence of tensor
            One per given number; never written to.
        hooks : mapping from int to callable, optional
            ``hook(tensors) -> tensor`` stands in for the tensor of that number as soon as it is there.
        """
        given = [t.clone() for t in given] if self._copies else list(given)
        like = given[self._rows_from]
        rows = int(like.shape[0])
        env = dict(zip(self._given, given, strict=True)) | self._constants
        for v in self._shapes:  # no memory: one zero, seen as the whole tensor
            env[v] = torch.zeros((), dtype=self._values[v].dtype, device=like.device).expand(
                _fill(self._values[v].shape, env, rows)
            )
        for step, free in zip(self.steps, self._frees, strict=True):
            arguments = _fill(step.args, env, rows)
            named = _fill(step.kwargs, env, rows)
            results = tensors_in(step.func(*arguments, **named))
            results += [env[step.inputs[place]] for place in step.written]
            env.update(zip(step.outputs, results, strict=True))
            for v in step.outputs if hooks else ():
                if hooks and v in hooks:
                    env[v] = hooks[v](env)
            for v in free:
                del env[v]
        return [env[v] for v in self._wanted]

    def _between(self, recording: Recording) -> tuple[list[Step], set[int]]:
        """Return the steps, and the tensors that no step of them makes."""
        values, ready = set(self._wanted), set(self._given)
        shapes: set[int] = set()
        steps: list[Step] = []
        for step in reversed(recording.steps):
            if not (values - ready).intersection(step.outputs):
                continue
            (shapes if step.shape_only else values).update(step.inputs)
            steps.append(step)
        made = {v for step in steps for v in step.outputs}
        missing = values - ready - made
        if any(self._values[v].constant is None for v in missing):
            raise ValueError("a wanted tensor depends on an input that is not given")
        return steps[::-1], (missing | shapes) - made - ready

    def _last_uses(self) -> list[list[int]]:
        """Return what each step may let go of, so that a forward without gradients needs no more than the model's."""
        last: dict[int, int] = {}
        for place, step in enumerate(self.steps):
            last.update(dict.fromkeys((*step.inputs, *step.outputs), place))
        kept = {*self._wanted, *self._given, *self._constants, *self._shapes}
        return [[v for v, at in last.items() if at == place and v not in kept] for place in range(len(self.steps))]


def _fill(template: Any, env: Mapping[int, torch.Tensor], rows: int) -> Any:
    if isinstance(template, Var):
        return env[template.number]
    if isinstance(template, Rows):
        return template.scale * rows + template.offset
    if isinstance(template, tuple):
        return tuple(_fill(part, env, rows) for part in template)
    if isinstance(template, list):
        return [_fill(part, env, rows) for part in template]
    if isinstance(template, dict):
        return {key: _fill(part, env, rows) for key, part in template.items()}
    if isinstance(template, slice):
        return slice(*(_fill(part, env, rows) for part in (template.start, template.stop, template.step)))
    return template
