"""When the affine prefix of a torch model is looked for, and where the user says that it ends."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from typing import Any

import torch

from pyig.contracts import Backend, Forward
from pyig.errors import InputTypeError
from pyig.structure.affine import LEAST_SHARE, search_pays
from pyig.structure.refusal import DOES_NOT_PAY, NEVER_PAYS, Refusal
from pyig.structure.torch import find_layer
from pyig.structure.torch_prefix import Prefix, explicit_prefix, find_prefix
from pyig.structure.torch_record import record, recorded
from pyig.structure.torch_signature import layers_in

_FEW_LAYERS = 16  # they are soon recorded; of more, the first seldom holds enough of the work to record them all


def hoisting(
    backend: Backend,
    model: Any,
    forward: Forward,
    points: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor],
    evaluations: float,
    explicit: Any = None,
    known: Prefix | None = None,
    kept: MutableMapping[str, Any] | None = None,
) -> Prefix | Refusal:
    """Record the model, find its affine prefix, and compare it with the model; see `pyig.structure.find_prefix`."""
    if explicit is not None and hasattr(model, "compute_output_shape"):
        return Refusal("the layers of a Keras model on torch do not go through torch's own call")
    mark = None if explicit is None else _module(model, explicit)
    if mark is None and not (search_pays(evaluations) if known is None else known.pays(evaluations)):
        return DOES_NOT_PAY
    if known is not None and known.verified(forward, points, starts, fixed):
        return known
    if mark is None and _is_deep(model):
        return Refusal("the model is deep, and its first layer a small part of it")
    if mark is None:
        recording = recorded(kept, model, forward, points, starts, fixed)
    else:
        recording = record(model, forward, points, starts, fixed, mark=mark)
    if isinstance(recording, Refusal):
        return recording
    found = find_prefix(recording) if mark is None else explicit_prefix(recording)
    if isinstance(found, Refusal):
        return found
    if mark is None and not found.pays(evaluations):
        return DOES_NOT_PAY if found.pays(math.inf) else NEVER_PAYS
    return found.verified(forward, points, starts, fixed)


def _module(model: Any, explicit: Any) -> torch.nn.Module:
    if not isinstance(model, torch.nn.Module):
        raise InputTypeError(f"expected a torch.nn.Module for prefix=; got {type(model).__qualname__}")
    return find_layer(model, explicit)


def _is_deep(model: Any) -> bool:
    """Tell whether a model has so many layers that recording it needs a reason, and no large first layer is one."""
    layers = layers_in(model)
    if len(layers) <= _FEW_LAYERS:
        return False
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    return next((size for size in sizes if size), 0) < LEAST_SHARE * sum(sizes)
