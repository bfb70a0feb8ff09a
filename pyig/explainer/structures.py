"""What the structure of the model saves in a call: an exact integral, or the affine part of every evaluation."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig.contracts import Backend, Tensor
from pyig.errors import InputError
from pyig.explainer.options import Options
from pyig.integrate.adaptive import Adaptive
from pyig.integrate.batching import Sizer
from pyig.integrate.exact import Exact
from pyig.integrate.expected import Expected
from pyig.integrate.fixed import Fixed
from pyig.integrate.hoisting import Hoist
from pyig.integrate.runner import Way
from pyig.integrate.stages import InputStages, LayerStages, Stage
from pyig.structure import closed_form, find_prefix
from pyig.structure.refusal import Refusal

_ENDS = 4  # evaluations that the prefix itself takes per path: two forwards, and two VJPs at most


@dataclass(frozen=True)
class Structures:
    """Looks for structure, and remembers for the next call what was found and what was not.

    Parameters
    ----------
    memory : dict
        Of the explainer; updated.
    stages : InputStages or LayerStages
        The paths of the call.
    function : bool
        Whether the target is a function.
    sizer : callable
        ``sizer(leaves)`` gives the batch sizes for rows like these.
    notes : list of str
        What the user should know; grows.
    """

    backend: Backend
    model: Any
    memory: MutableMapping[Any, Any]
    stages: InputStages | LayerStages
    options: Options
    function: bool
    sizer: Callable[[list[Tensor]], Sizer]
    notes: list[str]

    def way(self, scheme: Fixed | Adaptive | Expected, paths: int) -> Way:
        """Return how to integrate so many paths."""
        exact = self._closed_form()
        if not isinstance(exact, Refusal):
            return Way(Exact(exact))
        if self.options.method == "exact":
            raise InputError(f"expected a model with a closed form for method='exact'; {exact.reason}")
        return Way(scheme, self._hoist(scheme, paths))

    def _closed_form(self) -> Any:
        """Return the model's closed form, found once and checked in every call, or a `Refusal`."""
        options = self.options
        if options.method not in ("auto", "exact") or options.n_steps is not None:
            return Refusal("another method was asked for")
        if self.function:
            return Refusal("the target is a function")
        if isinstance(self.stages, LayerStages) or options.value not in (None, "output"):
            return Refusal("it is looked for in the model's own output and input only")
        if len(self.stages.moving) > 1 and not options.allow_unused:
            return Refusal("only the gradients of a batch tell whether every input is used")
        return self._remembered(
            "closed form",
            lambda forward, stop, start, fixed, known: closed_form(
                self.backend, self.model, forward, stop, start, fixed, known
            ),
        )

    def _hoist(self, scheme: Fixed | Adaptive | Expected, paths: int) -> Hoist | None:
        """Return the way behind the affine prefix, where it is there and pays or the user asks for it."""
        explicit = self.options.prefix
        prefix = self._prefix(scheme, paths, explicit)
        if isinstance(prefix, Refusal):
            if explicit is not None:
                self.notes.append(f"prefix= is not used: {prefix.reason}")
            return None
        self.notes.append("the affine part before the first nonlinear operation ran once per sample")
        stage = self.stages(np.arange(1))
        hoist = Hoist(self.backend, prefix, self.sizer(stage.stop))
        return Hoist(self.backend, prefix, self.sizer(hoist(stage).stop))

    def _prefix(self, scheme: Fixed | Adaptive | Expected, paths: int, explicit: Any) -> Any:
        if isinstance(scheme, Expected):
            return Refusal("a baseline gets too few gradients to save any")
        if isinstance(scheme, Adaptive):
            return Refusal("the adaptive rule measures its cells at the input, so nothing would be saved")
        if isinstance(self.stages, LayerStages):
            return Refusal("the path runs behind a layer already")
        if len(self.stages.moving) > 1 and not self.options.allow_unused:
            return Refusal("only the gradients of a batch tell whether every input is used")
        evaluations = paths * max(0, scheme.steps - _ENDS)
        return self._remembered(
            f"prefix {explicit if explicit is None or isinstance(explicit, str) else id(explicit)}",
            lambda forward, stop, start, fixed, known: find_prefix(
                self.backend, self.model, forward, stop, start, fixed, evaluations, explicit, known
            ),
        )

    def _remembered(self, what: str, find: Callable[..., Any]) -> Any:
        """Return what an earlier call found, tried again, or find it; a refusal that lasts is not tried again."""
        stage, stop, start, fixed = self._few()
        key = (what, *((str(leaf.dtype), tuple(leaf.shape[1:])) for leaf in (*stop, *fixed)))
        known = self.memory.get(key)
        if isinstance(known, Refusal):
            return known
        found = find(stage.forward, stop, start, fixed, known)
        lasting = not isinstance(found, Refusal) or found.lasting
        if lasting and not getattr(self.model, "training", False):  # eval() may open what training mode closes
            self.memory[key] = found
        return found

    def _few(self) -> tuple[Stage, list[Tensor], list[Tensor], Sequence[Tensor]]:
        """Return the stage of one sample, and its ends."""
        stage, take = self.stages(np.arange(1)), self.backend.take
        stop = [take(leaf, stage.stop_row) for leaf in stage.stop]
        start = [take(leaf, stage.start_row[0]) for leaf in stage.start]
        return stage, stop, start, [take(tensor, stage.stop_row) for tensor in stage.fixed]
