"""Rows in a store: put there, combined, measured along lines and folded into totals."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import pytest
import twins
from core_rows import using
from hypothesis import given
from hypothesis import strategies as st

from pyig import _core

pytestmark = pytest.mark.core

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
TILE = 1024  # columns that the kernels take at once


@dataclass
class Case:
    """Arguments of combine_norms, and of the kernels that take fewer."""

    store: twins.Rows
    indptr: twins.Ints
    slots: twins.Ints
    coefs: twins.Floats
    total_rows: twins.Ints
    totals: twins.Floats
    start: twins.Rows
    stop: twins.Rows
    start_rows: twins.Ints
    stop_rows: twins.Ints

    def sums(self) -> tuple[twins.Ints, twins.Ints, twins.Floats, twins.Ints, twins.Floats]:
        return self.indptr, self.slots, self.coefs, self.total_rows, self.totals

    def norms(self) -> twins.Floats:
        return _core.combine_norms(self.store, *self.sums(), self.start, self.stop, self.start_rows, self.stop_rows)

    def fold(self) -> twins.Floats:
        """The totals after the fold; a copy of them, for they change."""
        self.total_rows, self.totals = np.abs(self.total_rows), self.totals.copy()
        _core.fold(self.store, *self.sums())
        return self.totals

    def combinations(self, absolute: bool = False) -> list[twins.Floats]:
        """Each sum of rows in plain Python; or of absolute values, to which rounding is relative."""
        store, coefs = (np.abs(self.store), np.abs(self.coefs)) if absolute else (self.store, self.coefs)
        spans = zip(self.indptr[:-1], self.indptr[1:], strict=True)
        return [
            sum(
                (c * store[s].astype(float) for s, c in zip(self.slots[i:j], coefs[i:j], strict=True)),
                self.totals[0] * 0,
            )
            for i, j in spans
        ]

    def line(self, c: int) -> twins.Floats:
        return self.stop[self.stop_rows[c]].astype(float) - self.start[self.start_rows[c]].astype(float)


def case(
    count: int = 6, columns: int = 19, slots: int = 5, dtype: str = "float32", seed: int = 0, most: int = 7
) -> Case:
    rng = np.random.default_rng(seed)
    terms = rng.integers(0, most + 1, count) if slots else np.zeros(count, int)
    total = int(terms.sum())
    return Case(
        store=rng.normal(size=(slots, columns)).astype(dtype),
        indptr=np.cumsum([0, *terms]),
        slots=rng.integers(0, slots, total) if slots else np.empty(0, np.int64),
        coefs=rng.normal(size=total),
        total_rows=rng.integers(-1, 4, count),
        totals=rng.normal(size=(4, columns)),
        start=rng.normal(size=(2, columns)).astype(dtype),
        stop=rng.normal(size=(3, columns)).astype(dtype),
        start_rows=rng.integers(0, 2, count),
        stop_rows=rng.integers(0, 3, count),
    )


shapes = st.fixed_dictionaries(
    {
        "count": st.integers(0, 9),
        "columns": st.one_of(st.integers(0, 40), st.sampled_from([TILE - 1, TILE, TILE + 1, 2 * TILE + 3])),
        "slots": st.integers(0, 6),
        "dtype": st.sampled_from(["float32", "float64"]),
        "seed": st.integers(0, 99),
        "most": st.integers(0, 11),
    }
)


@given(shape=shapes, isa=st.sampled_from(_core.isas()))
def test_norms_agree_with_plain_python(shape: dict[str, int], isa: str) -> None:
    args = case(**shape)
    with using(isa):
        found = args.norms()
    assert found.shape == (shape["count"],)
    assert found.dtype == np.float64
    for c, (rows, sizes) in enumerate(zip(args.combinations(), args.combinations(absolute=True), strict=True)):
        total = args.totals[args.total_rows[c]] if args.total_rows[c] >= 0 else 0 * rows
        expected = math.fsum(np.abs((total + rows) * args.line(c)))
        assert abs(found[c] - expected) <= 1e-14 * math.fsum((np.abs(total) + sizes) * np.abs(args.line(c)))


@given(shape=shapes, isa=st.sampled_from(_core.isas()))
def test_fold_agrees_with_plain_python(shape: dict[str, int], isa: str) -> None:
    args = case(**shape)
    expected, sizes = args.totals.copy(), np.abs(args.totals)
    with using(isa):
        found = args.fold()
    for row, rows, size in zip(args.total_rows, args.combinations(), args.combinations(absolute=True), strict=True):
        expected[row] += rows
        sizes[row] += size
    assert (np.abs(found - expected) <= 1e-14 * sizes).all()


@given(shape=shapes, seed=st.integers(0, 9))
def test_rows_are_put_where_they_belong(shape: dict[str, int], seed: int) -> None:
    store = case(**shape).store
    before, rng = store.copy(), np.random.default_rng(seed)
    slots = rng.permutation(len(store))[: len(store) // 2]
    grads = rng.normal(size=(len(slots), store.shape[1])).astype(store.dtype)
    _core.put_rows(store, slots, grads)
    before[slots] = grads
    assert (store == before).all()


@DTYPES
def test_features_that_do_not_move_count_for_nothing(isa: str, dtype: str) -> None:
    args = case(dtype=dtype, columns=30)
    args.start[:, :20] = args.stop[0, :20]
    args.stop_rows[:] = 0
    found = args.norms()
    args.store[:, :20] += 5
    assert (args.norms() == found).all()
    args.store[:, 20:] += 5
    assert (args.norms() != found).any()


@DTYPES
@pytest.mark.parametrize("place", [0, 17, 18])
def test_what_is_not_finite_shows(isa: str, dtype: str, place: int) -> None:
    args = case(dtype=dtype, count=20)
    bad = [c for c, (i, j) in enumerate(zip(args.indptr, args.indptr[1:], strict=False)) if 2 in args.slots[i:j]]
    assert 0 < len(bad) < 20
    args.store[2, place] = np.nan
    assert np.flatnonzero(np.isnan(args.norms())).tolist() == bad


@DTYPES
def test_strides_do_not_matter(isa: str, dtype: str) -> None:
    packed = case(dtype=dtype)
    spread = copy.deepcopy(packed)
    for name in ("store", "totals", "start", "stop"):
        rows = getattr(packed, name)
        wide = np.full((2 * len(rows), rows.shape[1] + 3), np.nan, rows.dtype)
        wide[::-2, : rows.shape[1]] = rows
        setattr(spread, name, wide[::-2, : rows.shape[1]])
    assert spread.norms().tobytes() == packed.norms().tobytes()
    folded = spread.totals
    spread.total_rows = np.abs(spread.total_rows)
    _core.fold(spread.store, *spread.sums())
    assert (folded == packed.fold()).all()
    _core.put_rows(spread.store, np.array([4]), packed.store[:1])
    assert (spread.store[4] == packed.store[0]).all()
    assert (spread.store[:4] == packed.store[:4]).all()
    assert np.isnan(folded.base[:, -3:]).all()


@DTYPES
def test_results_do_not_depend_on_the_number_of_threads(isa: str, threads: None, dtype: str) -> None:
    args = case(count=40, columns=40_003, slots=16, dtype=dtype)  # several million elements
    results = []
    for limit in (1, 2, 3):
        _core._set_thread_limit(limit)
        store = np.zeros_like(args.store)
        _core.put_rows(np.tile(store, (4, 1)), np.arange(64), np.tile(args.store, (4, 1)))
        _core.put_rows(store, np.arange(16), args.store)
        results.append([args.norms().tobytes(), copy.deepcopy(args).fold().tobytes(), store.tobytes()])
    assert results[0] == results[1] == results[2]
    assert results[0][2] == args.store.tobytes()


def test_many_small_combinations_are_shared_among_threads(isa: str, threads: None) -> None:
    args = case(count=20_000, columns=30, slots=50)
    found = []
    for limit in (1, 3):
        _core._set_thread_limit(limit)
        found.append(args.norms().tobytes())
    assert found[0] == found[1]


FLAWS: dict[str, tuple[str, object, str]] = {
    "dtype": (
        "store",
        np.zeros((5, 19), np.int32),
        "store: expected a 2-D numpy array of float32 or float64; got int32",
    ),
    "offsets missing": ("indptr", np.zeros(6, np.int64), r"indptr: expected shape \(7,\), which is \(C \+ 1,\)"),
    "offsets fall": (
        "indptr",
        np.array([0, 3, 2, 3, 4, 5, 6]),
        "indptr: expected offsets that rise .*; got 2 at position 2",
    ),
    "offsets begin late": ("indptr", np.array([1, 2, 3, 4, 5, 6, 6]), "indptr: .* from 0 .*; got 1 at position 0"),
    "offsets end early": ("indptr", np.zeros(7, np.int64), r"indptr: .* number of slots, \d+; got 0 at position 6"),
    "offsets end late": ("indptr", np.full(7, 99), "indptr: .*; got 99 at position 0"),
    "slot": ("slots", "-1 first", r"slots: expected indices into store, 0 <= index < 5; got -1 at position 0"),
    "slot too large": ("slots", "5 last", r"slots: expected indices into store, 0 <= index < 5; got 5 at position"),
    "coefficients": ("coefs", np.zeros(1), r"coefs: expected shape .* like slots"),
    "total": ("total_rows", np.full(6, 4), r"total_rows: expected -1 or indices into totals, index < 4; got 4"),
    "negative total": ("total_rows", np.full(6, -2), r"total_rows: expected -1 or .*; got -2 at position 0"),
    "totals": ("totals", np.zeros((4, 18)), r"totals: expected shape \(4, 19\), which is \(any, D\)"),
    "start": ("start", np.zeros((2, 18), np.float32), r"start: expected shape \(2, 19\)"),
    "line of other dtype": ("stop", np.zeros((3, 19)), "stop: expected float32 like store"),
    "start row": ("start_rows", np.full(6, 2), "start_rows: expected indices into the rows of start"),
    "stop rows": ("stop_rows", np.zeros(5, np.int64), r"stop_rows: expected shape \(6,\), which is \(C,\)"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_does_not_fit_is_refused(flaw: str) -> None:
    args = case()
    args.norms()
    name, value, message = FLAWS[flaw]
    if isinstance(value, str):
        spoiled = getattr(args, name).copy()
        spoiled[0 if "first" in value else -1] = int(value.split()[0])
        value = spoiled
    setattr(args, name, value)
    with pytest.raises(ValueError, match=message):
        args.norms()


def test_fold_wants_a_total_for_each_and_totals_of_its_own() -> None:
    args = case()
    with pytest.raises(ValueError, match="total_rows: expected indices into totals, 0 <= index < 4; got -1"):
        _core.fold(args.store, args.indptr, args.slots, args.coefs, np.full(6, -1), args.totals)
    store = np.zeros((5, 19))
    with pytest.raises(ValueError, match="totals: expected memory apart from store"):
        _core.fold(store, args.indptr, args.slots, args.coefs, np.zeros(6, np.int64), store[:2])
    args.totals.flags.writeable = False
    with pytest.raises(ValueError, match="totals: expected a writable array"):
        _core.fold(args.store, args.indptr, args.slots, args.coefs, np.zeros(6, np.int64), args.totals)
    assert args.norms().shape == (6,)  # which only reads


@pytest.mark.parametrize(
    ("slots", "grads", "message"),
    [
        ([0], np.zeros((1, 3)), "grads: expected float32 like store"),
        ([0], np.zeros((1, 4), np.float32), r"grads: expected shape \(1, 3\)"),
        ([0, 1], np.zeros((1, 3), np.float32), r"slots: expected shape \(1,\)"),
        ([2], np.zeros((1, 3), np.float32), "slots: expected indices into store, 0 <= index < 2; got 2"),
        ([-1], np.zeros((1, 3), np.float32), "slots: .*; got -1"),
    ],
)
def test_rows_that_do_not_fit_are_refused(slots: list[int], grads: twins.Rows, message: str) -> None:
    store = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=message):
        _core.put_rows(store, np.array(slots), grads)
    with pytest.raises(ValueError, match="store: expected memory apart from grads"):
        _core.put_rows(store, np.array([0]), store[1:][:1] if len(slots) > 1 else store[:1])
    assert (store == 0).all()
