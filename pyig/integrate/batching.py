"""How many rows one model call gets: grow while that pays, halve when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pyig.contracts import Backend
from pyig.errors import InputError, ModelError

T = TypeVar("T")

# Points of the first call. On a host what counts is that a layer's values, many times as large, stay in the cache; a
# device wants enough to fill it.
_FIRST_BYTES = {True: 1 << 18, False: 1 << 25}
_GROWTH = {True: 2, False: 4}  # trying a size takes its memory, which is not to depend on how long a call goes on
_PAYS = {True: 1.15, False: 1.05}  # on a host a few per cent are noise, and not worth twice the memory
_TRIALS = 2


class Sizer:
    """The number of rows of the next model call.

    Parameters
    ----------
    batch_size : int or "auto"
        A number is the most rows of a call; it still halves when memory runs out.
    row_bytes : int
        Bytes of the points of one row.
    host : bool
        Whether the points live in host memory.
    host_bytes : int, optional
        Points of the first call there, in bytes, for a framework whose calls cost more than others'. It grows no
        further than others do.

    Notes
    -----
    An explainer keeps the sizer of ``"auto"`` for its next call, which goes on with what this one has learnt.
    """

    def __init__(self, batch_size: int | str, row_bytes: int, host: bool, host_bytes: int | None = None) -> None:
        whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
        if batch_size != "auto" and not (whole and int(batch_size) >= 1):
            raise InputError(f'expected batch_size="auto" or a whole number of at least 1; got {batch_size!r}')
        usual = _FIRST_BYTES[host]
        wanted = host_bytes if host and host_bytes is not None else usual
        first = _rows(wanted, row_bytes)
        self.rows: int = int(batch_size) if batch_size != "auto" else first
        self.settled = batch_size != "auto"
        self._limit, self._pays = max(first, _rows(usual, row_bytes) * _GROWTH[host]), _PAYS[host]
        self._best: tuple[float, int] = (0.0, self.rows)
        self._speeds: list[float] = []
        self._warm = False
        self._tried: int | None = None

    def trying(self, rows: int) -> None:
        """Note how many rows the call at hand really has: that is what halves when memory runs out."""
        self._tried = rows

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a finished call; only full calls count, and not the very first, which pays for warming up.

        A size is judged by the faster of two calls: other load on the machine only ever makes one slower.
        """
        if self.settled or rows < self.rows:
            return
        if not self._warm:
            self._warm = True
            return
        self._speeds.append(rows / max(seconds, 1e-9))
        if len(self._speeds) < _TRIALS:
            return
        speed, self._speeds = max(self._speeds), []
        if speed <= self._best[0] * self._pays:
            self.rows, self.settled = self._best[1], True
            return
        self._best = (speed, self.rows)
        if self.rows >= self._limit:
            self.settled = True
        self.rows = min(self.rows * 2, max(self.rows, self._limit))

    def only(self, rows: int) -> None:
        """Fix the size: a model whose output has no batch axis takes one row a call."""
        self.rows, self.settled = rows, True

    def shrink(self) -> bool:
        """Halve after running out of memory; False when one row is already too much."""
        tried = self.rows if self._tried is None else min(self.rows, self._tried)
        self._tried = None
        if tried == 1:
            return False
        self.only(max(1, tried // 2))
        return True

    def attempt(self, backend: Backend, call: Callable[[int], T]) -> T:
        """Run ``call(rows)``; when memory runs out, halve and run it again. Nothing that was computed is lost."""
        while True:
            try:
                return call(self.rows)
            except Exception as error:
                if not backend.is_out_of_memory(error):
                    raise
                if not self.shrink():
                    raise ModelError(
                        "the model ran out of memory on a single row. Free memory, use a smaller model or dtype, or "
                        "move it to a larger device"
                    ) from error
            # Outside the except block: the traceback, which keeps the failed call's tensors alive, is gone here.
            backend.release_memory()


def _rows(points: int, row_bytes: int) -> int:
    return min(4096, max(2, points // max(1, row_bytes)))
