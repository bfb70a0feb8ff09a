"""Attributions against exact ones: every model of the zoo, every rule, every backend, both precisions."""

from __future__ import annotations

from typing import Any

import frameworks
import numpy as np
import pytest
import zoo

import pyig
from pyig import quadrature, tree
from pyig.errors import InputError

RULES = quadrature.rule_names()
SMOOTH = [name for name in zoo.ENTRIES if name not in zoo.KINKED]
FEW, MANY = 3, 160  # enough for the zoo's polynomials; enough for everything smooth in it


def leaves(x: Any) -> list[Any]:
    return tree.flatten(x)[0]


def assert_close(found: Any, exact: Any, tolerance: float) -> None:
    for a, b in zip(leaves(found), leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))


def distance(found: Any, exact: Any) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(leaves(found), leaves(exact), strict=True))


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_models_are_exact(name: str, backend: str) -> None:
    entry = zoo.ENTRIES[name]()
    found = frameworks.explain(backend, entry, n_steps=MANY)
    assert_close(found.attributions, entry.exact, 1e-12)
    np.testing.assert_allclose(found.values - found.baseline_values, entry.difference, rtol=0, atol=1e-12)
    assert found.converged.all()
    assert found.meta["backend"] == backend


@pytest.mark.parametrize("name", zoo.KINKED)
def test_kinked_models_are_near_and_say_so(name: str, backend: str) -> None:
    entry = zoo.ENTRIES[name]()
    found = frameworks.explain(backend, entry, n_steps=MANY)
    error = np.abs(found.attributions - entry.exact).sum(axis=1)
    assert 1e-5 < error.max() < 0.1, "kinks have no exact fixed rule"
    assert (error <= 4 * found.error + 1e-12).all(), "the estimate must not hide them"


@pytest.mark.parametrize("name", ["tanh", "record", "tokens", "image", "grid"])
def test_float32_gives_float32(name: str, backend: str) -> None:
    entry = zoo.ENTRIES[name]()
    found = frameworks.explain(backend, entry, np.float32, n_steps=MANY)
    assert_close(found.attributions, entry.exact, 2e-6)
    assert {leaf.dtype for leaf in leaves(found.attributions)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ["tanh", "record", "image"])
def test_float64_stays_float64(name: str, backend: str) -> None:
    entry = zoo.ENTRIES[name]()
    found = frameworks.explain(backend, entry, n_steps=5)
    assert {leaf.dtype for leaf in leaves(found.attributions)} == {np.dtype(np.float64)}
    assert found.values.dtype == found.deltas.dtype == np.float64


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("name", zoo.ENTRIES)
def test_backends_agree_with_numpy(name: str, backend: str, dtype: Any, tolerance: float) -> None:
    entry = zoo.ENTRIES[name]()
    oracle = frameworks.explain("callable", entry, np.float64, n_steps=20)
    found = frameworks.explain(backend, entry, dtype, n_steps=20)
    assert_close(found.attributions, oracle.attributions, tolerance)
    np.testing.assert_allclose(found.path_slopes, oracle.path_slopes, rtol=0, atol=tolerance * 50)
    np.testing.assert_array_equal(found.path_alphas, oracle.path_alphas)


def _counts(rule: str) -> list[int]:
    allowed = []
    for n in range(1, 12):
        try:
            quadrature.make_rule(rule, n)
        except InputError:
            continue
        allowed.append(n)
    return allowed


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_takes_some_number_of_nodes(rule: str) -> None:
    assert len(_counts(rule)) >= 5


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["linear", "affine"])
def test_linear_models_are_exact_for_every_rule_and_count(name: str, rule: str, backend: str) -> None:
    entry = zoo.ENTRIES[name]()
    ig = frameworks.explainer(backend, entry)
    for n in _counts(rule):
        found = ig.explain(entry.x, entry.baseline, method=rule, n_steps=n)
        assert_close(found.attributions, entry.exact, 1e-14)
        assert np.abs(found.deltas).max() < 1e-14
        assert (found.n_evals == n).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", zoo.POLYNOMIAL)
def test_a_rule_is_exact_to_its_degree_and_not_beyond(name: str, rule: str) -> None:
    entry = zoo.ENTRIES[name]()
    found = frameworks.explain("callable", entry, method=rule, n_steps=FEW)
    exact = quadrature.make_rule(rule, FEW).degree >= zoo.POLYNOMIAL[name]
    error = distance(found.attributions, entry.exact)
    assert error < 1e-13 if exact else error > 1e-3


ORDERS = {"riemann_left": 1, "riemann_right": 1, "riemann_middle": 2, "riemann_trapezoid": 2, "simpson": 4}


@pytest.mark.parametrize("rule", ORDERS)
def test_rules_converge_at_their_order(rule: str) -> None:
    entry = zoo.ENTRIES["softplus"]()
    errors = []
    for intervals in (32, 64):
        n = intervals + (rule in ("riemann_trapezoid", "simpson"))
        found = frameworks.explain("callable", entry, method=rule, n_steps=n)
        errors.append(distance(found.attributions, entry.exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[rule], abs=0.4)


def test_gauss_legendre_converges_faster_than_any_power() -> None:
    entry = zoo.ENTRIES["softplus"]()
    counts = (2, 4, 8, 12)
    errors = [distance(frameworks.explain("callable", entry, n_steps=n).attributions, entry.exact) for n in counts]
    orders = -np.diff(np.log(errors)) / np.diff(np.log(counts))
    assert (orders > 4).all()
    assert (np.diff(orders) > 0).all(), "each doubling pays more than the one before"


@pytest.mark.parametrize("name", ["tanh", "classes", "record", "image"])
def test_an_input_at_its_baseline_has_no_attribution(name: str, backend: str) -> None:
    entry = zoo.ENTRIES[name]()
    found = frameworks.explain(backend, entry, baselines=entry.x, n_steps=7)
    for leaf in leaves(found.attributions):
        assert not leaf.any()
    assert (found.deltas == 0).all()
    assert (found.values == found.baseline_values).all()


@pytest.mark.parametrize("name", ["tanh", "quadratic", "classes"])
def test_swapped_ends_swap_signs(name: str) -> None:
    entry = zoo.ENTRIES[name]()
    ig = frameworks.explainer("callable", entry)
    start = np.broadcast_to(entry.baseline, entry.x.shape).copy()
    there = ig.explain(entry.x, start, entry.target, n_steps=9)
    back = ig.explain(start, entry.x, entry.target, n_steps=9)
    np.testing.assert_allclose(there.attributions, -back.attributions, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_gap_is_the_completeness_gap(name: str, backend: str) -> None:
    entry = zoo.ENTRIES[name]()
    found = frameworks.explain(backend, entry, n_steps=3)
    total = sum(leaf.reshape(len(leaf), -1).sum(1) for leaf in leaves(found.attributions))
    np.testing.assert_allclose(found.deltas, total - entry.difference, rtol=0, atol=1e-12)


def test_too_few_steps_leave_a_gap_and_an_estimate() -> None:
    entry = zoo.ENTRIES["saturated"]()
    found = frameworks.explain("callable", entry, n_steps=4)
    assert np.abs(found.deltas).max() > 1e-2
    assert (found.error > 1e-2).all()
    assert not found.converged.any()


@pytest.mark.parametrize("n", [1, 2])
def test_no_estimate_is_invented(n: int) -> None:
    found = frameworks.explain("callable", zoo.ENTRIES["tanh"](), n_steps=n)
    assert np.isnan(found.error).all(), "one or two nodes have no half to compare with"
    assert not found.converged.any()


def test_a_gap_is_an_error_even_where_the_estimate_is_blind() -> None:
    """A kink behind the last node: the rule and its half see the same slope everywhere."""
    ig = pyig.IntegratedGradients(lambda x: np.maximum(x[:, 0] - 0.95, 0), gradient=lambda x: 1.0 * (x > 0.95))
    found = ig.explain(np.ones((1, 1)), method="riemann_left", n_steps=13)
    assert not found.attributions.any()
    assert found.deltas[0] == pytest.approx(-0.05)
    assert found.error[0] == pytest.approx(0.05)
    assert not found.converged[0]


def test_rounding_of_large_values_is_no_error() -> None:
    ig = pyig.IntegratedGradients(
        lambda x: np.tanh(x).sum(axis=1) + np.float32(3e4), gradient=lambda x: 1 - np.tanh(x) ** 2
    )
    found = ig.explain(np.full((1, 3), 0.01, dtype=np.float32), n_steps=20)
    assert 1e-4 < np.abs(found.deltas[0]) < 1e-2, "float32 has no more digits beside 3e4"
    assert found.converged[0]
