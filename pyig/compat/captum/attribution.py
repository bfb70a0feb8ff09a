"""What Captum's classes have in common: names, flags, and the convergence delta."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from pyig import tree
from pyig.backends.torch import TorchBackend
from pyig.compat.captum.arguments import Call, by_rows, check_layer, grad_options, read_call
from pyig.compat.captum.errors import CaptumInputError, entry
from pyig.compat.captum.pointwise import gradients_at
from pyig.errors import InputError, InputTypeError
from pyig.explainer.values import values
from pyig.integrate.inputs import read_baselines, read_inputs

_IDLE = np.random.default_rng(0)


class Attribution:
    """A method that attributes a model's output.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it: any callable of tensors.
    """

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        if not callable(forward_func):
            got = f"{type(forward_func).__module__}.{type(forward_func).__qualname__}"
            raise InputTypeError(f"expected forward_func as a model or function that can be called; got {got}")
        self.forward_func = forward_func

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether attributions have the factor (x - x')."""
        return False

    def has_convergence_delta(self) -> bool:
        """Tell whether ``return_convergence_delta`` is known."""
        return False

    def attribute_future(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: as in Captum, there is no asynchronous form."""
        raise NotImplementedError(f"attribute_future is not implemented for {type(self).__name__}; call attribute")

    @classmethod
    def get_name(cls) -> str:
        """Return the name of the class in words.

        Examples
        --------
        >>> Attribution.get_name()
        'Attribution'
        """
        return re.sub(r"(?<!^)(?=[A-Z])", " ", cls.__name__)


class GradientAttribution(Attribution):
    """A method that attributes by gradients."""

    output: str | int | None = None
    _quirks: str | None = None

    @property
    def gradient_func(self) -> Callable[..., tuple[Any, ...]]:
        """The gradient of the model's output, as a function like Captum's; it cannot be replaced."""
        return _gradient

    @gradient_func.setter
    def gradient_func(self, other: Any) -> None:
        raise CaptumInputError(
            f"expected no gradient_func but the engine's own; got {type(other).__qualname__}. Say what is to be "
            "differentiated in forward_func instead"
        )

    @entry
    def compute_convergence_delta(
        self,
        attributions: Any,
        start_point: Any,
        end_point: Any,
        target: Any = None,
        additional_forward_args: Any = None,
    ) -> torch.Tensor:
        """Return ``sum(attributions) - (F(end_point) - F(start_point))`` per sample, summed in float64.

        With ``quirks="captum"`` sums are in the dtype of the attributions.

        Parameters
        ----------
        attributions : tensor, or sequence of them
            With one row per sample.
        start_point, end_point : tensor or tuple of tensor
            Baseline and input; a number or None stands for a baseline filled with it.
        target, additional_forward_args
            As for `attribute`.

        Returns
        -------
        tensor (N,)
            In the dtype of the attributions.
        """
        floating = not isinstance(self, LayerAttribution)  # a layer is often there to look ids up
        call = read_call(
            self.forward_func, end_point, start_point, target, additional_forward_args, self.output, floating
        )
        return completeness_gap(call, attributions, old=self._quirks is not None)


class LayerAttribution(GradientAttribution):
    """A method that attributes to a layer.

    Parameters
    ----------
    forward_func : callable
        The model, or a function that calls it.
    layer : torch.nn.Module
        The layer; it is called once in a forward.
    device_ids : list of int, optional
        Taken for Captum's sake: nothing is gathered from several devices.
    """

    _several = False

    def __init__(self, forward_func: Callable[..., Any], layer: Any, device_ids: list[int] | None = None) -> None:
        super().__init__(forward_func)
        self.layer = check_layer(layer, self._several)
        self.device_ids = device_ids

    @staticmethod
    def interpolate(
        layer_attribution: torch.Tensor, interpolate_dims: int | tuple[int, ...], interpolate_mode: str = "nearest"
    ) -> torch.Tensor:
        """Bring attributions of a layer to the size of a picture.

        Parameters
        ----------
        layer_attribution : tensor (N, C, ...)
            With one, two or three axes of space.
        interpolate_dims : int or tuple of int
            The size of each of them.
        interpolate_mode : str
            As for `torch.nn.functional.interpolate`.
        """
        return torch.nn.functional.interpolate(layer_attribution, interpolate_dims, mode=interpolate_mode)


def _gradient(
    forward_fn: Callable[..., Any],
    inputs: Any,
    target_ind: Any = None,
    additional_forward_args: Any = None,
    grad_kwargs: dict[str, Any] | None = None,
) -> tuple[Any, ...]:
    call = read_call(forward_fn, inputs, None, target_ind, additional_forward_args, None)
    found = gradients_at(call, grad_options(grad_kwargs)[0])
    return found if isinstance(found, tuple) else (found,)


def completeness_gap(call: Call, attributions: Any, old: bool = False) -> torch.Tensor:
    """Return ``sum(attributions) - (F(x) - F(x'))`` per row of a call, in the dtype of the attributions.

    `old` also sums in that dtype, and evaluates F of all rows at once, as Captum does.
    """
    parts = [part.detach() for part in _tensors(attributions)]

    def change(call: Call) -> Any:
        backend = TorchBackend(call.model)
        inputs = read_inputs(backend, call.x, call.kwargs, finite=False)
        starts = read_baselines(inputs, call.baselines, _IDLE, range(len(inputs.leaves)))
        known = {"target": call.target, "output": call.output, "forward_kwargs": call.kwargs}
        if old:
            known["batch_size"] = call.samples

        def at(start: list[torch.Tensor]) -> Any:
            # A baseline that serves every sample is evaluated once, if nothing else tells the rows apart.
            alone = not old and not call.kwargs and all(len(leaf) == 1 for leaf in start) and not _one_each(call.target)
            rows = 1 if alone else call.samples
            wide = [leaf.expand(rows, *leaf.shape[1:]) if len(leaf) == 1 else leaf for leaf in start]
            return values(call.model, tree.unflatten(inputs.spec, wide), **known)

        return values(call.model, call.x, **known) - np.mean([at(start) for start in starts], axis=0)

    found = torch.from_numpy(by_rows(call, change, lambda whole: whole))
    rows = len(found)
    wide = None if old else torch.float64
    sums = [part.reshape(len(part), -1).sum(1, dtype=wide).cpu() for part in parts]
    if any(len(each) != len(sums[0]) for each in sums) or (rows > 1 and len(sums[0]) != rows):
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise InputError(f"expected attributions with one row for each of the {rows} samples; got {shapes}")
    total = sum(sums[1:], sums[0])
    total = total if len(total) == rows else total.sum()[None]
    return (total - found.to(total.dtype)).to(parts[0].dtype).to(parts[0].device)


def _one_each(target: Any) -> bool:
    return isinstance(target, (np.ndarray, list))


def _tensors(attributions: Any) -> list[torch.Tensor]:
    """Return the tensors of a nesting of lists and tuples."""
    if isinstance(attributions, (list, tuple)):
        return [tensor for part in attributions for tensor in _tensors(part)]
    if isinstance(attributions, np.ndarray):
        return [torch.from_numpy(attributions)]
    if not isinstance(attributions, torch.Tensor):
        raise InputTypeError(f"expected attributions as tensors; got {type(attributions).__qualname__}")
    return [attributions]
