"""A torch model in float64: a copy, so that the user's own keeps its weights and their dtype."""

from __future__ import annotations

import copy
from typing import Any

import torch

from pyig.errors import InputError, InputTypeError, ModelError
from pyig.held import modules_of

HOW = "Pass a model that you have copied and cast yourself (copy.deepcopy(net).double()), with x.double()"


class TorchWide:
    """Copies a module, or a method of one; a function of tensors is taken as it is, unless it holds a module."""

    def __init__(self, model: Any) -> None:
        owner = getattr(model, "__self__", None)
        module = next((m for m in (model, owner) if isinstance(m, torch.nn.Module)), None)
        self._names: dict[int, str] = {}
        self._copy: Any = None
        if module is None:
            if modules_of(model):
                raise InputTypeError(
                    "expected a torch module for float64; got a function that calls one, which would stay in float32. "
                    f"Pass the module itself. {HOW}"
                )
            self.model = model
            return
        try:
            self._copy = copy.deepcopy(module).double()
        except Exception as error:
            raise ModelError(f"cannot copy {type(module).__qualname__} for float64: {error}. {HOW}") from error
        self._names = {id(part): name for name, part in module.named_modules()}
        self.model = self._copy if module is model else getattr(self._copy, model.__name__)

    def leaf(self, value: Any) -> Any:
        """Widen a floating tensor; anything else stays."""
        return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    def layer(self, layer: Any) -> Any:
        """Return the copy's layer for one of the model; a name stays a name, and a layer of the copy itself."""
        if not isinstance(layer, torch.nn.Module) or (
            self._copy is not None and any(part is layer for part in self._copy.modules())
        ):
            return layer
        if id(layer) not in self._names:
            raise InputError(f"expected layer= to be a part of the model; got another {type(layer).__qualname__}")
        return self._copy.get_submodule(self._names[id(layer)])
