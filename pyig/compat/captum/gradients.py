"""Captum's Saliency and InputXGradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from pyig.compat.captum.arguments import read_call
from pyig.compat.captum.attribution import GradientAttribution
from pyig.compat.captum.errors import entry, translated
from pyig.compat.captum.pointwise import gradients_at


class Saliency(GradientAttribution):
    """The gradient at the input, or its size.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it.
    output : str or int, optional
        Which tensor to explain, where the model returns several.

    Examples
    --------
    >>> Saliency(lambda x: -(x**2).sum(1)).attribute(torch.tensor([[1.0, 3.0]]))
    tensor([[2., 6.]])
    """

    def __init__(self, forward_func: Callable[..., Any], *, output: str | int | None = None) -> None:
        with translated():
            super().__init__(forward_func)
            self.output = output

    @entry
    def attribute(
        self,
        inputs: Any,
        target: Any = None,
        abs: bool = True,
        additional_forward_args: Any = None,
        *,
        allow_unused: bool = False,
    ) -> Any:
        """Return dF/dx, or its absolute value.

        Parameters
        ----------
        inputs, target, additional_forward_args, allow_unused
            As for `IntegratedGradients.attribute`.
        abs : bool
            Whether to drop the sign.

        Returns
        -------
        tensor or tuple of tensor
            Like the inputs, detached.
        """
        call = read_call(self.forward_func, inputs, None, target, additional_forward_args, self.output)
        grads = gradients_at(call, allow_unused)
        return _each(torch.abs, grads) if abs else grads


class InputXGradient(GradientAttribution):
    """The gradient at the input times the input.

    Parameters
    ----------
    forward_func, output
        As for `Saliency`.

    Examples
    --------
    >>> InputXGradient(lambda x: (x**2).sum(1)).attribute(torch.tensor([[1.0, 3.0]]))
    tensor([[ 2., 18.]])
    """

    def __init__(self, forward_func: Callable[..., Any], *, output: str | int | None = None) -> None:
        with translated():
            super().__init__(forward_func)
            self.output = output

    @entry
    def attribute(
        self, inputs: Any, target: Any = None, additional_forward_args: Any = None, *, allow_unused: bool = False
    ) -> Any:
        """Return x dF/dx.

        Parameters
        ----------
        inputs, target, additional_forward_args, allow_unused
            As for `IntegratedGradients.attribute`.

        Returns
        -------
        tensor or tuple of tensor
            Like the inputs, detached.
        """
        call = read_call(self.forward_func, inputs, None, target, additional_forward_args, self.output)
        return _each(torch.mul, gradients_at(call, allow_unused), _each(torch.Tensor.detach, call.x))

    @property
    def multiplies_by_inputs(self) -> bool:
        """True."""
        return True


def _each(function: Callable[..., torch.Tensor], first: Any, *others: Any) -> Any:
    """Apply a function to a tensor, or to tensor by tensor of a tuple."""
    if isinstance(first, (tuple, list)):
        return type(first)(function(*leaves) for leaves in zip(first, *others, strict=True))
    return function(first, *others)
