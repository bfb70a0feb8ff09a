"""Captum's LayerIntegratedGradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyig.compat.captum.arguments import grad_options, read_call
from pyig.compat.captum.attribution import LayerAttribution
from pyig.compat.captum.errors import entry, translated
from pyig.compat.captum.integrals import Integrator, alone
from pyig.compat.captum.integrated_gradients import IntegratedGradients
from pyig.compat.captum.quirks import check_quirks


class LayerIntegratedGradients(LayerAttribution):
    """Integrated Gradients at a layer: the path is straight between the layer's values at the baseline and at x.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it.
    layer : torch.nn.Module, or list of them
        Layers that are called once in a forward. The values of several move together.
    device_ids : list of int, optional
        Taken for Captum's sake.
    multiply_by_inputs : bool, default True
        Whether attributions have the factor (y - y').
    quirks, output
        As for `IntegratedGradients`.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> LayerIntegratedGradients(net, net[0]).attribute(torch.tensor([[1, 5, 2]]), target=1).shape
    torch.Size([1, 3, 4])
    """

    _several = True

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
        multiply_by_inputs: bool = True,
        *,
        quirks: str | None = None,
        output: str | int | None = None,
    ) -> None:
        with translated():
            super().__init__(forward_func, layer, device_ids)
            self.output = output
            self._multiply_by_inputs = bool(multiply_by_inputs)
            self._quirks = check_quirks(quirks)
            self._integrate = Integrator(self._multiply_by_inputs, self._quirks)

    @entry
    def attribute(
        self,
        inputs: Any,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int | str = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        allow_unused: bool = False,
        rtol: float = 0.01,
    ) -> Any:
        """Attribute the model's output to the values of the layer.

        What comes before the layer runs once per sample, not once per step.

        Parameters
        ----------
        inputs, baselines, target, additional_forward_args, n_steps, method, internal_batch_size, allow_unused, rtol
            As for `IntegratedGradients.attribute`; token ids stay whole numbers.
        return_convergence_delta : bool
            Also return `compute_convergence_delta`, with F of the whole model at the inputs and at their baselines.
        attribute_to_layer_input : bool
            Attribute to what the layer is given, also by keyword, instead of what it gives.
        grad_kwargs : dict, optional
            ``allow_unused`` and ``materialize_grads`` stand for `allow_unused`; there is no ``create_graph``.

        Returns
        -------
        tensor, tuple of tensor, or list of these
            A tuple where the layer gives several tensors; a list, in the order of the layers, for a list of layers.
            With the delta: a pair, the second (N,).
        """
        call = read_call(
            self.forward_func, inputs, baselines, target, additional_forward_args, self.output, floating=False
        )
        unused, graph = grad_options(grad_kwargs)
        found = self._integrate(
            call,
            n_steps,
            method,
            internal_batch_size,
            create_graph=graph,
            allow_unused=allow_unused or unused,
            rtol=rtol,
            layer=self.layer,
            to_inputs=attribute_to_layer_input,
        )
        found = [alone(part) for part in found] if isinstance(found, list) else alone(found)
        if not return_convergence_delta:
            return found
        return found, self.compute_convergence_delta(found, baselines, inputs, target, additional_forward_args)

    @property
    def ig(self) -> IntegratedGradients:
        """The method for the inputs of the same model, where Captum keeps one."""
        return IntegratedGradients(self.forward_func, self._multiply_by_inputs, quirks=self._quirks, output=self.output)

    def has_convergence_delta(self) -> bool:
        """Tell that there is a delta."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions have the factor (y - y')."""
        return self._multiply_by_inputs
