"""Compiled steps, kept by what they compute; and targets in groups of what one program holds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_KEPT = 8
_TOGETHER = 16  # targets of one forward: a program grows with their number, and by then the forward costs little of it


class Kept(Generic[T]):
    """The last few entries, by a step and by what else tells programs apart; the oldest goes first.

    Parameters
    ----------
    make : callable
        ``make(what)`` gives a new entry. It is to hold on to `what`, so that an identity in the key is not given to
        another object while the entry lives.
    """

    def __init__(self, make: Callable[[tuple[Any, ...]], T]) -> None:
        self._make = make
        self._entries: OrderedDict[Any, T] = OrderedDict()
        self._lock = threading.Lock()

    def _kept(self, what: tuple[Any, ...], *rest: Any) -> T:
        """Return the entry of a step."""
        key = identity(what, *rest)
        with self._lock:  # one explainer may serve several threads
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = self._make(what)
            self._entries.move_to_end(key)
            if len(self._entries) > _KEPT:
                self._entries.popitem(last=False)
        return entry


def identity(what: tuple[Any, ...], *rest: Any) -> Any:
    """Return what tells a step from others, as long as its parts are alive."""
    key: Any = (what, *rest)
    try:
        hash(key)
    except TypeError:  # a tensor among the model's arguments: then only the very same objects are the same step
        key = (*map(id, what), *rest)
    return key


def in_groups(indices: Sequence[T], together: Callable[[Sequence[T]], list[Any]]) -> list[Any]:
    """Return what `together` gives for the targets, a group at a time."""
    groups = [indices[first : first + _TOGETHER] for first in range(0, len(indices), _TOGETHER)]
    return [one for group in groups for one in together(group)]
