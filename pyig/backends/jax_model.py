"""What can be asked of a model that JAX runs: its arrays, dtype and device, and how it wants to be called."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from pyig.backends.arguments import ends_in_probabilities, made_by, spread

_LIBRARIES = {"jax", "jaxlib", "equinox", "flax", "haiku", "penzai"}


class Model:
    """A function of JAX arrays, an Equinox or Flax module, a bound ``apply``, or a Keras 3 model on JAX."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._keras = _is_keras(model)
        self._owner = getattr(model, "__self__", model)
        self._signature = _signature(model.call if self._keras else model)

    def __call__(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call in inference mode; what a Keras model writes to its variables meanwhile is dropped."""
        args, keywords = spread(self._signature, self._keras, x, kwargs)
        if not _is_keras(self._owner):
            return self._model(*args, **keywords)
        with sys.modules["keras"].StatelessScope(state_mapping=[(v, v.value) for v in self._owner.variables]):
            return self._model(*args, **keywords)

    @property
    def unbuilt(self) -> bool:
        """Whether this is a Keras model that makes its variables on its first call."""
        return _is_keras(self._owner) and not self._owner.built

    def settled(self) -> list[Any] | None:
        """Return everything that a trace depends on besides the values of `variables`; None where that is not known.

        A jitted function holds what it saw, and a frozen module cannot change. Keras' own layers depend on their
        attributes alone.
        """
        wrapped = list(_chain(self._model))
        if any(type(thing).__name__ == "PjitFunction" for thing in wrapped):
            return []
        if _is_keras(self._model):
            return _attributes(self._model)
        return [] if any("equinox" in made_by(thing) for thing in wrapped[-1:]) else None

    def variables(self) -> list[Any]:
        """Return the variables of a Keras model, whose values a program takes anew every time."""
        return list(self._owner.variables) if _is_keras(self._owner) else []

    def dtype(self) -> Any:
        """Return the first floating dtype among the declared inputs and the arrays that the model holds."""
        declared = getattr(self._owner, "inputs", None) or () if _is_keras(self._owner) else ()
        for known in (*declared, *self._arrays()):
            dtype = jnp.dtype(known.dtype)
            if jnp.issubdtype(dtype, jnp.floating):
                return dtype
        return None

    def device(self) -> Any:
        """Return the one device of the model's arrays; None where they have none or several, and JAX's own serves."""
        devices = {device for array in self._arrays() for device in array.devices()}
        return devices.pop() if len(devices) == 1 else None

    def gives_probabilities(self) -> bool | None:
        """Look at the activation of the last layer of a Keras model."""
        return ends_in_probabilities(self._model) if self._keras else None

    def _arrays(self) -> Iterator[Any]:
        if _is_keras(self._owner):
            yield from (variable.value for variable in self._owner.variables)
            return
        for thing in _chain(self._model):
            yield from _held(thing)


def made_by_jax(model: Any) -> bool:
    """Tell whether JAX, or a library of modules for it, made a model or what it wraps."""
    if _is_keras(model) or _is_keras(getattr(model, "__self__", None)):
        return True
    return any(
        made_by(thing) & _LIBRARIES
        or _module(thing) in _LIBRARIES
        or any(isinstance(leaf, jax.Array) for leaf in _held(thing))
        for thing in _chain(model)
    )


def _chain(model: Any) -> Iterator[Any]:
    """Give a model and what it wraps: a method's owner, a partial's function, what jit and vmap were given."""
    seen: set[int] = set()
    while model is not None and id(model) not in seen:
        seen.add(id(model))
        yield model
        if isinstance(model, partial):
            model = model.func
        else:
            model = getattr(model, "__wrapped__", None) or getattr(model, "__self__", None)


def _held(thing: Any) -> list[Any]:
    kept = (thing.args, thing.keywords) if isinstance(thing, partial) else thing
    return [leaf for leaf in jax.tree.leaves(kept) if isinstance(leaf, jax.Array)]


def _module(function: Any) -> str:
    """Return the package in which a function was defined, whatever name it borrowed from the one that it wraps."""
    return str(getattr(function, "__globals__", {}).get("__name__", "")).partition(".")[0]


def _is_keras(thing: Any) -> bool:
    return any(cls.__module__.startswith("keras.src.backend.jax.") for cls in type(thing).__mro__)


def _attributes(model: Any) -> list[Any] | None:
    """Return the attributes of all layers of a Keras model; None where code that is not Keras' own has a say."""
    found: list[Any] = []
    for layer in (model, *model._flatten_layers(include_self=False)):
        if not type(layer).__module__.startswith("keras.src.") or type(layer).__name__ in ("Lambda", "JaxLayer"):
            return None
        for name, value in vars(layer).items():
            if inspect.isfunction(value) and not str(value.__module__).startswith("keras.src."):
                return None
            found += [name, value]
    return [*found, *model.variables]


def _signature(model: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(model)
    except (TypeError, ValueError):
        return None
