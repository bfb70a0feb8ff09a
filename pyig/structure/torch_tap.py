"""A layer inside a run of the whole model: its values, and gradients that begin there.

A cut runs the model behind a layer for values that lie on a line between two of the layer's. Here the input moves, and
the layer's values follow as they do: what is asked for is dF/dy at the y that the model has on its way.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from pyig import tree
from pyig.contracts import Backend, Forward, Head
from pyig.errors import InputTypeError, ModelError
from pyig.structure.torch import find_layers
from pyig.structure.torch_patching import Reached, pack, patched, swapped, tensors_of, twice, unpack

Tensors = list[torch.Tensor]
_NO_FORWARD_MODE = ("forward AD", "forward mode AD")  # what torch says where an operation has none


class TorchTap:
    """One layer of a model, as `pyig.explainer.gradients` uses it.

    Attributes
    ----------
    spec : Spec
        Structure of the layer's values, known once it has been reached.
    """

    def __init__(self, backend: Backend, model: Any, layer: Any, to_inputs: bool) -> None:
        roots, (self._layer,) = find_layers(backend, model, [layer])
        self._lock = next((root for root in roots if self._layer in set(root.modules())), self._layer)
        self._backend, self._to_inputs = backend, to_inputs
        self.spec = tree.LEAF

    def values(self, forward: Forward, points: Sequence[torch.Tensor], fixed: Sequence[torch.Tensor]) -> Tensors:
        """Run up to the layer without a graph and return its values."""
        found: Tensors = []

        def stop(values: Tensors) -> Tensors:
            found.extend(values)
            raise Reached

        with torch.no_grad(), self._tapped(stop):
            try:
                forward([point.clone() for point in points], fixed)
            except Reached:
                return found
        raise _missed(self._layer)

    def values_and_grads(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor],
        head: Head,
        index: Sequence[torch.Tensor],
    ) -> tuple[Tensors, list[torch.Tensor | None]]:
        """Return the layer's values y and dF/dy; the graph begins at the layer."""
        leaves: Tensors = []

        def begin(values: Tensors) -> Tensors:
            leaves.extend(value.detach().requires_grad_() if value.is_floating_point() else value for value in values)
            # Clones are no leaves, so what follows may work in place on them.
            return [leaf.clone() for leaf in leaves]

        with self._tapped(begin), torch.enable_grad():
            outputs = forward([point.clone() for point in points], fixed)
        if not leaves:
            raise _missed(self._layer)
        moving = [leaf for leaf in leaves if leaf.requires_grad]
        if not moving:
            found = ", ".join(str(leaf.dtype) for leaf in leaves)
            raise InputTypeError(f"expected a layer with floating values; got {found}. Choose a later layer")
        if not outputs.requires_grad:
            return leaves, [None] * len(leaves)
        _, cotangent = head(self._backend, outputs.detach(), index)
        grads = iter(torch.autograd.grad(outputs, moving, grad_outputs=cotangent, allow_unused=True))
        return leaves, [next(grads) if leaf.requires_grad else None for leaf in leaves]

    def tangents(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        directions: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor],
    ) -> list[torch.Tensor | None]:
        """Return the derivative of the layer's values along a direction of the input; None where there is none."""
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have neither forward mode nor a second VJP
            try:
                return self._forward_mode(forward, points, directions, fixed)
            except (NotImplementedError, RuntimeError) as error:
                if not any(sign in str(error) for sign in _NO_FORWARD_MODE):
                    raise
                return self._twice_backward(forward, points, directions, fixed)

    def _forward_mode(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        directions: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor],
    ) -> list[torch.Tensor | None]:
        _load_forward_mode()
        found: list[torch.Tensor | None] = []

        def stop(values: Tensors) -> Tensors:
            found.extend(forward_ad.unpack_dual(value).tangent for value in values)  # type: ignore[no-untyped-call]
            raise Reached

        with torch.no_grad(), forward_ad.dual_level(), self._tapped(stop):
            # Of clones: a model that works in place on its input writes into the tangent as well.
            pairs = zip(points, directions, strict=True)
            duals = [forward_ad.make_dual(a.clone(), b.clone()) for a, b in pairs]  # type: ignore[no-untyped-call]
            try:
                forward(duals, fixed)
            except Reached:
                return [None if tangent is None else tangent.clone() for tangent in found]
        raise _missed(self._layer)

    def _twice_backward(
        self,
        forward: Forward,
        points: Sequence[torch.Tensor],
        directions: Sequence[torch.Tensor],
        fixed: Sequence[torch.Tensor],
    ) -> list[torch.Tensor | None]:
        """Return the same by two VJPs, for operations without forward-mode: J v is the gradient of u -> (J^T u) v."""
        values: Tensors = []

        def stop(found: Tensors) -> Tensors:
            values.extend(found)
            raise Reached

        with torch.enable_grad():
            leaves = [point.detach().clone().requires_grad_() for point in points]
            with self._tapped(stop):
                try:
                    forward([leaf.clone() for leaf in leaves], fixed)
                except Reached:
                    pass
                else:
                    raise _missed(self._layer)
            return [self._pushed(value, leaves, directions) if value.requires_grad else None for value in values]

    @staticmethod
    def _pushed(value: torch.Tensor, leaves: Tensors, directions: Sequence[torch.Tensor]) -> torch.Tensor:
        probe = torch.zeros_like(value, requires_grad=True)
        pulled = torch.autograd.grad(value, leaves, probe, create_graph=True, allow_unused=True)
        parts = [(grad * way).sum() for grad, way in zip(pulled, directions, strict=True) if grad is not None]
        return torch.autograd.grad(torch.stack(parts).sum(), probe)[0]

    @contextmanager
    def _tapped(self, act: Callable[[Tensors], Tensors]) -> Iterator[None]:
        """Hand the layer's values to a function, and go on with what it returns."""
        forward, calls = self._layer.forward, 0

        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise ModelError(twice(self._layer))
            if self._to_inputs:
                tensors = tensors_of(args, kwargs)
                self.spec = _spec(len(tensors))
                positional, named = swapped(args, kwargs, act(tensors))
                return forward(*positional, **named)
            leaves, spec = unpack(forward(*args, **kwargs))
            tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
            self.spec = spec if len(tensors) == len(leaves) else _spec(len(tensors))
            fresh = iter(act(tensors))
            return pack(spec, [next(fresh) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves])

        with patched(self._lock, {self._layer: run}):
            yield


@functools.cache
def _load_forward_mode() -> None:
    """Have torch load what it needs the first time; it warns of a compiler of its own that is out of date."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore")
        forward_ad.make_dual(torch.zeros(1), torch.zeros(1))  # type: ignore[no-untyped-call]


def _missed(layer: torch.nn.Module) -> ModelError:
    return ModelError(f"expected the layer {type(layer).__qualname__} to be called by the model; it was not")


def _spec(count: int) -> tree.Spec:
    return tree.LEAF if count == 1 else tree.Spec("tuple", children=(tree.LEAF,) * count)


class UpTo:
    """A model that ends at one of its layers, differentiable: its answer is what the layer gives, or is given.

    Parameters
    ----------
    model : callable
        The whole model.
    layer : torch.nn.Module
        A layer that it calls once.
    to_inputs : bool
        Whether the answer is the layer's input.
    then : callable, optional
        Applied to the answer.
    root : torch.nn.Module, optional
        The module that the layer is part of: runs up to its layers take turns.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> UpTo(net, net[1])(torch.ones(5, 3)).shape
    torch.Size([5, 4])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        layer: torch.nn.Module,
        to_inputs: bool = False,
        then: Callable[[Any], Any] | None = None,
        root: torch.nn.Module | None = None,
    ) -> None:
        self.model, self.layer, self._to_inputs, self._then = model, layer, to_inputs, then
        self._lock = layer if root is None else root

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model up to the layer."""
        found: list[Any] = []
        forward = self.layer.forward

        def stop(*inside: Any, **named: Any) -> Any:
            if self._to_inputs:
                tensors = tensors_of(inside, named)
                found.append(tensors[0] if len(tensors) == 1 else tuple(tensors))
            else:
                found.append(forward(*inside, **named))
            raise Reached

        with patched(self._lock, {self.layer: stop}):
            try:
                self.model(*args, **kwargs)
            except Reached:
                return found[0] if self._then is None else self._then(found[0])
        raise _missed(self.layer)
