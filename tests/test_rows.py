"""Host rows and device rows are one thing said twice: the same points, sums, slopes and norms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pyig.backends.callable import CallableBackend
from pyig.backends.torch import TorchBackend
from pyig.rows import DeviceRows, Ends, HostRows, Slots, rows_for

RNG = np.random.default_rng(5)
SHAPES = [(4,), (), (2, 3)]  # per row of each leaf
PATHS, RESULTS = 6, 3


def tensors(rows: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.from_numpy(RNG.normal(size=(rows, *shape))).to(dtype) for shape in SHAPES]


@pytest.fixture
def ends() -> Ends:
    """Three results of two paths each; the second baseline is shared by all of them."""
    start_rows = np.array([0, 3, 1, 3, 2, 3])
    return Ends(tensors(4), tensors(3), start_rows, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 2, 2]))


BACKEND = TorchBackend(torch.tanh)


def run(rows: Any, seed: int, batches: list[list[int]]) -> tuple[list[Any], tuple[Any, ...], list[Any]]:
    """Feed random gradients, path by path, and return results, norms and slopes."""
    rng = np.random.default_rng(seed)
    slopes = []
    for paths in batches:
        index = np.array(paths)
        grads = [torch.from_numpy(rng.normal(size=(len(index), *shape))) for shape in SHAPES]
        slopes.append(rows.add(grads, index, rng.random((2, len(index)))))
        done = np.unique(index)
        rows.finish(done, np.full(len(done), 0.5))
    return rows.results(), rows.norms(), slopes


BATCHES = [[[0, 0, 1, 1, 2, 2], [3, 4, 4, 5]], [[0], [1], [2], [3], [4], [5]], [[5, 3, 1], [4, 2, 0]]]


@pytest.mark.parametrize("batches", BATCHES)
def test_host_and_device_agree(ends: Ends, batches: list[list[int]]) -> None:
    host, device = HostRows(BACKEND, ends, 2), DeviceRows(BACKEND, ends, 2)
    (mine, norms, slopes), (other, other_norms, other_slopes) = run(host, 1, batches), run(device, 1, batches)
    for a, b in zip(mine, other, strict=True):
        for layer in range(2):
            np.testing.assert_allclose(np.asarray(a[layer]), np.asarray(b[layer]), rtol=1e-13, atol=1e-14)
    for a, b in zip(norms, other_norms, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    for a, b in zip(slopes, other_slopes, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", [HostRows, DeviceRows])
def test_points_are_on_the_line_and_exact_at_its_ends(kind: Any, ends: Ends) -> None:
    paths, alphas = np.array([0, 1, 4, 5, 2]), np.array([0.0, 1.0, 0.25, 0.75, 0.5])
    points = kind(BACKEND, ends, 2).points(paths, alphas)
    for point, start, stop in zip(points, ends.start, ends.stop, strict=True):
        low, high = start[ends.start_rows[paths]], stop[ends.stop_rows[paths]]
        shaped = torch.from_numpy(alphas).reshape(-1, *[1] * (low.ndim - 1))
        torch.testing.assert_close(point, low + shaped * (high - low), rtol=1e-14, atol=1e-14)
        assert torch.equal(point[0], low[0])
        assert torch.equal(point[1], high[1])


@pytest.mark.parametrize("kind", [HostRows, DeviceRows])
def test_ends_are_exact_where_the_difference_is_rounded(kind: Any) -> None:
    start, stop = torch.tensor([[1e8]], dtype=torch.float32), torch.tensor([[0.1]], dtype=torch.float32)
    index = np.zeros(1, dtype=np.int64)
    rows = kind(BACKEND, Ends([start], [stop], index, index, index), 2)
    assert float(rows.points(index, np.array([0.0]))[0]) == float(start)
    assert float(rows.points(index, np.array([1.0]))[0]) == float(stop)


@pytest.mark.parametrize("kind", [HostRows, DeviceRows])
def test_a_result_is_the_weighted_sum_times_the_step(kind: Any, ends: Ends) -> None:
    rows, paths = kind(BACKEND, ends, 2), np.array([2, 2, 3])
    grads, weights = tensors(3), RNG.random((2, 3))
    slopes = rows.add(grads, paths, weights)
    rows.finish(np.array([2, 3]), np.array([0.5, 0.25]))
    for leaf, (grad, start, stop) in enumerate(zip(grads, ends.start, ends.stop, strict=True)):
        step = stop[ends.stop_rows[paths]] - start[ends.start_rows[paths]]
        scales = torch.tensor([0.5, 0.5, 0.25], dtype=torch.float64).reshape(-1, *[1] * (step.ndim - 1))
        np.testing.assert_allclose(slopes[leaf], (grad * step).flatten(1).sum(1) if grad.ndim > 1 else grad * step)
        for layer in range(2):
            share = torch.from_numpy(weights[layer]).reshape(scales.shape)
            expected = (grad * step * scales * share).sum(0)
            np.testing.assert_allclose(np.asarray(rows.results()[leaf][layer][1]), expected, rtol=1e-13, atol=1e-15)
            assert not np.asarray(rows.results()[leaf][layer][[0, 2]]).any()


@pytest.mark.parametrize("kind", [HostRows, DeviceRows])
def test_a_leaf_without_gradient_adds_nothing(kind: Any, ends: Ends) -> None:
    rows = kind(BACKEND, ends, 2)
    given = tensors(2)
    slopes = rows.add([given[0], None, given[2]], np.array([0, 1]), np.ones((2, 2)))
    rows.finish(np.array([0, 1]), np.ones(2))
    assert not slopes[1].any()
    assert not np.asarray(rows.results()[1][0]).any()
    assert np.asarray(rows.results()[0][0]).any()


@pytest.mark.parametrize("kind", [HostRows, DeviceRows])
def test_a_slot_is_clean_for_its_next_path(kind: Any, ends: Ends) -> None:
    rows = kind(BACKEND, ends, 2)
    bad = [torch.full_like(leaf, float("nan")) for leaf in tensors(1)]
    rows.add(bad, np.array([0]), np.ones((2, 1)))
    rows.finish(np.array([0]), np.ones(1))
    rows.add(tensors(1), np.array([2]), np.ones((2, 1)))
    rows.finish(np.array([2]), np.ones(1))
    first, second = (np.asarray(rows.results()[0][0][k]) for k in (0, 1))
    assert np.isnan(first).all()
    assert np.isfinite(second).all(), "the NaN of one path must not reach another"


def test_slots_are_used_again() -> None:
    slots = Slots(100)
    for path in range(0, 100, 2):
        mine = slots.open(np.array([path, path, path + 1]))
        assert mine[0] == mine[1] != mine[2]
        assert set(slots.close(np.array([path, path + 1])).tolist()) == set(mine.tolist())
    assert slots.capacity == 2


def test_slots_stay_with_their_open_path() -> None:
    slots = Slots(4)
    first = slots.open(np.array([3]))
    slots.open(np.array([0, 1]))
    assert slots.open(np.array([3])) == first
    slots.close(np.array([0]))
    assert slots.open(np.array([2])) not in (first, slots.open(np.array([1])))


def test_accumulators_do_not_grow_with_the_paths() -> None:
    stop = torch.zeros(500, 4, dtype=torch.float64)
    index = np.arange(500)
    rows = HostRows(BACKEND, Ends([stop[:1]], [stop], np.zeros(500, dtype=np.int64), index, index), 2)
    for path in range(0, 500, 5):
        mine = index[path : path + 5]
        rows.add([torch.ones(5, 4, dtype=torch.float64)], mine, np.ones((2, 5)))
        rows.finish(mine, np.ones(5))
    assert rows._totals[0].shape == (5, 2, 4)


def test_the_choice_follows_the_tensors(ends: Ends) -> None:
    assert isinstance(rows_for(BACKEND, ends, 2), HostRows)
    half = Ends([t.half() for t in ends.start], [t.half() for t in ends.stop], *[ends.start_rows] * 3)
    assert isinstance(rows_for(BACKEND, half, 2), DeviceRows)


def test_half_precision_is_summed_in_float64() -> None:
    ones = torch.ones(1, 3, dtype=torch.float16)
    index = np.zeros(1, dtype=np.int64)
    rows = DeviceRows(BACKEND, Ends([ones * 0], [ones], index, index, index), 2)
    for _ in range(4096):  # beyond 2048 a float16 sum of ones stands still
        rows.add([ones], index, np.ones((2, 1)))
    rows.finish(index, np.ones(1))
    assert rows.results()[0][0].dtype == torch.float64
    assert rows.results()[0][0].tolist() == [[4096.0] * 3]


def test_the_numpy_backend_can_serve_device_rows_too() -> None:
    backend = CallableBackend(np.tanh, np.tanh)
    start, stop = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    index = np.arange(2)
    given = Ends([start], [stop], index, index, index)
    grads, weights = [RNG.normal(size=(2, 3))], RNG.random((2, 2))
    found = []
    for kind in (HostRows, DeviceRows):
        rows = kind(backend, given, 2)
        rows.add(grads, index, weights)
        rows.finish(index, np.ones(2))
        found.append(rows.results()[0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-14)
