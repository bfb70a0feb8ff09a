"""Errors that are both pyig's and what Captum's users catch: Captum asserts where pyig raises."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pyig.errors import InputError, InputTypeError, ModelError, PyigError

F = TypeVar("F", bound=Callable[..., Any])
_IDS = (  # whole numbers become floats here, as in Captum, so the engine's own advice does not help
    "expected inputs that can move along a path; got token ids, which an embedding looks up. Use "
    "LayerIntegratedGradients with that embedding as its layer"
)


class CaptumInputError(InputError, AssertionError, IndexError):
    """An argument has a wrong value or shape; Captum raises AssertionError, or IndexError for a target out of range."""


class CaptumInputTypeError(InputTypeError, AssertionError):
    """An argument is of a kind that cannot be used."""


class CaptumModelError(ModelError, AssertionError):
    """The model answered with something that cannot be explained."""


class CaptumUnusedError(CaptumInputError, RuntimeError):
    """The output does not depend on an input; Captum passes torch's RuntimeError on."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of the engine as those of this face."""
    try:
        yield
    except AssertionError:
        raise
    except PyigError as error:
        said = str(error)
        if said.startswith("expected token ids"):
            torch_said = said.partition("Torch said: ")[2]
            said = f"{_IDS}. Torch said: {torch_said}"
        raise _kind(error)(said) from error


def _kind(error: PyigError) -> type[Exception]:
    if isinstance(error, InputError):
        return CaptumUnusedError if "does not depend on" in str(error) else CaptumInputError
    if isinstance(error, InputTypeError):
        return CaptumInputTypeError
    return CaptumModelError if isinstance(error, ModelError) else type(error)


def entry(function: F) -> F:
    """Translate the errors of a public method.

    Captum's own classes call ``attribute.__wrapped__`` of what they are given, to leave out a log; what they find there
    is the same method.
    """

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        with translated():
            return function(*args, **kwargs)

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    return outer  # type: ignore[return-value]
