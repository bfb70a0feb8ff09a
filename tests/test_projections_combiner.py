"""The projection of a linear combiner, against Integrated Gradients at the vectors, computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import samples
from hypothesis import given
from hypothesis import strategies as st

from pyig import IntegratedGradients
from pyig.errors import InputError
from pyig.projections import LinearCombiner, project

TABLE = np.random.default_rng(1).normal(size=(7, 4))
IDS = np.array([[3, 5, 1], [2, 2, 0], [6, 0, 0]])
MASK = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]], bool)
WEIGHTS = np.array([[1.0, 2.0, 0.5], [1.0, 3.0, 9.0], [0.25, 1.0, 1.0]])
DIRECTION = np.array([0.9, -0.4, 0.7, 0.2])


def combined(vectors: Any, weights: Any, combiner: str) -> Any:
    w = weights * MASK
    norm = {"sum": 1.0, "mean": w.sum(1, keepdims=True), "sqrtn": np.sqrt((w**2).sum(1, keepdims=True))}[combiner]
    return np.einsum("nt,nte->ne", w / norm, vectors)


def cubic(e: Any) -> Any:
    return ((e @ DIRECTION) ** 3).astype(float)


def cubic_gradient(e: Any) -> Any:
    return 3 * ((e @ DIRECTION) ** 2)[:, None] * DIRECTION


@pytest.mark.parametrize("start", [0.0, 0.3])
@pytest.mark.parametrize("weights", [np.ones((3, 3)), WEIGHTS], ids=["ones", "weights"])
@pytest.mark.parametrize("combiner", ["sum", "mean", "sqrtn"])
def test_a_combiner_is_integrated_gradients_at_the_vectors(combiner: str, weights: Any, start: float) -> None:
    vectors = TABLE[IDS]
    e = combined(vectors, weights, combiner)
    before = IntegratedGradients(cubic, gradient=cubic_gradient).explain(e, baselines=start, n_steps=4)
    got = project(before, LinearCombiner(IDS, vectors, weights, MASK, combiner)).attributions["x"]

    # The same model as a function of the vectors; each starts at the baseline over the sum of its row's coefficients.
    w = weights * MASK
    norm = {"sum": 1.0, "mean": w.sum(1, keepdims=True), "sqrtn": np.sqrt((w**2).sum(1, keepdims=True))}[combiner]
    c = w / norm
    nodes, rule = np.polynomial.legendre.leggauss(4)
    first = np.broadcast_to(start / c.sum(1)[:, None, None], vectors.shape)
    expected = np.zeros(vectors.shape)
    for node, weight in zip((nodes + 1) / 2, rule / 2, strict=True):
        point = first + node * (vectors - first)
        outer = cubic_gradient(np.einsum("nt,nte->ne", c, point))
        expected += weight * (vectors - first) * c[:, :, None] * outer[:, None, :]
    assert np.allclose(got, expected.sum(axis=2), rtol=1e-9, atol=1e-12)
    assert np.all(got[~MASK] == 0)
    assert np.allclose(got.sum(axis=1), cubic(e) - cubic(np.full_like(e, start)))


def test_weights_that_cancel_still_share_the_baseline() -> None:
    weights = np.array([[1.0, -1.0]])
    vectors = np.array([[[1.0, 2.0], [0.5, -1.0]]])
    e = (weights[..., None] * vectors).sum(axis=1)
    before = samples.make(e, np.array([[2.0, 1.0]]), baselines=[[0.1, 0.2]])
    after = project(before, LinearCombiner(np.array([["a", "b"]]), vectors, weights, combiner="sum"))
    assert np.allclose(after.attributions["x"].sum(axis=1), 3.0)


def test_a_row_without_values_keeps_its_sum() -> None:
    mask = np.array([[False, False], [True, False]])
    vectors = np.ones((2, 2, 3)) * 2
    e = np.array([[0.0, 0, 0], [2, 2, 2]])
    before = samples.make(e, np.arange(6.0).reshape(2, 3), baselines=[[1.0, 1.0, 1.0]])
    after = project(before, LinearCombiner(np.array([["", ""], ["a", ""]]), vectors, mask=mask))
    assert after.inputs["x"].tolist() == [["(none)", ""], ["a", ""]]
    assert after.attributions["x"].tolist() == [[3.0, 0.0], [12.0, 0.0]]


def test_where_the_vector_is_its_baseline_the_gradient_is_asked_for() -> None:
    vectors = np.array([[[1.0, 2.0], [-1.0, 4.0]]])  # their mean is 0 in the first element
    before = samples.make(np.array([[0.0, 3.0]]), np.array([[0.0, 6.0]]))
    with pytest.raises(InputError, match="gradient="):
        project(before, LinearCombiner([[1, 2]], vectors))
    after = project(before, LinearCombiner([[1, 2]], vectors, gradient=np.array([[5.0, 2.0]])))
    assert np.allclose(after.attributions["x"], [[0.5 * (5 + 4), 0.5 * (-5 + 8)]])


def test_a_gradient_of_something_else_is_refused() -> None:
    before = samples.make(np.array([[1.0, 3.0]]), np.array([[1.0, 6.0]]))
    with pytest.raises(InputError, match="differ"):
        project(before, LinearCombiner([[1]], np.array([[[1.0, 3.0]]]), gradient=np.array([[1.0, 1.0]])))


def test_a_wrong_combiner_is_found() -> None:
    vectors = TABLE[IDS]
    e = combined(vectors, np.ones((3, 3)), "mean")
    before = samples.make(e, e)
    project(before, LinearCombiner(IDS, vectors, mask=MASK))
    for wrong in ({"combiner": "sum", "mask": MASK}, {"mask": None}, {"mask": MASK, "weights": WEIGHTS}):
        with pytest.raises(InputError, match="Check combiner="):
            project(before, LinearCombiner(IDS, vectors, **wrong))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": [1, 2], "vectors": np.ones((2, 3))}, "values \\(N, T\\)"),
        ({"values": np.ones((2, 0)), "vectors": np.ones((2, 0, 3))}, "at least one place"),
        ({"values": [[1]], "vectors": np.ones((1, 1, 3)), "weights": [[1, 2]]}, "weights="),
        ({"values": [[1]], "vectors": np.ones((1, 1, 3)), "combiner": "max"}, "unknown combiner 'max'"),
    ],
)
def test_a_combiner_checks_its_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LinearCombiner(**arguments)


@given(
    ids=st.lists(st.lists(st.integers(0, 6), max_size=4), min_size=1, max_size=3),
    combiner=st.sampled_from(["sum", "mean", "sqrtn"]),
    start=st.sampled_from([0.0, 0.77]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_combiner_keeps_the_sum(ids: list[list[int]], combiner: str, start: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, t = len(ids), max(1, *map(len, ids))
    padded = np.array([[*row, *[0] * (t - len(row))] for row in ids])
    mask = np.array([[i < len(row) for i in range(t)] for row in ids])
    w = rng.uniform(0.5, 2.0, (n, t))
    own = w * mask
    norm = {"sum": np.ones(n), "mean": own.sum(1), "sqrtn": np.sqrt((own**2).sum(1))}[combiner]
    e = np.einsum("nt,nte->ne", own / np.where(norm > 0, norm, 1)[:, None], TABLE[padded])
    gradient = rng.normal(size=(n, 2, 4))
    before = samples.make(e, gradient * (e - start)[:, None], baselines=np.full((1, 4), start))
    after = project(before, LinearCombiner(padded, TABLE[padded], w, mask, combiner, gradient))
    assert np.allclose(after.attributions["x"].sum(axis=-1), before.attributions.sum(axis=-1), rtol=1e-9, atol=1e-9)


def test_the_sum_is_kept_where_values_cancel_in_float32() -> None:
    vectors = np.array([[[1000.1, 1.0], [-1000.05, 2.0], [0.3, 5.0]]], np.float32)
    e = vectors.mean(axis=1)
    assert abs(e[0, 0] - vectors.astype(float).mean(axis=1)[0, 0]) > 1e-9, "the tensor is rounded"
    before = samples.make(e, np.array([[0.3, 0.7]]))
    after = project(before, LinearCombiner([["up", "down", "flat"]], vectors))
    assert abs(after.attributions["x"].sum() - 1.0) < 1e-9
    assert after.attributions["x"][0, 0] > 1000 * abs(before.attributions[0, 0])


def test_it_is_said_that_parts_may_be_less_accurate() -> None:
    vectors = np.array([[[1.0, 2.0], [3.0, 2.0]]])
    before = samples.make(vectors.mean(axis=1), np.array([[1.0, 1.0]]))
    assert any("combined vector" in note for note in project(before, LinearCombiner([[1, 2]], vectors)).meta["notes"])
    alone = project(samples.make(vectors[:, 0], np.array([[1.0, 1.0]])), LinearCombiner([[1]], vectors[:, :1]))
    assert alone.meta["notes"] == []
