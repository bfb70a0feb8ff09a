"""The options of `explain` and `attribute`, checked once before any model call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pyig.errors import InputError, InputTypeError, unknown
from pyig.heads import KINDS, VALUES
from pyig.integrate.adaptive import Adaptive
from pyig.integrate.expected import Expected
from pyig.integrate.fixed import Fixed
from pyig.quadrature import DEFAULT_STEPS, Rule, make_rule
from pyig.streams import generator

# How many of the samples that claim convergence may miss the tolerance: factors on the error estimate.
CONFIDENCE = {"typical": 0.85, "p95": 1.0, "strict": 1.5}
_MOST_DRAWN = 1_000_000


@dataclass(frozen=True)
class Options:
    """Every option of a call; the docstring of `IntegratedGradients.explain` says what each means."""

    contrast: Any = None
    value: str | None = None
    output_kind: str | None = None
    method: str | Rule = "auto"
    n_steps: int | None = None
    rtol: float = 0.01
    max_evals: int = 512
    confidence: str = "p95"
    layer: Any = None
    attribute_to_layer_inputs: bool = False
    prefix: Any = None
    multiply_by_inputs: bool = True
    forward_kwargs: dict[str, Any] | None = None
    batch_size: int | str = "auto"
    rng: Any = None
    progress: bool | Callable[[int, int], None] = True
    cancel: Any = None
    nan_policy: str = "raise"
    allow_unused: bool = False
    repeatable: bool = False

    @classmethod
    def read(cls, given: dict[str, Any]) -> Options:
        """Build from keyword arguments; an unknown one is an error that names the nearest."""
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown("option", name, [*known, "baselines", "target"])
        options = cls(**given)
        options._check()
        return options

    def scheme(self) -> Fixed | Adaptive | Expected:
        """Return how to integrate: adaptively, unless a rule or a number of steps is given."""
        if isinstance(self.method, Rule):
            return Fixed(self.method, self.rtol)
        if self.method == "expected":
            return Expected(int(self.n_steps or 0), self.rtol, CONFIDENCE[self.confidence])
        if self.method in ("adaptive", "exact") or (self.method == "auto" and self.n_steps is None):
            return Adaptive(self.rtol, self.max_evals, caution=CONFIDENCE[self.confidence])
        name = "gausslegendre" if self.method == "auto" else self.method
        return Fixed(make_rule(name, DEFAULT_STEPS if self.n_steps is None else int(self.n_steps)), self.rtol)

    def generator(self) -> np.random.Generator:
        """Return the one source of randomness of the call."""
        return generator(self.rng)

    def _check(self) -> None:
        if self.value is not None and self.value not in VALUES:
            raise unknown("value", self.value, VALUES)
        if self.output_kind is not None and self.output_kind not in KINDS:
            raise unknown("output_kind", self.output_kind, KINDS)
        if self.nan_policy not in ("raise", "mark"):
            raise unknown("nan_policy", self.nan_policy, ("raise", "mark"))
        if not isinstance(self.method, (str, Rule)):
            got = type(self.method).__qualname__
            raise InputTypeError(f"expected method= as a name, or a pyig.quadrature.Rule; got {got}")
        steps = self.n_steps
        if isinstance(self.method, Rule) and steps not in (None, len(self.method.nodes)):
            raise InputError(f"expected n_steps= as the {len(self.method.nodes)} nodes of the rule; got {steps!r}")
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1):
            raise InputError(f"expected n_steps= as a whole number of at least 1; got {steps!r}")
        if isinstance(self.rtol, bool) or not isinstance(self.rtol, (int, float, np.number)) or not 0 < self.rtol < 1:
            raise InputError(f"expected rtol= between 0 and 1 (0.01 is one per cent); got {self.rtol!r}")
        if self.forward_kwargs is not None and not isinstance(self.forward_kwargs, dict):
            raise InputTypeError(f"expected forward_kwargs= as a dict; got {type(self.forward_kwargs).__qualname__}")
        if self.confidence not in CONFIDENCE:
            raise unknown("confidence", self.confidence, CONFIDENCE)
        if isinstance(self.max_evals, bool) or not isinstance(self.max_evals, (int, np.integer)) or self.max_evals < 5:
            raise InputError(f"expected max_evals= as a whole number of at least 5; got {self.max_evals!r}")
        if self.method in ("adaptive", "exact") and steps is not None:
            raise InputError(f"expected n_steps= only with a fixed rule; got it with method={self.method!r}")
        if self.method == "expected" and steps is not None and steps > _MOST_DRAWN:
            raise InputError(f"expected n_steps= of at most {_MOST_DRAWN} with method='expected'; got {steps}")
        self.scheme()
