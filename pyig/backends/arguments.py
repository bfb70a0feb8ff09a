"""How inputs are spread over a model's parameters, and what the end of a Keras model says of its outputs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

_PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid", "Softmax")


def made_by(thing: object) -> set[str]:
    """Return the packages whose classes an object is made of; a Keras 3 layer inherits from its backend's framework."""
    return {cls.__module__.partition(".")[0] for cls in type(thing).__mro__}


def spread(
    signature: inspect.Signature | None, keras: bool, x: Any, kwargs: dict[str, Any]
) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the arguments of one call in inference mode.

    A Keras model takes its structure whole; a function takes it the way its signature fits: a dict as keywords, a list
    or tuple as positions, and everything as one argument where that is all it has.
    """
    parameters = {} if signature is None else signature.parameters
    if keras or "training" in parameters:
        kwargs = {"training": False, **kwargs}
    if isinstance(x, dict) and _fits(signature, keras, (), {**x, **kwargs}):
        return (), {**x, **kwargs}
    if isinstance(x, (list, tuple)) and _fits(signature, keras, x, kwargs):
        return x, kwargs
    return (x,), kwargs


def ends_in_probabilities(model: Any) -> bool | None:
    """Look at the activation of the last layer of a Sequential or Functional model; None where it does not show."""
    last = model
    while getattr(last, "layers", None):
        outputs, end = getattr(last, "outputs", None), last.layers[-1]
        if not outputs or len(outputs) != 1 or not _ends_in(end, outputs[0]):
            return None
        last = end
    if last is model:
        return None
    if type(last).__name__ in _PROBABILITIES:
        return True
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    return None if activation is None else activation in _PROBABILITIES


def _fits(signature: inspect.Signature | None, keras: bool, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Tell whether a structure spreads over the parameters; one parameter for everything means it stays whole."""
    if signature is None:
        return True
    if keras:  # takes one structure, unless call() asks for several arguments; takes `training` in any case
        known = signature.parameters
        if sum(p.default is p.empty and p.kind < p.VAR_POSITIONAL for p in known.values()) < 2:
            return False
        kwargs = {name: value for name, value in kwargs.items() if name in known}
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _ends_in(layer: Any, output: Any) -> bool:
    try:
        return layer.output is output
    except (AttributeError, ValueError, RuntimeError):  # a layer that was called several times has no one output
        return False
