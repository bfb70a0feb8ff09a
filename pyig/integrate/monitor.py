"""Progress of a long run, and the wish to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from pyig.errors import InputTypeError

_PATIENCE = 2.0  # seconds before a bar appears: short work shows none
Progress = bool | Callable[[int, int], None]


class Cancel(Protocol):
    """What ``cancel=`` takes, such as `threading.Event`; a plain function that returns a bool does as well."""

    def is_set(self) -> bool:
        """Tell whether to stop."""
        ...


class Monitor:
    """Counts the work, shows a bar when it is long, and asks whether to go on.

    Parameters
    ----------
    total : int
        How much there is to do, in units.
    unit : str
        What is counted: gradients of a fixed rule; paths where nobody knows how many gradients they will take.
    progress : bool or callable
        True: a tqdm bar once the work has taken two seconds (none where tqdm is not installed). A callable gets
        ``(done, total)`` after every model call.
    cancel : object with ``is_set()``, or callable
        Asked before every model call.
    """

    def __init__(self, total: int, unit: str, progress: Progress, cancel: Any) -> None:
        if cancel is not None and not callable(cancel) and not hasattr(cancel, "is_set"):
            raise InputTypeError(f"expected cancel= with is_set(), or a function; got {type(cancel).__qualname__}")
        if not isinstance(progress, (bool, np.bool_)) and not callable(progress):
            raise InputTypeError(f"expected progress= as True, False, or a function; got {type(progress).__qualname__}")
        self.total = total
        self.unit = unit
        self.done = 0
        self.gradients = 0
        self.calls = 0
        self.rows: list[int] = []
        self.open_rows: tuple[int, int] | None = None
        self.steep = 0
        self._offered = 0
        self._room = 0
        self.stopped = False
        self.started = time.perf_counter()
        self._report = progress if callable(progress) else None
        self._bar: Any = None
        self._wants_bar = self._report is None and bool(progress)
        self._cancel = getattr(cancel, "is_set", cancel)

    def should_stop(self) -> bool:
        """Ask the user's cancel; once it said yes, the answer stays."""
        if self._cancel is not None and not self.stopped:
            self.stopped = bool(self._cancel())
        return self.stopped

    def called(self, rows: int, gradients: int = 0, done: int = 0) -> None:
        """Count one model call of so many rows, the gradients among them, and the units that it completed."""
        self.calls += 1
        if not gradients:
            return
        self.gradients += gradients
        self.done += done
        self.rows.append(rows)
        self._room += self._offered
        if self._report is not None:
            self._report(self.done, self.total)
        if self._wants_bar:
            self._draw()

    def offer(self, rows: int) -> None:
        """Note how many rows the next call could take."""
        self._offered = rows

    def kept(self, rows: int, most: int) -> None:
        """Note how many gradient rows a block kept at a time, and how many it was allowed to."""
        before = self.open_rows or (0, 0)
        self.open_rows = max(rows, before[0]), max(most, before[1])

    def unseen(self, results: int) -> None:
        """Count results whose gradient grows so steeply towards the baseline that much of it lies before all nodes."""
        self.steep += results

    def close(self) -> None:
        """Take the bar down."""
        if self._bar is not None:
            self._bar.close()

    @property
    def fill(self) -> float | None:
        """Share of the rows that the gradient calls could take and did."""
        return sum(self.rows) / self._room if self._room else None

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def _draw(self) -> None:
        if self._bar is None:
            if self.seconds < _PATIENCE:
                return
            try:
                from tqdm.auto import tqdm
            except ImportError:
                self._wants_bar = False
                return
            self._bar = tqdm(total=self.total, desc="Integrated Gradients", unit=self.unit, leave=False)
        self._bar.update(self.done - self._bar.n)
