"""How many rows a call gets: grow while it pays, stop when it does not, halve when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pyig.backends.callable import CallableBackend
from pyig.errors import InputError, ModelError
from pyig.integrate.batching import Sizer

BACKEND = CallableBackend(np.sin, np.cos)


def sizes(sizer: Sizer, speed: Callable[[int], float], calls: int = 12) -> list[int]:
    """Feed full calls at ``speed(rows)`` rows per second and list the sizes."""
    found = []
    for _ in range(calls):
        found.append(sizer.rows)
        sizer.observe(sizer.rows, sizer.rows / speed(sizer.rows))
    return found


@pytest.mark.parametrize("host", [True, False])
def test_grows_while_rows_per_second_grow(host: bool) -> None:
    sizer = Sizer("auto", 1 << 12, host)
    found = sizes(sizer, lambda rows: float(rows))
    assert found[-1] == (2 if host else 4) * found[0]
    assert found == sorted(found)
    assert sizer.settled


def test_goes_back_when_growing_does_not_pay() -> None:
    sizer = Sizer("auto", 1 << 12, True)
    first = sizer.rows
    found = sizes(sizer, lambda rows: 100.0)
    assert max(found) == 2 * first
    assert found[-3:] == [first] * 3
    assert sizer.settled


def test_the_last_doubling_is_judged_too() -> None:
    sizer = Sizer("auto", 1 << 20, False)
    first = sizer.rows
    found = sizes(sizer, lambda rows: float(rows) if rows < 4 * first else 1.0)
    assert max(found) == 4 * first
    assert found[-1] == 2 * first


def test_a_framework_may_want_more_on_a_host_but_never_less_on_a_device() -> None:
    eager = Sizer("auto", 1 << 12, True, 1 << 19)
    assert eager.rows == 2 * Sizer("auto", 1 << 12, True).rows == 128
    assert max(sizes(eager, lambda rows: float(rows))) == 128, "no more memory than others take"
    assert Sizer("auto", 1 << 12, False, 1 << 19).rows == Sizer("auto", 1 << 12, False).rows
    assert Sizer(7, 1 << 12, True, 1 << 19).rows == 7


@pytest.mark.parametrize(("host", "gain", "grows"), [(True, 1.1, False), (True, 1.2, True), (False, 1.1, True)])
def test_what_pays_depends_on_the_place(host: bool, gain: float, grows: bool) -> None:
    sizer = Sizer("auto", 1 << 12, host)
    first = sizer.rows
    sizes(sizer, lambda rows: 100.0 * gain if rows > first else 100.0)
    assert sizer.rows == first * (2 if grows else 1)


def test_one_slow_call_decides_nothing() -> None:
    sizer = Sizer("auto", 1 << 20, False)
    first, seconds = sizer.rows, iter([9.0, 1.0, 50.0, 1.0, 50.0])
    for _ in range(3):
        sizer.observe(first, next(seconds))
    assert sizer.rows == 2 * first
    for _ in range(2):
        sizer.observe(2 * first, next(seconds))
    assert sizer.rows == 4 * first


def test_the_first_call_pays_for_warming_up_and_is_not_judged() -> None:
    slow, fast = Sizer("auto", 1 << 12, True), Sizer("auto", 1 << 12, True)
    first = slow.rows
    for sizer, warming in ((slow, 1e9), (fast, 1e-9)):
        for seconds in (warming, 1.0, 1.0, 1.0, 1.0):
            sizer.observe(sizer.rows, seconds * sizer.rows / first)
    assert slow.rows == fast.rows == first


def test_short_calls_say_nothing() -> None:
    sizer = Sizer("auto", 1 << 12, True)
    first = sizer.rows
    for _ in range(9):
        sizer.observe(first - 1, 1e-9)
    assert sizer.rows == first
    assert not sizer.settled


@pytest.mark.parametrize(("row_bytes", "low", "high"), [(4, 1024, 4096), (602112, 2, 8), (1 << 33, 1, 2), (0, 1, 4096)])
def test_the_first_size_follows_the_row(row_bytes: int, low: int, high: int) -> None:
    assert low <= Sizer("auto", row_bytes, True).rows <= high
    assert Sizer("auto", row_bytes, False).rows >= Sizer("auto", row_bytes, True).rows, "a device wants more"


def test_a_number_is_a_promise() -> None:
    sizer = Sizer(7, 4, True)
    assert set(sizes(sizer, lambda rows: float(rows))) == {7}
    assert sizer.shrink()
    assert sizer.rows == 3


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "big", None, True, np.float64(3)])
def test_nonsense_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="batch_size"):
        Sizer(wrong, 4, True)


def test_numpy_numbers_are_numbers() -> None:
    assert Sizer(np.int64(5), 4, True).rows == 5  # type: ignore[arg-type]


def limited(most: int, tried: list[int]) -> Callable[[int], int]:
    def call(rows: int) -> int:
        tried.append(rows)
        if rows > most:
            raise MemoryError
        return rows

    return call


def test_memory_errors_halve_until_it_fits() -> None:
    sizer, tried = Sizer(40, 4, True), []
    assert sizer.attempt(BACKEND, limited(6, tried)) == 5
    assert tried == [40, 20, 10, 5]
    assert sizer.attempt(BACKEND, limited(6, tried)) == 5
    assert tried == [40, 20, 10, 5, 5], "the lesson is kept"
    assert set(sizes(sizer, lambda rows: float(rows))) == {5}, "and no growth past it"


def test_one_row_too_many_is_an_error() -> None:
    tried: list[int] = []
    with pytest.raises(ModelError, match="single row") as error:
        Sizer(3, 4, True).attempt(BACKEND, limited(0, tried))
    assert tried == [3, 1]
    assert isinstance(error.value.__cause__, MemoryError)


def test_other_errors_pass_through() -> None:
    def fails(rows: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Sizer(8, 4, True).attempt(BACKEND, fails)


def test_what_was_tried_is_halved_and_not_what_was_allowed() -> None:
    sizer = Sizer(4096, 4, True)
    sizer.trying(6)
    assert sizer.shrink()
    assert sizer.rows == 3
    sizer.trying(1)
    assert not sizer.shrink()
