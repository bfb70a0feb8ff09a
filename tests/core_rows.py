"""Random arguments for the kernels over rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import twins

from pyig import _core


@dataclass
class Case:
    """Arguments of accumulate, and of the kernels that take fewer."""

    grads: twins.Rows
    weights: twins.Floats
    slots: twins.Ints
    acc: twins.Floats
    start: twins.Rows
    stop: twins.Rows
    start_rows: twins.Ints
    stop_rows: twins.Ints
    slopes: twins.Floats
    alphas: twins.Floats
    out: twins.Rows

    def lines(self) -> tuple[twins.Rows, twins.Rows, twins.Ints, twins.Ints]:
        return self.start, self.stop, self.start_rows, self.stop_rows

    def accumulate(self) -> None:
        _core.accumulate(self.grads, self.weights, self.slots, self.acc, *self.lines(), self.slopes)

    def reduce(self) -> None:
        _core.reduce(self.grads, self.weights, self.slots, self.acc)

    def interpolate(self) -> None:
        _core.interpolate(*self.lines(), self.alphas, self.out)

    def everything(self) -> list[bytes]:
        """Run all kernels; every bit of their results."""
        self.accumulate()
        self.interpolate()
        return [result.tobytes() for result in (self.acc, self.slopes, self.out, _core.l1(self.grads))]


@contextmanager
def using(isa: str) -> Iterator[None]:
    """Choose an instruction set for a while."""
    before = _core.isa()
    _core._set_isa(isa)
    try:
        yield
    finally:
        _core._set_isa(before)


def case(
    rows: int = 7,
    columns: int = 19,
    levels: int = 2,
    slots: int = 3,
    dtype: str = "float32",
    seed: int = 0,
    runs: bool = True,
) -> Case:
    """Build arguments; with `runs`, equal slots are neighbours and share their line, as they do in the loop."""
    rng = np.random.default_rng(seed)
    order = rng.integers(0, slots, rows) if slots else np.empty(0, np.int64)
    order = np.sort(order) if runs else order
    return Case(
        grads=rng.normal(size=(rows, columns)).astype(dtype),
        weights=rng.normal(size=(levels, rows)),
        slots=order,
        acc=rng.normal(size=(slots, levels, columns)),
        start=rng.normal(size=(2, columns)).astype(dtype),
        stop=rng.normal(size=(max(slots, 1), columns)).astype(dtype),
        start_rows=np.zeros(rows, np.int64) if runs else rng.integers(0, 2, rows),
        stop_rows=order.copy(),
        slopes=np.full(rows, np.nan),
        alphas=rng.random(rows),
        out=np.full((rows, columns), np.nan, dtype),
    )
