"""What can go wrong, and the one sentence form for saying so.

Every message has three parts: what was expected, what came (name, shape, dtype), and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable


class PyigError(Exception):
    """Base class of every error that pyig raises on purpose."""


class InputError(PyigError, ValueError):
    """An argument has the right kind but a wrong value, shape or name."""


class InputTypeError(PyigError, TypeError):
    """An argument is of a kind that pyig cannot use."""


class ModelError(PyigError, RuntimeError):
    """The model answered with something that cannot be explained: no gradient, wrong rows, no tensor."""


class RowsError(ModelError):
    """The model's outputs do not have one row for each row of its input."""


class NonFiniteError(ModelError):
    """A value or gradient on the path from the baseline to the input is NaN or infinite."""


class SaveFileError(PyigError, ValueError):
    """A saved explanation is damaged, foreign, or newer than this pyig."""


class MissingPackageError(PyigError, ImportError):
    """An optional package is needed for what was asked."""


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """Build the error for an unknown name: the known names, and the nearest one.

    Examples
    --------
    >>> str(unknown("method", "gausslegndre", ["gausslegendre", "simpson"]))
    "unknown method 'gausslegndre'; did you mean 'gausslegendre'? Known: gausslegendre, simpson"
    """
    import difflib  # here: it builds regular expressions when it is imported

    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(f"unknown {kind} {name!r}; {hint}Known: {', '.join(names)}")


def missing(package: str, feature: str, extra: str) -> MissingPackageError:
    """Build the error for an absent optional package: the feature, the package, the cure."""
    return MissingPackageError(f'{feature} needs {package}; install it with: pip install "pyig-explain[{extra}]"')
