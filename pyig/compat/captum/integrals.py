"""The one call to the engine that every integral of this face makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pyig.backends.torch_differentiable import integral
from pyig.compat.captum.arguments import Call, Whole, batch_size_of, by_rows, first_row, picked
from pyig.compat.captum.old_sums import old_sum
from pyig.compat.captum.quirks import rule_of
from pyig.errors import InputError
from pyig.explainer import IntegratedGradients as Engine
from pyig.quadrature import Rule

Engines = Callable[[Any, Any], Engine]


class Integrator:
    """What a class of this face was told once: quirks, and whether to multiply by (x - x')."""

    def __init__(self, multiply: bool, quirks: str | None) -> None:
        self.multiply, self.quirks = multiply, quirks
        self._engine: tuple[Any, Any, Engine] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was learnt of the model: a copy finds it out for itself."""
        return self.__dict__ | {"_engine": None}

    def __call__(
        self,
        call: Call,
        n_steps: Any,
        method: Any,
        internal_batch_size: Any,
        *,
        create_graph: bool = False,
        allow_unused: bool = False,
        rtol: float = 0.01,
        layer: Any = None,
        to_inputs: bool = False,
    ) -> Any:
        """Return the attributions of a call: tensors in the structure of its inputs or of the layer, detached.

        Parameters
        ----------
        n_steps : int or "auto"
            ``"auto"``: as many as `rtol` takes.
        create_graph : bool
            Return attributions that can be differentiated.
        """
        adaptive = isinstance(n_steps, str) and n_steps == "auto"
        rule = "auto" if adaptive else rule_of(method, n_steps, self.quirks)
        batch_size = batch_size_of(internal_batch_size)
        if create_graph:
            return self._connected(call, rule, allow_unused, layer)
        where: dict[str, Any] = {} if layer is None else {"layer": layer, "attribute_to_layer_inputs": to_inputs}

        def run(call: Call) -> Any:
            size = 1 if isinstance(call.model, Whole) else batch_size
            if self.quirks is not None and isinstance(rule, Rule):
                most = size if isinstance(size, int) else None
                return old_sum(call, rule, most, self.multiply, allow_unused, layer, to_inputs)
            return self._explainer(call).attribute(
                call.x,
                call.baselines,
                call.target,
                method=rule,
                rtol=rtol,
                forward_kwargs=call.kwargs or None,
                multiply_by_inputs=self.multiply,
                batch_size=size,
                allow_unused=allow_unused,
                nan_policy="mark",
                progress=False,
                widen=True,
                **where,
            )

        if layer is None:
            return by_rows(call, run, first_row)
        call.refuse_mixed_rows("attributions of a layer")
        return run(call)

    def _explainer(self, call: Call) -> Engine:
        """Return the explainer of a model, with what it has learnt of it in earlier calls."""
        known = self._engine
        if known is None or known[0] is not call.model or known[1] != call.output:
            known = self._engine = (call.model, call.output, Engine(call.model, output=call.output))
        return known[2]

    def _connected(self, call: Call, rule: str | Rule, allow_unused: bool, layer: Any) -> Any:
        if not isinstance(rule, Rule):
            raise InputError('expected a number as n_steps= with create_graph=True; got "auto"')
        if layer is not None:
            raise InputError(
                "expected create_graph=True for attributions to inputs only; a layer's come back detached. Explain "
                "the part of the model behind the layer, with the layer's values as its input"
            )
        stop, start = call.leaves, _starts(call)

        def function(*leaves: torch.Tensor) -> torch.Tensor:
            return picked(call.outputs(leaves), call.target)

        found = integral(function, stop, start, rule.nodes, rule.weights, self.multiply, allow_unused)
        return type(call.x)(found) if isinstance(call.x, (tuple, list)) else found[0]


def _starts(call: Call) -> list[torch.Tensor]:
    """Return a baseline that is connected to where it came from."""
    given = call.baselines
    several = given if isinstance(given, (tuple, list)) else [given] * len(call.leaves)
    out = []
    for item, leaf in zip(several, call.leaves, strict=True):
        if isinstance(item, torch.Tensor):
            out.append(item.to(leaf.dtype).expand_as(leaf))
        else:
            out.append(torch.full_like(leaf, 0.0 if item is None else item, requires_grad=False))
    return out


def alone(found: Any) -> Any:
    """Return a one-tuple of tensors as the tensor, as Captum does for layers."""
    return found[0] if isinstance(found, tuple) and len(found) == 1 else found
