"""The torch modules that a model of any form goes through: the module itself, or what a function holds on to.

Modules are told by their methods, so that torch is not needed to ask.

A function may hold a module in many ways, of which these are looked at: its bound object, its closure, the globals that
it names, its defaults, the parts of a `functools.partial`, and the attributes of an object that is called. What is held
by something else is not found, and then not frozen either: results are the same, the call only keeps more memory.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

_DEPTH = 4
_ITEMS = 16


def modules_of(model: Any) -> list[Any]:
    """Return the outermost modules that a model holds, each once."""
    found: list[Any] = []
    seen: set[int] = set()
    _collect(model, _DEPTH, found, seen)
    inner = {id(module) for outer in found for module in outer.modules() if module is not outer}
    return [module for module in found if id(module) not in inner]


def _collect(held: Any, depth: int, found: list[Any], seen: set[int]) -> None:
    if id(held) in seen or not depth:
        return
    seen.add(id(held))
    if isinstance(held, type):
        return
    if hasattr(held, "named_modules") and hasattr(held, "register_forward_hook"):
        found.append(held)
        return
    for part in _parts(held):
        _collect(part, depth - 1, found, seen)


def _parts(held: Any) -> Iterator[Any]:
    """Yield what a callable, or a container in one, holds."""
    if isinstance(held, functools.partial):
        yield from (held.func, *held.args, *held.keywords.values())
    elif isinstance(held, types.MethodType):
        yield from (held.__self__, held.__func__)
    elif isinstance(held, types.FunctionType):
        for cell in held.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not bound yet
                continue
        names = held.__code__.co_names
        yield from (held.__globals__[name] for name in names if name in held.__globals__)
        yield from held.__defaults__ or ()
        yield from (held.__kwdefaults__ or {}).values()
    elif isinstance(held, (list, tuple)):
        yield from held[:_ITEMS]
    elif callable(held) and not isinstance(held, (type, types.BuiltinFunctionType, types.ModuleType)):
        yield from getattr(held, "__dict__", {}).values()
