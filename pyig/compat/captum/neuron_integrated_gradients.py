"""Captum's NeuronIntegratedGradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pyig.compat.captum.arguments import check_layer, read_call
from pyig.compat.captum.attribution import GradientAttribution
from pyig.compat.captum.errors import entry, translated
from pyig.compat.captum.integrals import Integrator
from pyig.compat.captum.quirks import check_quirks
from pyig.errors import InputTypeError
from pyig.held import modules_of
from pyig.structure.torch_tap import UpTo
from pyig.targets import Target

Selector = tuple[Callable[[Any], Any] | None, Any]


class NeuronIntegratedGradients(GradientAttribution):
    """Integrated Gradients of one neuron of a layer, at the inputs.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it.
    layer : torch.nn.Module
        The layer of the neuron; it is called once in a forward. What comes behind it is not run.
    device_ids : list of int, optional
        Taken for Captum's sake.
    multiply_by_inputs : bool, default True
        Whether attributions have the factor (x - x').
    quirks : {None, "captum"}
        As for `IntegratedGradients`.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> NeuronIntegratedGradients(net, net[1]).attribute(torch.ones(5, 3), 2).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        *,
        quirks: str | None = None,
    ) -> None:
        with translated():
            super().__init__(forward_func)
            self.layer, self.device_ids = check_layer(layer), device_ids
            self._multiply_by_inputs = bool(multiply_by_inputs)
            self._quirks = check_quirks(quirks)
            self._integrate = Integrator(self._multiply_by_inputs, self._quirks)

    @entry
    def attribute(
        self,
        inputs: Any,
        neuron_selector: Any,
        baselines: Any = None,
        additional_forward_args: Any = None,
        n_steps: int | str = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        attribute_to_neuron_input: bool = False,
        *,
        create_graph: bool = False,
        allow_unused: bool = False,
        rtol: float = 0.01,
    ) -> Any:
        """Attribute a neuron to the inputs.

        Parameters
        ----------
        inputs, baselines, additional_forward_args, n_steps, method, internal_batch_size, create_graph, allow_unused, \
rtol
            As for `IntegratedGradients.attribute`.
        neuron_selector : int, tuple of int and slice, or callable
            Which neuron of the layer's output; with slices the sum of those selected. A function gets what the layer
            gives, one tensor or a tuple, and returns one number per sample.
        attribute_to_neuron_input : bool
            Take the neuron from what the layer is given instead.

        Returns
        -------
        tensor or tuple of tensor
            Like the inputs.
        """
        call = read_call(self.forward_func, inputs, baselines, None, additional_forward_args, None)
        then, target = _selected(neuron_selector)
        root = next((each for each in modules_of(call.model) if self.layer in set(each.modules())), None)
        neuron = UpTo(call.model, self.layer, attribute_to_neuron_input, then, root)
        return self._integrate(
            replace(call, model=neuron, target=target),
            n_steps,
            method,
            internal_batch_size,
            create_graph=create_graph,
            allow_unused=allow_unused,
            rtol=rtol,
        )

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions have the factor (x - x')."""
        return self._multiply_by_inputs


def _selected(selector: Any) -> Selector:
    """Return what to apply to the layer's values, and the target of the result."""
    if callable(selector):
        return selector, Target("single")
    if isinstance(selector, (int, np.integer)) and not isinstance(selector, bool):
        return None, int(selector)
    selector = tuple(selector) if isinstance(selector, list) else selector
    if not isinstance(selector, tuple) or not all(isinstance(part, (int, np.integer, slice)) for part in selector):
        raise InputTypeError(
            "expected neuron_selector as a whole number, a tuple of them and of slices, or a function; "
            f"got {selector!r}"
        )
    if any(isinstance(part, slice) for part in selector):
        return _SumOf(selector), Target("single")
    return None, selector


class _SumOf:
    """The sum over the neurons that some slices select."""

    def __init__(self, selector: tuple[Any, ...]) -> None:
        self._selector = selector

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        chosen = values[(slice(None), *self._selector)]
        return chosen.reshape(len(chosen), -1).sum(1)
