"""What the structure of the model saves in a call: an exact integral, or the affine part of every evaluation."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np

from pyig.contracts import Backend, Tensor
from pyig.errors import InputError
from pyig.explainer.options import Options
from pyig.heads import TargetHead
from pyig.integrate.adaptive import Adaptive
from pyig.integrate.along import Along
from pyig.integrate.batching import Sizer
from pyig.integrate.exact import Early, Exact
from pyig.integrate.expected import Expected
from pyig.integrate.fixed import Fixed
from pyig.integrate.hoisting import Hoist
from pyig.integrate.nested import Nested
from pyig.integrate.probe import Probe
from pyig.integrate.regions import Regional
from pyig.integrate.runner import Way
from pyig.integrate.stages import InputStages, LayerStages, Stage
from pyig.structure import closed_form, find_prefix, piecewise_linear
from pyig.structure.refusal import Refusal

_FORM = "closed form"
_REGIONS = 24  # cost as much as the gradients that the adaptive rule takes for 1 % on a network with kinks
_TRIED = 8  # samples whose regions are counted before all are
_ADAPTIVE = 16  # evaluations of a path that the adaptive rule often takes
_NEARLY_ALL = 0.9  # then 80 evaluations of the rest cost less than those
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
    probe : Probe
        Knows the head, once the first outputs have settled it, and the batch sizes at the input.
    sizer : callable
        ``sizer(floats)`` gives the batch sizes for rows of so many numbers.
    samples : int
        How many there are.
    notes : list of str
        What the user should know; grows.
    """

    backend: Backend
    model: Any
    memory: MutableMapping[Any, Any]
    stages: InputStages | LayerStages
    options: Options
    probe: Probe
    sizer: Callable[[int], Sizer]
    samples: int
    notes: list[str] = field(default_factory=list)
    _found: dict[str, Any] = field(default_factory=dict)  # in this call
    _kept: dict[str, Any] = field(default_factory=dict)  # a recording of the model, for all searches of this call

    def early(self) -> Early | None:
        """Return the closed form that an earlier call has found: F at the ends is then known from it."""
        known = None if self._no_form() is not None else self._known(_FORM)
        if isinstance(known, Refusal | None) or not known.unchanged(self.model):
            return None
        return Early(self.backend, known, self.probe.sizer, lambda: self._found.update({_FORM: known}))

    def way(self, scheme: Fixed | Adaptive | Expected, results: int, baselines: int) -> Way:
        """Return how to integrate for so many results, each averaged over so many baselines."""
        exact = self._closed_form()
        if not isinstance(exact, Refusal):
            return Way(Exact(exact))
        if isinstance(scheme, Adaptive):
            regional = self._regional(scheme, results)
            if not isinstance(regional, Refusal):
                return Way(regional)
            if self.options.method == "exact":
                raise InputError(
                    "expected a model with a closed form, or a small one with linear regions, for method='exact'; "
                    f"{exact.reason}, and {regional.reason}"
                )
        hoist = self._hoist(scheme, results * baselines)
        if hoist is not None and isinstance(scheme, Adaptive):
            return Way(Nested(scheme.rtol, scheme.max_evals, scheme.caution), hoist)
        return Way(scheme, hoist)

    def _closed_form(self) -> Any:
        """Return the model's closed form, found once and checked in every call, or a `Refusal`."""
        refusal = self._no_form()
        if refusal is not None:
            return refusal
        return self._remembered(_FORM, partial(closed_form, self.backend, self.model, kept=self._kept))

    def _no_form(self) -> Refusal | None:
        if self.options.value not in (None, "output"):
            return Refusal("the closed form is that of the model's own output")
        return self._no_exact()

    def _no_exact(self) -> Refusal | None:
        """Return why no exact integral is looked for, if so."""
        options = self.options
        if options.method not in ("auto", "exact") or options.n_steps is not None:
            return Refusal("another method was asked for")
        if self.probe.custom:
            return Refusal("the target is a function")
        if not options.multiply_by_inputs:
            return Refusal("exact integrals are found as whole attributions")
        if isinstance(self.stages, LayerStages):
            return Refusal("it is looked for from the input only")
        if len(self.stages.moving) > 1 and not options.allow_unused:
            return Refusal("only the gradients of a batch tell whether every input is used")
        return None

    def _regional(self, scheme: Adaptive, results: int) -> Regional | Refusal:
        """Return the scheme of linear regions, where the model has so few that they cost less than the tolerance."""
        refusal = self._no_exact()
        if refusal is not None:
            return refusal
        head = self.probe.head
        assert isinstance(head, TargetHead)
        most = scheme.max_evals
        if self.options.method != "exact":
            most = min(most, int(_REGIONS * (0.01 / scheme.rtol) ** (2 / 3)))
        form = self._remembered(f"regions {most}", partial(self._counted, most))
        if isinstance(form, Refusal):
            return form
        return Regional(form, partial(head, self.backend), head.value == "output", most, scheme, results)

    def _counted(self, most: int, forward: Any, stop: Any, start: Any, fixed: Any, known: Any) -> Any:
        """Find the regions, if at least half of some samples have few of them; to count them takes forwards alone."""
        form = piecewise_linear(self.backend, self.model, forward, stop, start, fixed, known, self._kept)
        if isinstance(form, Refusal) or self.options.method == "exact":
            return form
        _, *ends = self._few(_TRIED)
        counts = form.regions(*ends, most=most, rows=self.probe.sizer.rows).counts
        return form if 2 * np.count_nonzero(counts) >= len(counts) else Refusal("it has too many linear regions")

    def _hoist(self, scheme: Fixed | Adaptive | Expected, paths: int) -> Hoist | None:
        """Return the way behind the affine prefix, where it is there and pays or the user asks for it."""
        explicit = self.options.prefix
        prefix = self._prefix(scheme, paths, explicit)
        if isinstance(prefix, Refusal):
            if explicit is not None:
                self.notes.append(f"prefix= is not used: {prefix.reason}")
            return None
        self.notes.append("the affine part before the first nonlinear operation ran once per sample")
        return Hoist(self.backend, prefix, self.sizer(prefix.frontier_floats))

    def _prefix(self, scheme: Fixed | Adaptive | Expected, paths: int, explicit: Any) -> Any:
        if isinstance(scheme, Expected):
            return Refusal("a baseline gets too few gradients to save any")
        if isinstance(scheme, Along):
            return Refusal("every gradient is wanted at the input itself")
        if isinstance(scheme, Adaptive) and self.options.method == "adaptive":
            return Refusal("the adaptive rule measures its cells at the input, so nothing would be saved")
        if isinstance(self.stages, LayerStages):
            return Refusal("the path runs behind a layer already")
        if len(self.stages.moving) > 1 and not self.options.allow_unused:
            return Refusal("only the gradients of a batch tell whether every input is used")
        expected = _ADAPTIVE if isinstance(scheme, Adaptive) else scheme.steps
        evaluations = paths * max(0, expected - _ENDS)
        found = self._remembered(
            f"prefix {explicit if explicit is None or isinstance(explicit, str) else id(explicit)}",
            partial(find_prefix, self.backend, self.model, evaluations=evaluations, explicit=explicit, kept=self._kept),
        )
        if found and isinstance(scheme, Adaptive) and explicit is None and found.share < _NEARLY_ALL:
            return Refusal("the part behind it is too large a part of the model for more evaluations of it")
        return found

    def _remembered(self, what: str, find: Callable[..., Any]) -> Any:
        """Return what an earlier call found, tried again, or find it; a refusal that lasts is not tried again."""
        if what in self._found:
            return self._found[what]
        known = self._known(what)
        if isinstance(known, Refusal):
            return known
        stage, stop, start, fixed = self._one
        self._found[what] = found = find(stage.forward, stop, start, fixed, known=known)
        lasting = not isinstance(found, Refusal) or found.lasting
        if lasting and not getattr(self.model, "training", False):  # eval() may open what training mode closes
            self.memory[self._key(what)] = found
        return found

    def _known(self, what: str) -> Any:
        return self.memory.get(self._key(what))

    def _key(self, what: str) -> Any:
        return (what, *self._shapes)

    @cached_property
    def _shapes(self) -> tuple[Any, ...]:
        stage = self.stages(np.arange(1))
        return tuple((str(leaf.dtype), tuple(leaf.shape[1:])) for leaf in (*stage.stop, *stage.fixed))

    @cached_property
    def _one(self) -> tuple[Stage, list[Tensor], list[Tensor], Sequence[Tensor]]:
        return self._few(1)

    def _few(self, most: int) -> tuple[Stage, list[Tensor], list[Tensor], Sequence[Tensor]]:
        """Return the stage of the first samples, and its ends."""
        stage, take = self.stages(np.arange(min(most, self.samples))), self.backend.take
        stop = [take(leaf, stage.stop_row) for leaf in stage.stop]
        start = [take(leaf, stage.start_row[0]) for leaf in stage.start]
        return stage, stop, start, [take(tensor, stage.stop_row) for tensor in stage.fixed]
