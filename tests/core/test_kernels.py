"""The kernels over rows agree with their twins on every instruction set, however the work is laid out and cut."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import twins
from core_rows import case, using
from hypothesis import given
from hypothesis import strategies as st

from pyig import _core

pytestmark = pytest.mark.core

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
TILE = 1024  # columns that the kernels take at once

shapes = st.fixed_dictionaries(
    {
        "rows": st.integers(0, 13),
        "columns": st.one_of(st.integers(0, 40), st.sampled_from([TILE - 1, TILE, TILE + 1, 2 * TILE + 3])),
        "levels": st.integers(1, 7),
        "slots": st.integers(1, 4),
        "dtype": st.sampled_from(["float32", "float64"]),
        "seed": st.integers(0, 99),
        "runs": st.booleans(),
    }
)


def close(found: twins.Rows, expected: twins.Rows, size: twins.Rows | float) -> bool:
    """Equal but for the rounding of sums whose terms are of this size."""
    return bool((np.abs(found - expected) <= 1e-14 * np.asarray(size) + 1e-300).all())


@given(shape=shapes, isa=st.sampled_from(_core.isas()))
def test_accumulate_agrees_with_its_twin(shape: dict[str, int], isa: str) -> None:
    args = case(**shape)
    expected = twins.reduce(args.grads, args.weights, args.slots, args.acc)
    sizes = twins.reduce(abs(args.grads), abs(args.weights), args.slots, abs(args.acc))
    with using(isa):
        args.accumulate()
    assert close(args.acc, expected, sizes)
    lines = abs(args.start).max(initial=0) + abs(args.stop).max(initial=0)
    assert close(args.slopes, twins.slopes(args.grads, *args.lines()), twins.l1(args.grads) * lines)


@given(shape=shapes, isa=st.sampled_from(_core.isas()))
def test_reduce_adds_what_accumulate_adds(shape: dict[str, int], isa: str) -> None:
    args = case(**shape)
    both = copy.deepcopy(args)
    with using(isa):
        args.reduce()
        both.accumulate()
    assert (args.acc == both.acc).all()
    assert np.isnan(args.slopes).all()


@given(shape=shapes, isa=st.sampled_from(_core.isas()))
def test_interpolate_agrees_with_its_twin(shape: dict[str, int], isa: str) -> None:
    args = case(**shape)
    with using(isa):
        args.interpolate()
    expected = twins.interpolate(*args.lines(), args.alphas, shape["dtype"])
    np.testing.assert_allclose(args.out, expected, rtol=1e-6 if shape["dtype"] == "float32" else 1e-13, atol=1e-7)


@given(shape=shapes, isa=st.sampled_from(_core.isas()))
def test_l1_agrees_with_its_twin(shape: dict[str, int], isa: str) -> None:
    rows = case(**shape).grads
    with using(isa):
        found = _core.l1(rows)
    assert found.dtype == np.float64
    assert found.shape == (shape["rows"],)
    assert close(found, twins.l1(rows), twins.l1(rows))


@DTYPES
def test_interpolation_is_exact_at_both_ends(isa: str, dtype: str) -> None:
    args = case(rows=2, columns=37, dtype=dtype)
    args.start *= np.logspace(-30, 30, 37, dtype=dtype)  # start + (stop - start) would not give stop
    args.alphas[:] = 0, 1
    args.interpolate()
    assert (args.out[0] == args.start[args.start_rows[0]]).all()
    assert (args.out[1] == args.stop[args.stop_rows[1]]).all()
    rounded = args.start[0] + (args.stop[0] - args.start[0])
    assert not (rounded == args.stop[0]).all()


@DTYPES
def test_a_line_of_no_length_stays_where_it_is(isa: str, dtype: str) -> None:
    args = case(dtype=dtype)
    args.stop[:] = args.start[:1]
    args.interpolate()
    assert (args.out == args.start[:1]).all()
    args.accumulate()
    assert (args.slopes == 0).all()


@DTYPES
def test_sums_are_kept_in_double(isa: str, dtype: str) -> None:
    """1 + 2^-30 + 2^-30 + ... is 1 in single precision."""
    grads = np.full((64, 9), 2.0**-30, dtype)
    grads[0] = 1
    acc = np.zeros((1, 1, 9))
    _core.reduce(grads, np.ones((1, 64)), np.zeros(64, np.int64), acc)
    assert (acc == 1 + 63 * 2.0**-30).all()
    assert (_core.l1(grads.T.copy()) == 1 + 63 * 2.0**-30).all()


@DTYPES
@pytest.mark.parametrize("columns", [30, TILE + 5])
def test_cutting_a_batch_changes_no_bit(isa: str, dtype: str, columns: int) -> None:
    whole = case(rows=11, columns=columns, levels=5, dtype=dtype)
    expected = copy.deepcopy(whole)
    expected.accumulate()
    for cut in range(12):
        parts = copy.deepcopy(whole)
        for part in (slice(0, cut), slice(cut, 11)):
            _core.accumulate(
                parts.grads[part], parts.weights[:, part], parts.slots[part], parts.acc, parts.start, parts.stop,
                parts.start_rows[part], parts.stop_rows[part], parts.slopes[part],
            )  # fmt: skip
        assert (parts.acc == expected.acc).all()
        assert (parts.slopes == expected.slopes).all()


@DTYPES
def test_the_number_of_threads_changes_no_bit(isa: str, threads: None, dtype: str) -> None:
    args = case(rows=40, columns=60 * TILE + 7, dtype=dtype)  # enough for four threads
    results = []
    for limit in (1, 2, 3, 4):
        _core._set_thread_limit(limit)
        results.append(copy.deepcopy(args).everything())
    assert all(result == results[0] for result in results)
    args.grads[-1, -1] += 1
    assert args.everything() != results[0]


def test_instruction_sets_agree() -> None:
    found = []
    for name in _core.isas():
        args = case(rows=9, columns=TILE + 77, levels=4)
        with using(name):
            args.accumulate()
            args.interpolate()
        found.append((args.acc, args.slopes, args.out))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6 if a.dtype == np.float32 else 1e-11, atol=1e-12)


@DTYPES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_gradients_are_seen_even_with_weight_zero(isa: str, dtype: str, bad: float) -> None:
    args = case(rows=5, columns=21, slots=1, dtype=dtype)
    args.grads[3, 7] = bad
    args.weights[:, 3] = 0
    args.accumulate()
    assert np.isnan(args.acc[0, :, 7]).all()
    assert np.isfinite(np.delete(args.acc, 7, axis=2)).all()
    assert np.isnan(args.slopes[3]) if math.isnan(bad) else np.isinf(args.slopes[3])
    assert np.isfinite(np.delete(args.slopes, 3)).all()
    norms = _core.l1(args.grads)
    assert np.isnan(norms[3]) if math.isnan(bad) else norms[3] == np.inf
    assert np.isfinite(np.delete(norms, 3)).all()


@DTYPES
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("end", ["start", "stop"])
def test_non_finite_ends_are_seen_everywhere_on_the_line(isa: str, dtype: str, bad: float, end: str) -> None:
    args = case(rows=5, columns=21, slots=1, dtype=dtype)
    args.start_rows[:] = 0
    getattr(args, end)[0, 7] = bad
    args.alphas[:] = [0, 0.25, 0.5, 0.75, 1]
    args.interpolate()
    assert not np.isfinite(args.out[:, 7]).any()
    assert np.isfinite(np.delete(args.out, 7, axis=1)).all()


@pytest.mark.parametrize(("rows", "columns"), [(0, 5), (5, 0), (0, 0)])
@DTYPES
def test_empty_arrays_do_nothing(isa: str, dtype: str, rows: int, columns: int) -> None:
    args = case(rows=rows, columns=columns, dtype=dtype)
    before = args.acc.copy()
    args.everything()
    assert (args.acc == before).all()
    assert (args.slopes == 0).all()
    assert (_core.l1(args.grads) == np.zeros(rows)).all()


def test_no_slots_and_no_rows(isa: str) -> None:
    args = case(rows=0, slots=0)
    args.start, args.stop = args.start[:0], args.stop[:0]
    args.everything()
    assert args.acc.size == 0
