"""The path itself: every point lies on its line, at a node, once; every call is full; batches leave no trace."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
import spies
import torch
import zoo
from frameworks import explainer
from torch.utils._python_dispatch import TorchDispatchMode

import pyig
from pyig import quadrature, tree
from pyig.backends.torch import TorchBackend

RNG = np.random.default_rng(0)
X, START = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 3))
SPIES = pytest.mark.parametrize("kind", ["callable", "torch"])


@SPIES
@pytest.mark.parametrize("rule", ["gausslegendre", "simpson", "riemann_left"])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 35, "auto"])
def test_every_node_of_every_sample_is_asked_once(kind: str, rule: str, batch_size: Any) -> None:
    ig, log = spies.spy(kind)
    found = ig.explain(X, START, method=rule, n_steps=7, batch_size=batch_size)
    nodes = quadrature.make_rule(rule, 7).nodes
    pairs = log.pairs(X, START, nodes)
    assert sorted(pairs) == list(itertools.product(range(5), range(7)))
    assert (found.n_evals == 7).all()


def test_the_check_of_points_can_fail() -> None:
    log = spies.Log(nodes=[START[:1] + 0.5 * (X - START)[:1] + 1e-6])
    with pytest.raises(AssertionError, match="on no path"):
        log.pairs(X, START, np.array([0.5]))
    log = spies.Log(nodes=[START[:1] + 0.4 * (X - START)[:1]])
    with pytest.raises(AssertionError, match="no node"):
        log.pairs(X, START, np.array([0.5]))


@SPIES
def test_both_ends_are_asked_once(kind: str) -> None:
    ig, log = spies.spy(kind)
    found = ig.explain(X, START, n_steps=3, batch_size=4)
    ends = np.concatenate(log.ends)
    np.testing.assert_array_equal(ends, np.concatenate([X, START]))
    np.testing.assert_allclose(found.values, np.tanh(X @ spies.W), rtol=1e-14)
    np.testing.assert_allclose(found.baseline_values, np.tanh(START @ spies.W), rtol=1e-14)


@SPIES
def test_a_shared_baseline_is_asked_once_for_all(kind: str) -> None:
    ig, log = spies.spy(kind)
    ig.explain(np.tile(X, (40, 1)), START[:1], n_steps=3, batch_size=2)
    ends = np.concatenate(log.ends)
    assert (ends == START[:1]).all(axis=1).sum() == 1


@SPIES
def test_end_nodes_give_the_ends_exactly(kind: str) -> None:
    ig, log = spies.spy(kind)
    ig.explain(X, START, method="riemann_trapezoid", n_steps=4)
    points = np.concatenate(log.nodes)
    for end in (*X, *START):
        assert (points == end).all(axis=1).sum() == 1


@SPIES
@pytest.mark.parametrize("batch_size", [1, 3, 10, 16])
def test_every_call_is_full_but_the_last(kind: str, batch_size: int) -> None:
    ig, log = spies.spy(kind)
    found = ig.explain(X, START, n_steps=6, batch_size=batch_size)
    rows = log.rows()
    assert set(rows[:-1]) <= {batch_size}
    assert len(rows) == -(-30 // batch_size)
    ends = 2 * -(-5 // batch_size)
    assert found.meta["model_calls"] == len(rows) + len(log.ends) == len(rows) + ends
    assert found.meta["batch_rows"] == batch_size


@SPIES
def test_many_samples_leave_few_short_calls(kind: str) -> None:
    ig, log = spies.spy(kind)
    x = np.random.default_rng(1).normal(size=(400, 3))
    ig.explain(x, START[:1], n_steps=9, batch_size=16)
    rows = log.rows()
    assert sum(rows) == 3600
    assert sum(r < 16 for r in rows) <= len(rows) / 32 + 1, "one per block of samples, and a block is long"


SEAMS = [
    ("tanh", {}),
    ("kinked", {"method": "simpson"}),
    ("classes", {"target": "top2"}),
    ("record", {}),
    ("tokens", {}),
    ("affine", {"baselines": [np.zeros(5), np.ones(5), "mean"]}),
]


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize(("name", "options"), SEAMS)
def test_batches_leave_no_seam(name: str, options: Any, host: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not host:
        monkeypatch.setattr(TorchBackend, "on_host", lambda self, tensor: False)
    entry = zoo.ENTRIES[name]()
    ig = explainer("torch", entry)
    given = {"baselines": entry.baseline, "target": entry.target, "n_steps": 9} | options
    whole = ig.explain(entry.x, **given, batch_size=4096)
    for rows in range(1, 11):
        cut = ig.explain(entry.x, **given, batch_size=rows)
        for a, b in zip(tree.flatten(cut.attributions)[0], tree.flatten(whole.attributions)[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)
        for field in ("values", "baseline_values", "deltas", "error", "path_values", "path_slopes"):
            np.testing.assert_allclose(getattr(cut, field), getattr(whole, field), rtol=0, atol=1e-12, err_msg=field)
        for field in ("n_evals", "path_alphas", "path_weights", "path_offsets"):
            np.testing.assert_array_equal(getattr(cut, field), getattr(whole, field), err_msg=field)


def test_one_vector_jacobian_product_per_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, ...]] = []
    real = torch.autograd.grad

    def counted(outputs: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append(tuple(outputs.shape))
        return real(outputs, *args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    module = spies.TorchSpy(columns=3)
    pyig.IntegratedGradients(module).explain(X, START, target=[0, 1, 2, 1, 0], n_steps=8, batch_size=16)
    assert calls == [(16, 3), (16, 3), (8, 3)] == [(rows, 3) for rows in module.log.rows()]


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


@pytest.mark.parametrize("host", [True, False])
def test_the_path_is_never_materialised(host: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not host:
        monkeypatch.setattr(TorchBackend, "on_host", lambda self, tensor: False)
    ig, _ = spies.spy("torch")
    largest = {}
    for n in (20, 200):
        with Largest() as seen:
            ig.explain(X, START, n_steps=n, batch_size=10)
        largest[n] = seen.elements
    assert largest[20] == largest[200] <= 10 * X.shape[1]


def test_the_point_buffer_is_used_again() -> None:
    ig, log = spies.spy("callable")
    ig.explain(X, START, n_steps=40, batch_size=10)
    assert len(log.addresses) == 20
    assert len(set(log.addresses)) == 1


@pytest.mark.parametrize("speed", ["slow", "fast", "wild"])
def test_counts_do_not_depend_on_the_clock(speed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    step = {"slow": lambda: 1.0, "fast": lambda: 1e-9, "wild": lambda: float(rng.exponential())}[speed]
    now = [0.0]

    def clock() -> float:
        now[0] += step()
        return now[0]

    monkeypatch.setattr(time, "perf_counter", clock)
    for batch_size in (8, "auto"):
        ig, log = spies.spy("callable")
        found = ig.explain(X, START, n_steps=20, batch_size=batch_size, progress=False)
        assert sorted(log.pairs(X, START, quadrature.make_rule("gausslegendre", 20).nodes)) == list(
            itertools.product(range(5), range(20))
        )
        if batch_size == 8:
            assert log.rows() == [8] * 12 + [4]
        assert found.n_evals.sum() == 100


@SPIES
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_points_have_the_dtype_of_the_input(kind: str, dtype: Any) -> None:
    ig, log = spies.spy(kind)
    if kind == "torch":
        ig.model.to(torch.float64 if dtype == np.float64 else torch.float32)
    ig.explain(X.astype(dtype), START.astype(dtype), n_steps=3)
    assert {points.dtype for points in (*log.nodes, *log.ends)} == {np.dtype(dtype)}


@SPIES
def test_the_record_of_the_path_is_what_the_model_said(kind: str) -> None:
    ig, _ = spies.spy(kind)
    found = ig.explain(X, START, n_steps=6, batch_size=4)
    for i in range(5):
        path = found.path(i)
        points = START[i] + path.alphas[:, None] * (X[i] - START[i])
        np.testing.assert_allclose(path.values, np.tanh(points @ spies.W), rtol=0, atol=1e-14)
        slopes = (1 - np.tanh(points @ spies.W) ** 2) * ((X[i] - START[i]) @ spies.W)
        inner = path.weights > 0
        assert inner.sum() == 6
        np.testing.assert_allclose(path.slopes[inner], slopes[inner], rtol=0, atol=1e-14)
        assert (path.weights[inner] * path.slopes[inner]).sum() == pytest.approx(found.attributions[i].sum(), abs=1e-14)
