"""Captum's InternalInfluence and LayerConductance: the input moves on a line, and a layer follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pyig.compat.captum.arguments import batch_size_of, grad_options, read_call
from pyig.compat.captum.attribution import LayerAttribution
from pyig.compat.captum.errors import entry, translated
from pyig.compat.captum.integrals import alone
from pyig.compat.captum.quirks import check_quirks, rule_of
from pyig.errors import InputError
from pyig.explainer.gradients import Gradients
from pyig.quadrature import Rule


class _LayerPath(LayerAttribution):
    """What both classes are told."""

    def __init__(
        self,
        forward_func: Callable[..., Any],
        layer: Any,
        device_ids: list[int] | None = None,
        *,
        quirks: str | None = None,
        output: str | int | None = None,
    ) -> None:
        with translated():
            super().__init__(forward_func, layer, device_ids)
            self.output = output
            self._quirks = check_quirks(quirks)

    def _sum(
        self,
        given: tuple[Any, Any, Any, Any],
        rule: Rule,
        follow: Any,
        internal_batch_size: Any,
        to_inputs: bool,
        grad_kwargs: Any,
        allow_unused: bool,
    ) -> Any:
        inputs, baselines, target, additional = given
        unused, graph = grad_options(grad_kwargs)
        if graph:
            raise InputError("expected no create_graph in grad_kwargs=: attributions of a layer come back detached")
        call = read_call(self.forward_func, inputs, baselines, target, additional, self.output)
        call.refuse_mixed_rows("attributions of a layer")
        found = Gradients(call.model, output=call.output).sum(
            call.x,
            call.baselines,
            call.target,
            rule=rule,
            follow=follow,
            layer=self.layer,
            attribute_to_layer_inputs=to_inputs,
            forward_kwargs=call.kwargs or None,
            batch_size=batch_size_of(internal_batch_size),
            allow_unused=allow_unused or unused,
            widen=True,
        )
        return alone(found)


class InternalInfluence(_LayerPath):
    """The mean gradient with respect to a layer, over the path of the inputs (Leino et al. 2018, arXiv:1802.03788).

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it.
    layer : torch.nn.Module
        A layer that is called once in a forward.
    device_ids : list of int, optional
        Taken for Captum's sake.
    quirks, output
        As for `IntegratedGradients`.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> found = InternalInfluence(net, net[1]).attribute(torch.ones(5, 3), target=1)
    >>> torch.allclose(found, net[2].weight[1].expand(5, 4))
    True
    """

    @entry
    def attribute(
        self,
        inputs: Any,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        allow_unused: bool = False,
    ) -> Any:
        """Return the mean of dF/dy over the path.

        Parameters
        ----------
        inputs, baselines, target, additional_forward_args, internal_batch_size, attribute_to_layer_input, \
grad_kwargs, allow_unused
            As for `LayerIntegratedGradients.attribute`.
        n_steps, method
            As for `IntegratedGradients.attribute`; a number.

        Returns
        -------
        tensor or tuple of tensor
            Like the layer's values.
        """
        given = (inputs, baselines, target, additional_forward_args)
        rule = rule_of(method, _number(n_steps), self._quirks)
        return self._sum(given, rule, None, internal_batch_size, attribute_to_layer_input, grad_kwargs, allow_unused)


class LayerConductance(_LayerPath):
    """What flows through each value of a layer (Dhamdhere, Sundararajan, Yan 2018, arXiv:1805.12233).

    The conductance of y_j is the integral of ``dF/dy_j dy_j/d(alpha)`` over the path of the inputs. Here both factors
    are derivatives, at the nodes of the rule; Captum takes steps of y between nodes, times the gradient at the left
    one, which is of first order and leaves out the ends of a Gauss-Legendre path. ``quirks="captum"`` does the same.

    Parameters
    ----------
    forward_func, layer, device_ids, quirks, output
        As for `InternalInfluence`.

    Examples
    --------
    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> x = torch.ones(5, 3)
    >>> found = LayerConductance(net, net[1]).attribute(x, target=1)
    >>> torch.allclose(found.sum(1), (net(x) - net(0 * x))[:, 1], atol=1e-6)
    True
    """

    @entry
    def attribute(
        self,
        inputs: Any,
        baselines: Any = None,
        target: Any = None,
        additional_forward_args: Any = None,
        n_steps: int = 50,
        method: str = "gausslegendre",
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        attribute_to_layer_input: bool = False,
        grad_kwargs: dict[str, Any] | None = None,
        *,
        allow_unused: bool = False,
    ) -> Any:
        """Return the conductance of every value of the layer.

        Parameters
        ----------
        inputs, baselines, target, additional_forward_args, internal_batch_size, attribute_to_layer_input, \
grad_kwargs, allow_unused
            As for `LayerIntegratedGradients.attribute`.
        n_steps, method
            As for `IntegratedGradients.attribute`; a number.
        return_convergence_delta : bool
            Also return `compute_convergence_delta` of the result.

        Returns
        -------
        tensor or tuple of tensor
            Like the layer's values. With the delta: a pair, the second (N,).
        """
        given = (inputs, baselines, target, additional_forward_args)
        steps = _number(n_steps)
        follow: Any = "tangent"
        if self._quirks is None:
            rule = rule_of(method, steps, None)
        else:
            every = rule_of(method, steps + 1, self._quirks).nodes
            rule = Rule(method, every[:-1], np.ones(steps), np.full(steps, np.nan), 0)
            follow = every[1:]
        found = self._sum(given, rule, follow, internal_batch_size, attribute_to_layer_input, grad_kwargs, allow_unused)
        if not return_convergence_delta:
            return found
        return found, self.compute_convergence_delta(found, baselines, inputs, target, additional_forward_args)

    def has_convergence_delta(self) -> bool:
        """Tell that there is a delta."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """True."""
        return True


def _number(n_steps: Any) -> Any:
    if isinstance(n_steps, str):
        raise InputError(f"expected n_steps= as a number here; got {n_steps!r}")
    return n_steps
