"""The axioms of Integrated Gradients, and of a batch, on random networks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import frameworks
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tape import Step, value

import pyig
from pyig.quadrature import rule_names

BACKENDS = pytest.mark.parametrize("kind", ["callable", "torch"])
SMOOTH = ("tanh", "softplus", "sigmoid")
seeds = st.integers(0, 2**31)
rules = st.sampled_from(rule_names()).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from([3, 5, 9])))


@st.composite
def networks(draw: Any, acts: tuple[str, ...] = (*SMOOTH, "relu"), outputs: int = 1) -> list[Step]:
    """One to three hidden layers from 4 inputs, any width, any units; the output is a column or several."""
    rng = np.random.default_rng(draw(seeds))
    sizes = [4, *draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)), outputs]
    steps: list[Step] = []
    for layer, (rows, columns) in enumerate(pairwise(sizes)):
        weights = (rng.normal(size=(rows, columns)) * draw(st.sampled_from([0.3, 1.0])), rng.normal(size=columns))
        steps.append(Step("dense", (len(steps),), weights))
        if layer < len(sizes) - 2:
            steps.append(Step(draw(st.sampled_from(acts)), (len(steps),)))
    return steps


@st.composite
def ends(draw: Any, samples: int = 3) -> tuple[Any, Any]:
    """Inputs, and a baseline for each."""
    rng = np.random.default_rng(draw(seeds))
    return rng.normal(size=(samples, 4)), rng.normal(size=(samples, 4))


def explain(kind: str, steps: list[Step], x: Any, start: Any, **options: Any) -> pyig.Explanation:
    built = frameworks.framework(kind).build(steps, (), np.float64)
    extra = {"gradient": built.gradient} if kind == "callable" else {}
    given = {"n_steps": 9, "target": 0, "progress": False} | options
    return pyig.IntegratedGradients(built, **extra).explain(x, start, **given)


def attributions(kind: str, steps: list[Step], x: Any, start: Any, **options: Any) -> Any:
    return explain(kind, steps, x, start, **options).attributions


def assert_same(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def shifted(steps: list[Step], by: int, first: int = 0) -> list[Step]:
    """Move a network up the tape; its input stays at position `first`."""
    return [replace(step, args=tuple(first if i == 0 else i + by for i in step.args)) for step in steps]


# --- the paper's -----------------------------------------------------------------------------------------------------


@BACKENDS
@settings(max_examples=40)
@given(networks(acts=SMOOTH), ends())
def test_completeness(kind: str, steps: list[Step], pair: Any) -> None:
    found = explain(kind, steps, *pair, n_steps=120)
    rise = (value(steps, [pair[0]]) - value(steps, [pair[1]]))[:, 0]
    np.testing.assert_allclose(found.attributions.sum(axis=1), rise, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.deltas, found.attributions.sum(axis=1) - rise, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.values - found.baseline_values, rise, rtol=0, atol=1e-10)


@BACKENDS
@settings(max_examples=30)
@given(networks(acts=("relu",)), ends(), rules)
def test_the_estimate_covers_the_error(kind: str, steps: list[Step], pair: Any, rule: Any) -> None:
    method, n = rule
    found = explain(kind, steps, *pair, method=method, n_steps=4 * n + 1)
    fine = explain("callable", steps, *pair, method="riemann_middle", n_steps=4000)
    true = np.abs(found.attributions - fine.attributions).sum(axis=1)
    size = np.abs(fine.attributions).sum(axis=1)
    assert (true <= 6 * found.error + 0.1 * size + 1e-9).all(), "kinks hide from any fixed rule, but not this far"
    assert (np.abs(found.deltas) <= found.error + 1e-12).all()


@BACKENDS
@settings(max_examples=30)
@given(networks(), networks(), ends(), rules, st.floats(-3, 3), st.floats(-3, 3))
def test_linearity(kind: str, f: list[Step], g: list[Step], pair: Any, rule: Any, a: float, b: float) -> None:
    zero = np.zeros(1)
    top = len(f)
    both = [
        *f,
        *shifted(g, top),
        Step("dense", (top,), (np.array([[a]]), zero)),
        Step("dense", (top + len(g),), (np.array([[b]]), zero)),
        Step("add", (top + len(g) + 1, top + len(g) + 2)),
    ]
    options = dict(zip(("method", "n_steps"), rule, strict=True))
    whole = attributions(kind, both, *pair, **options)
    parts = a * attributions(kind, f, *pair, **options) + b * attributions(kind, g, *pair, **options)
    assert_same(whole, parts)


@BACKENDS
@settings(max_examples=30)
@given(networks(), ends(), st.integers(0, 3), rules)
def test_a_feature_that_does_nothing_gets_nothing(
    kind: str, steps: list[Step], pair: Any, feature: int, rule: Any
) -> None:
    w, b = steps[0].weights
    blind = w.copy()
    blind[feature] = 0
    options = dict(zip(("method", "n_steps"), rule, strict=True))
    found = attributions(kind, [replace(steps[0], weights=(blind, b)), *steps[1:]], *pair, **options)
    assert (found[:, feature] == 0).all()
    x, start = pair
    start[:, feature] = x[:, feature]
    assert (attributions(kind, steps, x, start, **options)[:, feature] == 0).all(), "nor does one that does not move"


@BACKENDS
@settings(max_examples=30)
@given(networks(), ends(), rules)
def test_symmetric_features_share_equally(kind: str, steps: list[Step], pair: Any, rule: Any) -> None:
    w, b = steps[0].weights
    twin = w.copy()
    twin[1] = twin[2]
    x, start = pair
    x[:, 1], start[:, 1] = x[:, 2], start[:, 2]
    options = dict(zip(("method", "n_steps"), rule, strict=True))
    found = attributions(kind, [replace(steps[0], weights=(twin, b)), *steps[1:]], x, start, **options)
    assert_same(found[:, 1], found[:, 2])


@BACKENDS
@settings(max_examples=30)
@given(networks(acts=("relu", "tanh")), ends(), rules, seeds)
def test_implementations_of_one_function_agree(kind: str, steps: list[Step], pair: Any, rule: Any, seed: int) -> None:
    """Shuffle the hidden units, and split the first layer into two."""
    rng = np.random.default_rng(seed)
    (w, b), act, (v, c) = steps[0].weights, steps[1], steps[2].weights
    order = rng.permutation(w.shape[1])
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    other = [
        Step("dense", (0,), (turn, np.zeros(4))),
        Step("dense", (1,), (turn.T @ w[:, order], b[order])),
        replace(act, args=(2,)),
        Step("dense", (3,), (v[order], c)),
        *[replace(step, args=tuple(i + 1 for i in step.args)) for step in steps[3:]],
    ]
    assert_same(value(steps, [pair[0]]), value(other, [pair[0]]))
    options = dict(zip(("method", "n_steps"), rule, strict=True))
    assert_same(attributions(kind, steps, *pair, **options), attributions(kind, other, *pair, **options))


@BACKENDS
@settings(max_examples=30)
@given(networks(acts=SMOOTH), ends(), st.integers(0, 3))
def test_a_single_difference_takes_all(kind: str, steps: list[Step], pair: Any, feature: int) -> None:
    x, start = pair[0], pair[0].copy()
    start[:, feature] = pair[1][:, feature]
    rise = (value(steps, [x]) - value(steps, [start]))[:, 0]
    found = attributions(kind, steps, x, start, n_steps=120)
    np.testing.assert_allclose(found[:, feature], rise, rtol=0, atol=1e-6)
    assert not np.delete(found, feature, axis=1).any()


@BACKENDS
@settings(max_examples=20)
@given(networks(), ends(), rules, st.floats(0.1, 10))
def test_units_of_measurement_do_not_matter(kind: str, steps: list[Step], pair: Any, rule: Any, scale: float) -> None:
    w, b = steps[0].weights
    scaled = [replace(steps[0], weights=(w / scale, b)), *steps[1:]]
    options = dict(zip(("method", "n_steps"), rule, strict=True))
    mine = attributions(kind, steps, *pair, **options)
    assert_same(mine, attributions(kind, scaled, pair[0] * scale, pair[1] * scale, **options))


# --- a batch is its samples ------------------------------------------------------------------------------------------


@BACKENDS
@settings(max_examples=25)
@given(networks(outputs=3), ends(samples=5), st.integers(1, 50), st.integers(0, 2))
def test_a_batch_is_its_samples(kind: str, steps: list[Step], pair: Any, batch_size: int, target: int) -> None:
    x, start = pair
    whole = explain(kind, steps, x, start, batch_size=batch_size, target=target)
    for i in range(5):
        alone = explain(kind, steps, x[[i]], start[[i]], target=target)
        assert_same(whole.attributions[[i]], alone.attributions)
        assert_same(whole.path(i).slopes, alone.path(0).slopes)
    turned = attributions(kind, steps, x[::-1], start[::-1], target=target)
    assert_same(turned[::-1], whole.attributions)


@BACKENDS
@settings(max_examples=25)
@given(networks(outputs=3), ends(samples=2), ends(samples=4))
def test_targets_and_baselines_are_their_parts(kind: str, steps: list[Step], pair: Any, more: Any) -> None:
    x, background = pair[0], more[0]
    top = explain(kind, steps, x, pyig.several(background), target="top3")
    for k in range(3):
        alone = [attributions(kind, steps, x, row, target=top.targets[:, k]) for row in background]
        assert_same(top.attributions[:, k], np.mean(alone, axis=0))


def test_an_axiom_can_fail() -> None:
    steps = [Step("square", (0,)), Step("dense", (1,), (np.ones((4, 1)), np.zeros(1)))]
    x, start = np.ones((1, 4)), np.zeros((1, 4))
    rough = attributions("callable", steps, x, start, method="riemann_left", n_steps=3)
    assert abs(rough.sum() - 4) > 0.5
