"""Functions written down by name, never by their code, and found again among the modules that are loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from pyig.compat.alibi.failures import SerializationError


def path_of(function: Any) -> Any:
    """Return ``"module:name"``, or a dict for a `functools.partial` with plain keywords; None where neither finds it.

    Examples
    --------
    >>> import numpy
    >>> path_of(partial(numpy.argmax, axis=1))
    {'function': 'numpy:argmax', 'keywords': {'axis': 1}}
    """
    if isinstance(function, partial):
        path = path_of(function.func)
        plain = all(value is None or isinstance(value, (bool, int, float)) for value in function.keywords.values())
        usable = isinstance(path, str) and plain and not function.args
        return {"function": path, "keywords": dict(function.keywords)} if usable else None
    path = f"{getattr(function, '__module__', None)}:{getattr(function, '__qualname__', None)}"
    return path if _look_up(path) is function else None


def function_at(path: Any, what: str) -> Callable[..., Any]:
    """Return the function of a path; no module is imported for it, so a file runs nothing that the program has not.

    Parameters
    ----------
    what : str
        The argument that it is, for the error: ``"target_fn"``.
    """
    if isinstance(path, dict):
        return partial(function_at(path["function"], what), **path["keywords"])
    found = _look_up(path)
    if not callable(found):
        raise SerializationError(
            f"expected the function {path!r} for {what}= among the loaded modules. Import its module first, or pass "
            f"{what}= to load"
        )
    return found  # type: ignore[no-any-return]


def _look_up(path: str) -> Any:
    module, _, name = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
