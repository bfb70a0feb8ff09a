"""The table of frameworks, and the question whose model this is.

Owner lookup never imports a framework: a model that exists has already brought its framework into `sys.modules`.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Sequence
from typing import Any

from pyig.contracts import Backend
from pyig.errors import InputTypeError
from pyig.registry import Registry

BACKENDS = Registry(
    "backend",
    {
        "torch": "pyig.backends.torch:TorchBackend",
        "tensorflow": "pyig.backends.tensorflow:TensorFlowBackend",
        "jax": "pyig.backends.jax:JaxBackend",
        "callable": "pyig.backends.callable:CallableBackend",
    },
    group="pyig.backends",
)
_BUILT_IN = ("torch", "tensorflow", "jax")


def choose(
    model: Any, leaves: Sequence[Any], name: str | None = None, gradient: Any = None, known: Backend | None = None
) -> Backend:
    """Return the backend that owns the model.

    Parameters
    ----------
    model : object
        What the user wants explained.
    leaves : sequence
        The leaves of the input; they decide for a plain callable.
    name : str, optional
        A name of the table, or a backend class, settles the question.
    gradient : callable, optional
        A gradient given by the user: the model is a plain numpy function.
    known : Backend, optional
        One of the same model, with whatever it compiled, which stays where its class is chosen again.

    Raises
    ------
    InputTypeError
        No loaded framework owns the model or the input.
    """
    cls, given = _class(model, leaves, name, gradient)
    if known is not None and type(known) is cls:
        return known
    backend: Backend = cls(model, *given)
    return backend


def _class(model: Any, leaves: Sequence[Any], name: str | None, gradient: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a row of the table, and what it takes beside the model."""
    if name is not None:
        return BACKENDS.resolve(name), ()
    if gradient is not None:
        return BACKENDS["callable"], (gradient,)
    for row in BACKENDS:
        # A built-in row is asked only when its framework is loaded; a third party's own module decides for itself.
        if row == "callable" or (row in _BUILT_IN and row not in sys.modules):
            continue
        cls = BACKENDS[row]
        if cls.owns(model, leaves):
            return cls, ()
    raise InputTypeError(_no_owner(model, leaves))


def _no_owner(model: Any, leaves: Sequence[Any]) -> str:
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    if not builtins.callable(model):  # the bare name is this package's own module, once that is imported
        return f"expected a model that can be called; got {kind}"
    inputs = ", ".join(sorted({f"{type(leaf).__module__}.{type(leaf).__qualname__}" for leaf in leaves}))
    return (
        f"cannot tell which framework computes the gradient of {kind} for inputs of type {inputs}. Pass a torch or "
        'Keras model, or tensors of the framework, or backend="torch", or gradient= for a numpy function'
    )
