"""Integrated Gradients in float64: of a copy of the model, on copies of what is floating in the input.

It tells rounding from error: where the gap of a float32 model is near its rounding, only more digits can say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pyig import tree
from pyig.backends.wide import REFUSED, WIDE
from pyig.baselines import several
from pyig.calling import static
from pyig.errors import InputTypeError
from pyig.explainer.core import IntegratedGradients
from pyig.explainer.options import Options
from pyig.explainer.session import Outcome
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions

NOTE = "computed in float64, on a copy of the model"


class InFloat64(IntegratedGradients):
    """What `IntegratedGradients.in_float64` returns.

    Parameters
    ----------
    original : IntegratedGradients
        Holds the model, which stays as it is. It is copied at the first call.
    """

    def __init__(self, original: IntegratedGradients) -> None:
        super().__init__(
            original.model, backend=original._backend_name, gradient=original._gradient, output=original.output
        )
        self._original = original
        self._wide: Any = None

    def explain(self, x: Any, *args: Any, **options: Any) -> Explanation:
        """Explain in float64; see `IntegratedGradients.explain`."""
        found = super().explain(x, *args, **options)
        return replace(found, meta={**found.meta, "notes": [*found.meta.get("notes", []), NOTE]})

    def in_float64(self) -> IntegratedGradients:
        """Return itself."""
        return self

    def along(
        self, explanation: Explanation, sample: int = 0, target: int = 0, *, x: Any = None, **options: Any
    ) -> CumulativeAttributions:
        """Show how attributions build up, in float64; see `IntegratedGradients.along`."""
        self._widen(explanation.inputs if x is None else x)
        for name in {"forward_kwargs", "baselines"} & set(options):
            options[name] = self._widened(options[name])
        if "layer" in options:
            options["layer"] = self._wide.layer(options["layer"])
        return super().along(explanation, sample, target, x=None if x is None else self._widened(x), **options)

    def _widen(self, x: Any) -> None:
        """Copy the model, at the first call."""
        if self._wide is not None:
            return
        name = self._original.backend_for(x).name
        if name not in WIDE:
            why = REFUSED.get(name, "its backend has no float64")
            raise InputTypeError(f"expected a torch model or a numpy function for float64; got {name}: {why}")
        self._wide = WIDE[name](self.model)
        self.model = self._wide.model

    def _run(self, x: Any, baselines: Any, target: Any, options: Options, record: bool) -> Outcome:
        self._widen(x)
        wide = self._wide
        given = options.forward_kwargs
        changed = replace(
            options,
            layer=wide.layer(options.layer),
            prefix=wide.layer(options.prefix),
            forward_kwargs=None if given is None else {name: self._widened(value) for name, value in given.items()},
        )
        return super()._run(self._widened(x), self._widened(baselines), target, changed, record)

    def _widened(self, x: Any) -> Any:
        """Return x with floating leaves in float64; names, numbers and functions as they are."""
        if isinstance(x, several):
            return several(self._widened(x.items))
        if isinstance(x, static):
            return static(self._widened(x.value))
        if tree.is_frame(x):
            narrow = [name for name, dtype in x.dtypes.items() if getattr(dtype, "kind", "") == "f"]
            return x.astype(dict.fromkeys(narrow, np.float64))
        if isinstance(x, np.ndarray):
            return x.astype(np.float64) if x.dtype.kind == "f" else x
        if isinstance(x, Mapping):
            return {name: self._widened(value) for name, value in x.items()}
        if type(x) in (list, tuple):
            return type(x)(self._widened(value) for value in x)
        return self._wide.leaf(x)
