"""Attributions along the path: exact integrals of known models, sums that come out, the model that was explained."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import zoo
from frameworks import explain, explainer
from hypothesis import given, settings
from hypothesis import strategies as st

import pyig
from pyig import tree
from pyig.errors import InputError, PyigError
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.integrate.curves import running

RNG = np.random.default_rng(3)
WIDTH, HIDDEN = 5, 7
W, B, V = RNG.normal(size=(WIDTH, HIDDEN)), RNG.normal(size=HIDDEN), RNG.normal(size=(HIDDEN, 3))
X, START = RNG.normal(size=(3, WIDTH)), RNG.normal(size=(3, WIDTH))


def net(act: str) -> pyig.IntegratedGradients:
    def backward(x: Any, cotangent: Any) -> Any:
        z = x @ W + B
        slope = 1 - np.tanh(z) ** 2 if act == "tanh" else (z > 0) * 1.0
        return ((cotangent @ V.T) * slope) @ W.T

    def forward(x: Any) -> Any:
        z = x @ W + B
        return (np.tanh(z) if act == "tanh" else np.maximum(z, 0)) @ V

    return pyig.IntegratedGradients(forward, gradient=backward)


def exact(act: str, i: int, alphas: Any, target: int = 1) -> Any:
    """Attributions from x' to every point of the path, known in closed form, (n, WIDTH)."""
    points = START[i] + alphas[:, None] * (X[i] - START[i])
    return zoo.ridges(W, B, V[:, target], act, points, np.broadcast_to(START[i], points.shape))


def in_order(lines: CumulativeAttributions) -> Any:
    """Return the lines by position of their features."""
    return lines.cumulative[:, [lines.names.index(f"x[{n}]") for n in range(WIDTH)]]


# --- exact integrals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["tanh", "relu"])
@pytest.mark.parametrize("options", [{}, {"n_steps": 24}, {"method": "riemann_trapezoid", "n_steps": 33}])
def test_lines_are_the_integrals_up_to_there(act: str, options: dict[str, Any]) -> None:
    ig = net(act)
    e = ig.explain(X, START, 1, **options)
    for i in range(len(X)):
        lines = ig.along(e, i, top=WIDTH)
        size = np.abs(e.attributions[i]).sum()
        off = np.abs(in_order(lines) - exact(act, i, lines.alphas)).sum(axis=1).max()
        assert off < 0.02 * size + lines.error
        assert lines.reconciles
        # A path may begin beside a kink: the first node then stands next to the end.
        np.testing.assert_allclose(lines.slopes.sum(axis=1)[1:], _slopes(ig, i, lines.alphas)[1:], rtol=1e-9)


def test_many_nodes_come_closer() -> None:
    ig = net("tanh")
    e = ig.explain(X, START, 1, rtol=1e-6)
    off = []
    for nodes in (9, 33, 129):
        lines = ig.along(e, 0, top=WIDTH, nodes=nodes)
        off.append(np.abs(in_order(lines) - exact("tanh", 0, lines.alphas)).max())
        assert lines.n_evals == nodes
    assert off[0] > 5 * off[1] > 25 * off[2]
    assert off[2] < 1e-5


def _slopes(ig: pyig.IntegratedGradients, i: int, alphas: Any) -> Any:
    points = START[i] + alphas[:, None] * (X[i] - START[i])
    gradient = np.concatenate([ig._gradient(p[None], cotangent=np.eye(3)[1:2]) for p in points])
    return gradient @ (X[i] - START[i])


@pytest.mark.parametrize("value", ["probability", "log_probability", "log_odds", "output"])
def test_they_are_the_derivative_of_what_was_explained(value: str) -> None:
    """F along the path is the running sum of all lines, for probabilities too, which rise between two nodes."""
    ig = pyig.IntegratedGradients(_steep())
    x = torch.tensor([[4.0, 1.0, -2.0]], dtype=torch.float64)
    e = ig.explain(x, target=0, value=value, output_kind="logits", rtol=1e-3)
    lines = ig.along(e)
    np.testing.assert_allclose(lines.cumulative.sum(axis=1), lines.values - lines.values[0], atol=2e-2 * lines_size(e))
    assert lines.values[[0, -1]] == pytest.approx([e.baseline_values[0], e.values[0]], rel=1e-9)
    step = 1e-6
    for alpha, slope in zip(lines.alphas[1:-1], lines.slopes[1:-1].sum(axis=1), strict=True):
        near = [_value(ig.model, x * (alpha + d), value) for d in (step, -step)]
        assert slope == pytest.approx((near[0] - near[1]) / (2 * step), rel=1e-4, abs=1e-6)


def lines_size(e: pyig.Explanation) -> float:
    return float(np.abs(e.attributions[0]).sum())


def _steep() -> torch.nn.Module:
    model = torch.nn.Linear(3, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, -2.0, 1.0], [-2.0, 1.0, 0.5]]))
        model.bias.copy_(torch.tensor([-6.0, 2.0]))
    return model


def _value(model: torch.nn.Module, x: torch.Tensor, value: str) -> float:
    p = torch.softmax(model(x), 1)[0, 0]
    forms = {
        "probability": p,
        "log_probability": p.log(),
        "log_odds": p.log() - (1 - p).log(),
        "output": model(x)[0, 0],
    }
    return float(forms[value].detach())


def test_integrals_through_nodes_are_those_of_cubics() -> None:
    alphas = np.array([0.0, 0.1, 0.35, 0.6, 1.0])
    line = np.stack([alphas, np.ones(5)], axis=1)
    np.testing.assert_allclose(running(alphas, line).sum(axis=0), [0.5, 1.0])
    step = np.where(alphas > 0.3, 1.0, 0.0)[:, None]
    assert (running(alphas, step) >= 0).all()  # a jump is not answered with a swing
    assert (running(alphas, step) <= np.diff(alphas)[:, None] + 1e-12).all()
    odds = 60 * alphas - 30
    found = running(alphas, np.full((5, 1), 60.0), odds, np.full(5, 60.0)).sum()
    assert found == pytest.approx(1.0, rel=1e-3)  # p rises by one between two nodes, where p' is nothing at all nodes


# --- sums --------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    act=st.sampled_from(["tanh", "relu"]),
    top=st.integers(1, 6),
    nodes=st.sampled_from([None, 5, 8, 33]),
    target=st.integers(0, 2),
    method=st.sampled_from([{}, {"n_steps": 5}, {"n_steps": 40}]),
)
def test_the_lines_add_up_to_all_attributions(
    seed: int, act: str, top: int, nodes: int | None, target: int, method: dict[str, Any]
) -> None:
    rng = np.random.default_rng(seed)
    ig, x, start = net(act), rng.normal(size=(2, WIDTH)) * 2, rng.normal(size=(1, WIDTH))
    e = ig.explain(x, start, target, **method)
    lines = ig.along(e, 1, top=top, nodes=nodes)
    np.testing.assert_allclose(lines.cumulative[-1].sum(), e.attributions[1].sum(), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(lines.cumulative[-1], lines.attributions)
    assert not lines.cumulative[0].any()
    shown = sorted(np.abs(e.attributions[1]))[::-1]
    own = len(lines.names) - (lines.others > 0)
    np.testing.assert_allclose(np.abs(lines.attributions[:own]), shown[:own])
    assert own + lines.others == WIDTH
    inner = lines.saturated
    assert ((inner >= 0) & (inner <= 1)).all()
    assert (np.diff(inner.ravel()) > 0).all()


@pytest.mark.parametrize("name", zoo.ENTRIES)
def test_every_model_on_every_backend(backend: str, name: str) -> None:
    entry = zoo.ENTRIES[name]()
    ig = explainer(backend, entry)
    e = explain(backend, entry, rtol=1e-3)
    lines = ig.along(e, 1, top=3)
    total = sum(np.asarray(leaf)[1].sum() for leaf in tree.flatten(e.attributions)[0])
    assert lines.cumulative[-1].sum() == pytest.approx(total, rel=1e-9, abs=1e-12)
    assert lines.reconciles, lines
    size = sum(np.abs(np.asarray(leaf)[1]).sum() for leaf in tree.flatten(e.attributions)[0])
    assert np.abs(lines.residual).sum() < 0.02 * size
    np.testing.assert_allclose(lines.cumulative.sum(axis=1), lines.values - lines.values[0], atol=0.02 * size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_precisions(dtype: Any) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).to(
        torch.float32 if dtype is np.float32 else torch.float64
    )
    x = RNG.normal(size=(2, 4)).astype(dtype)
    seen = []
    model.register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    ig = pyig.IntegratedGradients(model)
    lines = ig.along(ig.explain(x, target=1, method="adaptive"), 1)
    assert {str(d) for d in seen} == {f"torch.{np.dtype(dtype)}"}
    assert lines.cumulative.dtype == np.float64
    assert lines.reconciles


# --- what is asked -----------------------------------------------------------------------------------------------


def test_the_nodes_are_those_of_the_explanation() -> None:
    ig = net("relu")
    e = ig.explain(X, START, 1)
    lines = ig.along(e, 2)
    path = e.path(2)
    nodes = ~np.isnan(path.slopes)
    np.testing.assert_allclose(lines.alphas, path.alphas[nodes], atol=1e-3)
    assert lines.n_evals == e.n_evals[2]
    np.testing.assert_allclose(lines.slopes.sum(axis=1), path.slopes[nodes], rtol=1e-9)
    fixed = ig.along(ig.explain(X, START, 1, n_steps=6))
    assert fixed.n_evals == 8  # and both ends
    thin = ig.along(e, 2, nodes=7)
    assert set(thin.alphas) <= set(path.alphas)
    assert len(thin.alphas) == 7


def test_other_targets_and_contrasts() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 4)).double()
    ig = pyig.IntegratedGradients(model)
    e = ig.explain(X, START, "top3")
    lines = ig.along(e, 1, 2)
    assert lines.title == f"sample 1, target {e.targets[1, 2]}"
    assert lines.cumulative[-1].sum() == pytest.approx(e.attributions[1, 2].sum())
    assert lines.reconciles
    against = ig.explain(X, START, 0, contrast=[1, 2, 3])
    assert ig.along(against, 2, contrast=[1, 2, 3]).reconciles
    with pytest.raises(InputError, match="options of the explanation"):
        ig.along(against, 2)


def test_a_target_of_ones_own_is_given_again() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 4)).double()
    ig = pyig.IntegratedGradients(model)

    def energy(out: torch.Tensor) -> torch.Tensor:
        return out.square().sum(1)

    e = ig.explain(X, START, energy)
    lines = ig.along(e, 1, function=energy)
    assert lines.reconciles
    with pytest.raises(InputError, match="options of the explanation"):
        ig.along(e, 1)


def test_several_baselines_are_averaged() -> None:
    ig, several = net("tanh"), list(RNG.normal(size=(4, WIDTH)))
    for options in ({}, {"method": "expected", "n_steps": 4000, "rng": 0}):
        e = ig.explain(X, several, 1, **options)
        lines = ig.along(e, 1, baselines=several, top=WIDTH)
        assert lines.n_evals == 4 * len(lines.alphas)
        assert lines.meta["baselines"] == 4
        alone = [
            ig.along(ig.explain(X, start, 1, method="riemann_trapezoid", n_steps=33), 1, top=WIDTH) for start in several
        ]
        assert [len(one.alphas) for one in alone] == [33] * 4
        np.testing.assert_allclose(
            in_order(lines), np.mean([in_order(one) for one in alone], axis=0), atol=0.03 * lines_size(e)
        )
        with pytest.raises(InputError, match="averages 4"):
            ig.along(e, 1)


def test_a_layer_is_asked_for_with_the_models_input() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 4), torch.nn.Tanh()).double()
    ig = pyig.IntegratedGradients(model)
    x = torch.from_numpy(X)
    e = ig.explain(x, target=2, layer=model[1])
    lines = ig.along(e, 2, x=x, layer=model[1], top=7)
    assert sorted(lines.names) == sorted(f"x[{n}]" for n in range(7))
    assert lines.reconciles
    with pytest.raises(InputError, match="x= as well"):
        ig.along(e, layer=model[1])
    with pytest.raises(InputError, match="layer= as well"):
        ig.along(e, x=x)


def test_token_ids_have_a_line_each() -> None:
    from test_tokens import IDS, Columns, Reader

    ig = pyig.IntegratedGradients(Reader().double())
    e = ig.explain(IDS, target=1)
    lines = ig.along(e, 1, top=2)
    assert lines.others == 2
    assert lines.reconciles
    assert lines.cumulative[-1].sum() == pytest.approx(e.attributions[1].sum())
    columns = {"country": IDS[:, 0] % 10, "city": IDS[:, 1] % 10}
    two = pyig.IntegratedGradients(Columns().double())
    lines = two.along(two.explain(columns, target=0), 1)
    assert set(lines.names) == {"country", "city"}
    assert lines.reconciles


def test_frames_keywords_and_held_inputs() -> None:
    ig = net("tanh")
    frame = pd.DataFrame(X, columns=list("abcde"), index=["p", "q", "r"])
    lines = ig.along(ig.explain(frame, target=1), 1, features=["b", "e"])
    assert lines.names == ("b", "e", "3 others")
    assert lines.title == "sample q, target 1"

    def scaled(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        return (x * factor[:, None]).tanh().sum(1)

    factor = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    by = pyig.IntegratedGradients(scaled)
    e = by.explain(torch.from_numpy(X), forward_kwargs={"factor": factor})
    assert by.along(e, 2, forward_kwargs={"factor": factor}).reconciles


# --- saturation, stops, data -------------------------------------------------------------------------------------


def test_saturation_is_where_nothing_moves() -> None:
    ig = pyig.IntegratedGradients(lambda x: np.tanh(x).sum(axis=1), gradient=lambda x: 1 - np.tanh(x) ** 2)
    lines = ig.along(ig.explain(np.array([[20.0, 0.0]])), nodes=101)
    ((start, stop),) = lines.saturated
    assert stop == 1
    assert start == pytest.approx(np.arctanh(np.sqrt(0.99)) / 20, abs=0.011)  # 1 - tanh^2 = 0.01
    moving = pyig.IntegratedGradients(lambda x: x.sum(axis=1), gradient=np.ones_like)
    assert len(moving.along(moving.explain(np.ones((1, 2)), method="adaptive")).saturated) == 0
    # Two lines against each other: F stands still, and yet it is no saturated stretch.
    apart = np.array([[1.0, -1.0]])
    against = moving.along(moving.explain(apart, method="adaptive"))
    np.testing.assert_allclose(against.values, 0, atol=1e-15)
    assert len(against.saturated) == 0


def test_a_stopped_run_shows_what_it_has() -> None:
    ig, stop, calls = net("tanh"), threading.Event(), []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))
        if done >= 9:
            stop.set()

    e = ig.explain(X, START, 1)
    lines = ig.along(e, nodes=33, batch_size=3, progress=progress, cancel=stop)
    assert not lines.complete
    assert "stopped early" in repr(lines)
    assert 9 <= lines.n_evals < 33
    assert lines.cumulative[-1].sum() == pytest.approx(e.attributions[0].sum())
    assert [lines.alphas[0], lines.alphas[-1]] == [0, 1]
    stop.set()
    with pytest.raises(PyigError, match="stopped before"):
        ig.along(e, cancel=stop)


def test_the_same_numbers_in_any_batch() -> None:
    ig = net("relu")
    e = ig.explain(X, START, 1)
    one, all_ = (ig.along(e, 1, batch_size=size) for size in (1, "auto"))
    np.testing.assert_allclose(one.cumulative, all_.cumulative, rtol=1e-12, atol=1e-14)


def test_another_model_is_noticed() -> None:
    e = net("tanh").explain(X, START, 1)
    with pytest.raises(InputError, match="F\\(x\\) is"):
        net("relu").along(e)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"top": 0}, "top="),
        ({"nodes": 3}, "nodes="),
        ({"nodes": 2.5}, "nodes="),
        ({"sample": 3}, "sample=3"),
        ({"target": 1}, "target=1"),
        ({"features": ["nobody"]}, "nobody"),
        ({"features": [9]}, "below 5"),
        ({"features": []}, "different"),
        ({"colour": 3}, "colour"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], match: str) -> None:
    ig = net("tanh")
    with pytest.raises(InputError, match=match):
        ig.along(ig.explain(X, START, 1), **options)


def test_data_out_and_in_again() -> None:
    ig = net("tanh")
    lines = ig.along(ig.explain(X, START, 1), 1, top=2)
    again = CumulativeAttributions.from_dict(json.loads(json.dumps(lines.to_dict())))
    for name, value in vars(lines).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    with pytest.raises(InputError, match="alphas"):
        CumulativeAttributions.from_dict({k: v for k, v in lines.to_dict().items() if k != "alphas"})
    with pytest.raises(InputError, match="from 0 to 1"):
        CumulativeAttributions.from_dict(lines.to_dict() | {"alphas": list(lines.alphas[::-1])})
    frame = lines.to_frame()
    assert list(frame.columns) == ["alpha", "F", "feature", "slope", "cumulative"]
    assert frame.groupby("feature", sort=False)["cumulative"].last().tolist() == lines.attributions.tolist()
    np.testing.assert_allclose(lines.at(1.0), lines.attributions)
    np.testing.assert_allclose(lines.at(float(lines.alphas[1])), lines.cumulative[1])
    with pytest.raises(InputError, match="between 0 and 1"):
        lines.at(1.2)
