"""Forwards of torch modules set aside for a while, and module outputs taken apart and put together again."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pyig import tree

ABSENT: Any = object()

_guard = threading.Lock()
_locks: weakref.WeakKeyDictionary[torch.nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


class Reached(Exception):  # noqa: N818 - a signal, not an error
    """Ends a run at the layer."""


@contextmanager
def patched(model: torch.nn.Module, forwards: dict[torch.nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Set `forward` on module instances for this thread, and put back whatever was there.

    Cuts of one model take turns; a thread that only calls the model meets the original.
    """
    with _guard:
        lock = _locks.setdefault(model, threading.RLock())
    with lock:
        saved = {module: module.__dict__.get("forward", ABSENT) for module in forwards}
        try:
            for module, forward in forwards.items():
                module.__dict__["forward"] = _for_this_thread(forward, module.forward)
            yield
        finally:
            for module, old in saved.items():
                if old is ABSENT:
                    module.__dict__.pop("forward", None)
                else:
                    module.__dict__["forward"] = old


def _for_this_thread(forward: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    owner = threading.get_ident()

    def run(*args: Any, **kwargs: Any) -> Any:
        return (forward if threading.get_ident() == owner else original)(*args, **kwargs)

    return run


def unpack(out: Any) -> tuple[list[Any], tree.Spec]:
    """Take a module's output apart, keeping what is no tensor as a leaf of its own."""
    if isinstance(out, (list, tuple)) and type(out) in (list, tuple):
        parts = [unpack(item) for item in out]
        kind = "tuple" if isinstance(out, tuple) else "list"
        return [leaf for leaves, _ in parts for leaf in leaves], tree.Spec(kind, children=tuple(s for _, s in parts))
    if type(out) is dict:
        parts = [unpack(item) for item in out.values()]
        spec = tree.Spec("dict", keys=tuple(out), children=tuple(s for _, s in parts))
        return [leaf for leaves, _ in parts for leaf in leaves], spec
    return [out], tree.LEAF


def pack(spec: tree.Spec, leaves: list[Any]) -> Any:
    """Undo `unpack`."""
    return tree.unflatten(spec, leaves)


def tensors_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """Return the tensors among the arguments of a call, by position and then by name."""
    return [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]


def swapped(
    args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[torch.Tensor]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a call with other tensors in the place of theirs."""
    fresh = iter(tensors)
    return (
        [next(fresh) if isinstance(value, torch.Tensor) else value for value in args],
        {name: next(fresh) if isinstance(value, torch.Tensor) else value for name, value in kwargs.items()},
    )


def twice(layer: torch.nn.Module) -> str:
    """Say that a layer is called again, and what to do."""
    return (
        f"expected the layer to be called once in a forward; {type(layer).__qualname__} is called again. Choose a "
        "layer that is called once, or give the model one instance per call"
    )
