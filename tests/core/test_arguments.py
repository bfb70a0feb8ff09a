"""Layouts that the kernels take, and what they refuse: which argument, what was expected, what came."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import twins
from core_rows import case

from pyig import _core

pytestmark = pytest.mark.core

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


def padded(array: twins.Rows) -> twins.Rows:
    """The same rows with a gap behind each."""
    wide = np.full((len(array), array.shape[1] + 3), np.nan, array.dtype)
    wide[:, : array.shape[1]] = array
    return wide[:, : array.shape[1]]


def backwards(array: twins.Rows) -> twins.Rows:
    """The same rows, the last one first in memory."""
    return array[::-1].copy()[::-1]


@DTYPES
@pytest.mark.parametrize("layout", [padded, backwards])
def test_rows_may_lie_anywhere(isa: str, dtype: str, layout: Callable[[twins.Rows], twins.Rows]) -> None:
    packed = case(dtype=dtype)
    spread = copy.deepcopy(packed)
    for name in ("grads", "weights", "start", "stop", "out"):
        setattr(spread, name, layout(getattr(spread, name)))
    assert spread.grads.strides != packed.grads.strides
    assert spread.everything() == packed.everything()


def test_gaps_between_output_rows_are_left_alone(isa: str) -> None:
    args = case()
    wide = np.full((7, 19 + 3), 5.0, np.float32)
    args.out = wide[:, :19]
    args.interpolate()
    assert (wide[:, 19:] == 5).all()


@DTYPES
def test_a_broadcast_baseline_is_one_row(isa: str, dtype: str) -> None:
    many = case(dtype=dtype)
    one = copy.deepcopy(many)
    many.start = np.repeat(many.start[:1], 7, axis=0)
    one.start = np.broadcast_to(one.start[:1], (7, 19))
    for args in (many, one):
        args.start_rows = np.arange(7)
    assert one.start.strides[0] == 0
    assert one.everything() == many.everything()


def test_inputs_may_be_read_only_and_stay_as_they_were(isa: str) -> None:
    args = case()
    names = ["grads", "weights", "slots", "start", "stop", "start_rows", "stop_rows", "alphas"]
    before = {name: getattr(args, name).copy() for name in names}
    for name in names:
        getattr(args, name).flags.writeable = False
    args.everything()
    for name in names:
        assert (getattr(args, name) == before[name]).all()


needs_sparse_files = pytest.mark.skipif(sys.platform == "win32", reason="files have no holes there")


def far_rows(path: Path, columns: int, dtype: str) -> tuple[np.memmap[Any, Any], twins.Rows]:
    """Two rows 2^31 elements apart, in a file with a hole between them."""
    memory = np.memmap(path, dtype, mode="w+", shape=(2**31 + columns,))
    return memory, np.lib.stride_tricks.as_strided(memory, (2, columns), (2**31 * memory.itemsize, memory.itemsize))


@needs_sparse_files
def test_offsets_beyond_2_to_the_31(isa: str, tmp_path: Path) -> None:
    near = case(rows=2, columns=19, slots=2)
    far = copy.deepcopy(near)
    for name in ("grads", "stop", "out"):
        _, rows = far_rows(tmp_path / name, 19, "float32")
        rows[:] = getattr(far, name)
        setattr(far, name, rows)
    assert far.everything() == near.everything()


@needs_sparse_files
def test_accumulators_beyond_2_to_the_31(isa: str, tmp_path: Path) -> None:
    slots = 2**21 + 1
    acc = np.memmap(tmp_path / "acc", "float64", mode="w+", shape=(slots, 1, 1024))
    _core.reduce(np.ones((2, 1024), "float32"), np.array([[2.0, 3.0]]), np.array([0, slots - 1]), acc)
    assert (acc[0] == 2).all()
    assert (acc[-1] == 3).all()


def test_more_than_2_to_the_31_elements(isa: str) -> None:
    rows, columns = 2**16 + 1, 2**15
    assert (_core.l1(np.broadcast_to(np.float32(1), (1, columns)).copy()) == columns).all()
    many = np.broadcast_to(np.ones(columns, np.float32), (rows, columns))
    assert (_core.l1(many) == columns).all()


def misaligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    memory[:] = array
    return memory


def swapped(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(array.dtype.newbyteorder())


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


def gaps(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.repeat(array, 2, axis=-1)[..., ::2]


def one_row(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Every row of a writable array is the same memory."""
    return np.lib.stride_tricks.as_strided(array, array.shape, (0, array.itemsize))


BROKEN: list[tuple[str, Callable[[np.ndarray[Any, Any]], Any], type[Exception], str]] = [
    (
        "grads",
        lambda a: a.tolist(),
        TypeError,
        "grads: expected a 2-D numpy array of float32 or .*; got type list",
    ),
    ("grads", lambda a: None, TypeError, "got type NoneType"),
    ("grads", lambda a: a.astype("float16"), ValueError, r"2-D numpy array of .*; got float16 of shape \(7, 19\)"),
    ("grads", lambda a: a.astype("complex64"), ValueError, "got complex64"),
    ("grads", lambda a: a.astype("int32"), ValueError, "got int32"),
    ("grads", lambda a: a[0], ValueError, r"got float32 of shape \(19,\)"),
    ("grads", lambda a: a[None], ValueError, r"got float32 of shape \(1, 7, 19\)"),
    ("grads", swapped, ValueError, "in native byte order; got >f4"),
    ("grads", misaligned, ValueError, r"expected aligned memory \(numpy.require.*; got a misaligned array"),
    ("grads", gaps, ValueError, r"contiguous elements .* \(numpy.ascontiguousarray\(grads\) .* got strides \(152, 8\)"),
    ("grads", lambda a: a[:, :-1], ValueError, r"expected shape \(3, 2, 18\), which is \(S, L, D\)"),
    (
        "weights",
        lambda a: a.astype("float32"),
        ValueError,
        "weights: expected a 2-D .* of float64; got float32",
    ),
    (
        "weights",
        lambda a: a[:, :-1],
        ValueError,
        r"weights: expected shape \(2, 7\), which is \(L, R\); got",
    ),
    ("weights", lambda a: a[:0], ValueError, "weights: .* at least one weight row"),
    ("weights", lambda a: a.T.copy().T, ValueError, "weights: expected contiguous elements"),
    ("slots", lambda a: a.astype("int32"), ValueError, "slots: expected a 1-D numpy array of int64; got int32"),
    (
        "slots",
        lambda a: a[:-1],
        ValueError,
        r"slots: expected shape \(7,\), which is \(R,\); got .*\(6,\)",
    ),
    ("slots", lambda a: a + 1, ValueError, "slots: expected indices into acc, 0 <= index < 3; got 3 at position"),
    ("slots", lambda a: a - 3, ValueError, "slots: expected indices into acc, 0 <= index < 3; got -3 at position 0"),
    ("slots", gaps, ValueError, "slots: expected contiguous elements"),
    ("acc", lambda a: a.astype("float32"), ValueError, "acc: expected a 3-D numpy array of float64; got float32"),
    (
        "acc",
        lambda a: a[:, :1],
        ValueError,
        r"acc: expected shape \(3, 2, 19\), which is \(S, L, D\); got",
    ),
    ("acc", read_only, ValueError, "acc: expected a writable array; got a read-only one"),
    (
        "acc",
        lambda a: np.repeat(a, 2, 0)[::2],
        ValueError,
        "acc: expected an array in C order without gaps; got",
    ),
    ("start", lambda a: a.astype("float64"), ValueError, "start: expected float32 like grads; got float64"),
    ("stop", lambda a: a[:, 1:], ValueError, r"stop: expected shape \(3, 19\), which is \(any, D\); got .*\(3, 18\)"),
    ("start_rows", lambda a: a + 2, ValueError, "start_rows: .*the rows of start, 0 <= index < 2; got 2 at position 0"),
    ("stop_rows", lambda a: a - 2**40, ValueError, "stop_rows: expected indices into the rows of stop"),
    ("stop_rows", lambda a: a[1:], ValueError, r"stop_rows: expected shape \(7,\)"),
    ("slopes", lambda a: a.astype("float32"), ValueError, "slopes: expected a 1-D numpy array of float64"),
    ("slopes", lambda a: a[:-1], ValueError, r"slopes: expected shape \(7,\), which is \(R,\)"),
    ("slopes", read_only, ValueError, "slopes: expected a writable array"),
    ("slopes", gaps, ValueError, "slopes: expected contiguous elements"),
]


@pytest.mark.parametrize(("name", "broken", "kind", "message"), BROKEN)
def test_accumulate_refuses(
    name: str, broken: Callable[[np.ndarray[Any, Any]], Any], kind: type[Exception], message: str
) -> None:
    args = case()
    setattr(args, name, broken(getattr(args, name)))
    with pytest.raises(kind, match=message):
        args.accumulate()


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [
        ("out", read_only, "out: expected a writable array; got a read-only one"),
        ("out", one_row, r"out: expected rows that do not overlap; got strides \(0, 4\)"),
        ("out", lambda a: a.astype("float64"), "start: expected float64 like out; got float32"),
        ("out", lambda a: a[:-1], r"start_rows: expected shape \(6,\), which is \(R,\)"),
        ("alphas", lambda a: a[:-1], r"alphas: expected shape \(7,\), which is \(R,\)"),
        ("alphas", lambda a: a.astype("float32"), "alphas: expected a 1-D numpy array of float64; got float32"),
        ("stop_rows", lambda a: a + 3, "stop_rows: expected indices into the rows of stop, 0 <= index < 3; got 3"),
    ],
)
def test_interpolate_refuses(name: str, broken: Callable[[np.ndarray[Any, Any]], Any], message: str) -> None:
    args = case()
    setattr(args, name, broken(getattr(args, name)))
    with pytest.raises(ValueError, match=message):
        args.interpolate()


@pytest.mark.parametrize("broken", [misaligned, swapped, gaps, lambda a: a.astype("int64")])
def test_l1_refuses_what_accumulate_refuses(broken: Callable[[np.ndarray[Any, Any]], Any]) -> None:
    with pytest.raises(ValueError, match="rows: expected"):
        _core.l1(broken(case().grads))


def test_refused_arguments_leave_the_outputs_alone() -> None:
    args = case()
    before = args.acc.copy()
    args.stop_rows[-1] = 99
    with pytest.raises(ValueError, match="stop_rows"):
        args.accumulate()
    assert (args.acc == before).all()
    assert np.isnan(args.slopes).all()


@pytest.mark.parametrize("end", ["start", "stop"])
def test_out_may_not_overlap_an_end(end: str) -> None:
    args = case(rows=3, slots=3)
    memory = np.zeros((6, 19), np.float32)
    args.out = memory[:3]
    setattr(args, end, memory[2:5])
    with pytest.raises(ValueError, match=f"out: expected memory apart from {end}; got arrays that overlap"):
        args.interpolate()
    setattr(args, end, memory[3:6])
    args.interpolate()


def test_outputs_may_not_overlap_anything_else() -> None:
    args = case(rows=4, columns=4, levels=1, slots=1, dtype="float64")
    args.slopes = args.acc.reshape(-1)
    with pytest.raises(ValueError, match="slopes: expected memory apart from acc"):
        args.accumulate()
    args = case(rows=4, columns=4, levels=1, slots=1, dtype="float64")
    args.acc = args.grads.reshape(-1)[::-1][:4][::-1].reshape(1, 1, 4)
    with pytest.raises(ValueError, match="acc: expected memory apart from grads"):
        args.reduce()
    args = case(rows=4, columns=4, levels=1, slots=1, dtype="float64")
    args.alphas = args.out[0]
    with pytest.raises(ValueError, match="out: expected memory apart from alphas"):
        args.interpolate()


def test_arguments_have_names() -> None:
    args = case()
    _core.reduce(grads=args.grads, weights=args.weights, slots=args.slots, acc=args.acc)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _core.reduce(args.grads, args.weights, args.slots)  # type: ignore[call-arg]
