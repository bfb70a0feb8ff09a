"""Errors that old code catches by the peer's kind and new code by pyig's: every class is both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyig.errors import InputError, InputTypeError, ModelError, SaveFileError


class StepsError(InputError, AssertionError):
    """A number of steps that no rule has."""


class TargetError(InputError, InputTypeError, NotImplementedError):
    """A target of the wrong kind, length or range."""


class ArgumentError(InputTypeError, ValueError):
    """An argument of a kind that cannot be explained."""


class UnexplainedError(ModelError, ValueError):
    """The model answered with something that cannot be explained."""


class SerializationError(SaveFileError):
    """An explainer that cannot be written without its code, or a file that does not fit."""


@contextmanager
def both_kinds() -> Iterator[None]:
    """Raise the engine's errors as ValueErrors too, which is what the peer raises for them."""
    try:
        yield
    except (InputTypeError, ModelError) as error:
        kind = {InputTypeError: ArgumentError, ModelError: UnexplainedError}.get(type(error))
        if kind is None:
            raise
        raise kind(str(error)) from error
