"""Each rule has properties that define it; each is proved from both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
import twins

from pyig import _core

pytestmark = pytest.mark.core

EQUALLY_SPACED = ["riemann_left", "riemann_middle", "riemann_right", "riemann_trapezoid", "simpson"]
COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 31, 32, 33, 51]
LEAST = {"riemann_trapezoid": 2, "simpson": 3}
CASES = [
    (name, n)
    for name in ["gausslegendre", *EQUALLY_SPACED]
    for n in COUNTS
    if n >= LEAST.get(name, 1) and (name != "simpson" or n % 2)
]
EACH_RULE = pytest.mark.parametrize(("name", "n"), CASES)


def test_every_rule_of_the_table_is_tested() -> None:
    assert sorted(_core.rule_names()) == sorted({name for name, _ in CASES})


@EACH_RULE
def test_agrees_with_its_twin(name: str, n: int) -> None:
    nodes, weights, _ = _core.rule(name, n)
    twin_nodes, twin_weights = twins.rule(name, n)
    assert nodes == pytest.approx([float(x) for x in twin_nodes], rel=1e-15, abs=1e-16)
    assert weights == pytest.approx([float(w) for w in twin_weights], rel=1e-14, abs=0)


@EACH_RULE
def test_weights_are_positive_and_sum_to_one(name: str, n: int) -> None:
    _, weights, _ = _core.rule(name, n)
    assert (weights > 0).all()
    assert math.fsum(weights) == pytest.approx(1, abs=1e-15)


@EACH_RULE
def test_nodes_ascend_within_the_unit_interval(name: str, n: int) -> None:
    nodes, _, _ = _core.rule(name, n)
    assert nodes.shape == (n,)
    assert (np.diff(nodes) > 0).all()
    assert nodes[0] >= 0
    assert nodes[-1] <= 1


@EACH_RULE
def test_is_symmetric_unless_one_sided(name: str, n: int) -> None:
    nodes, weights, _ = _core.rule(name, n)
    mirrored = np.abs(nodes + nodes[::-1] - 1).max() <= 2.5e-16 and (weights == weights[::-1]).all()
    assert mirrored == (name not in ("riemann_left", "riemann_right"))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("riemann_left", 0.0, 0.9),
        ("riemann_right", 0.1, 1.0),
        ("riemann_middle", 0.05, 0.95),
        ("riemann_trapezoid", 0.0, 1.0),
        ("simpson", 0.0, 1.0),
    ],
)
def test_end_nodes_are_exact(name: str, first: float, last: float) -> None:
    nodes, _, _ = _core.rule(name, 11 if LEAST.get(name) else 10)
    assert (nodes[0], nodes[-1]) == (first, last)


def test_degrees() -> None:
    degrees = {name: _core.rule(name, 7)[2] for name in _core.rule_names()}
    assert degrees == {
        "gausslegendre": 13,
        "riemann_left": 0,
        "riemann_right": 0,
        "riemann_middle": 1,
        "riemann_trapezoid": 1,
        "simpson": 3,
    }


def relative_error(name: str, n: int, power: int) -> float:
    """Error of the rule for x^power from -0.3 to 1.7: an interval where no symmetry helps."""
    nodes, weights, _ = _core.rule(name, n)
    low, high = -0.3, 1.7
    x = low + (high - low) * nodes
    terms = (high - low) * weights * x**power
    exact = (high ** (power + 1) - low ** (power + 1)) / (power + 1)
    return abs(math.fsum(terms) - exact) / math.fsum(abs(terms))


@pytest.mark.parametrize(("name", "n"), [(name, n) for name, n in CASES if n <= 9])
def test_exact_up_to_its_degree_and_not_beyond(name: str, n: int) -> None:
    degree = _core.rule(name, n)[2]
    for power in range(degree + 1):
        assert relative_error(name, n, power) < 1e-14
    assert relative_error(name, n, degree + 1) > 1e-11


@pytest.mark.parametrize("n", [31, 32, 100, 1000])
def test_gauss_legendre_ends_at_degree_2n(n: int) -> None:
    """P_n^2 has degree 2n and integral 1 / (2n + 1), but every node is one of its zeros."""
    nodes, weights, degree = _core.rule("gausslegendre", n)
    values = np.polynomial.legendre.Legendre.basis(n)(2 * nodes - 1) ** 2
    assert degree == 2 * n - 1
    assert weights @ values < 1e-20 < 1 / (2 * n + 1)


SAMPLES = [
    (n, k) for n in (64, 100, 128, 257, 512, 1024) for k in sorted({0, 1, 2, 19, 20, 21, n // 3, n // 2 - 1, n // 2})
]


@pytest.mark.parametrize(("n", "k"), SAMPLES)
def test_gauss_legendre_to_the_last_digits(n: int, k: int) -> None:
    nodes, weights, _ = _core.rule("gausslegendre", n)
    node, weight = twins.gauss_legendre(n, k)
    assert abs(nodes[k] - float(node)) <= 1e-15
    assert nodes[k] == pytest.approx(float(node), rel=2e-15, abs=0)
    assert weights[k] == pytest.approx(float(weight), rel=1e-14, abs=0)


@pytest.mark.parametrize("n", [10_000, 100_001, 1_000_000])
def test_gauss_legendre_of_very_many_nodes(n: int) -> None:
    nodes, weights, _ = _core.rule("gausslegendre", n)
    assert (np.diff(nodes) > 0).all()
    assert math.fsum(weights) == pytest.approx(1, abs=1e-15)
    frequency = n / 4.0
    assert weights @ np.cos(frequency * nodes) == pytest.approx(math.sin(frequency) / frequency, abs=1e-13)
    # The square root has no derivative at 0: only nodes and weights that are right at the end get this close.
    assert weights @ np.sqrt(nodes) == pytest.approx(2 / 3, abs=2e-13)


@pytest.mark.parametrize(
    ("name", "n", "message"),
    [
        ("gausslegendre", 0, "gausslegendre: expected n >= 1; got 0"),
        ("riemann_left", -3, "n: expected a number of nodes, 1 or more; got -3"),
        ("riemann_right", 0, "n >= 1"),
        ("riemann_middle", 0, "n >= 1"),
        ("riemann_trapezoid", 1, "riemann_trapezoid: expected n >= 2; got 1"),
        ("simpson", 1, "simpson: expected n >= 3; got 1"),
        ("simpson", 4, "expected an odd n, because its parabolas span two cells; got 4; use 3 or 5"),
        ("simpson", 10**9, "expected n <= 10000000; got 1000000000"),
        ("gausslegendre", 10**30, "fit"),
        ("Simpson", 3, "unknown rule 'Simpson'; known: gausslegendre, riemann_left, .*, simpson"),
        ("", 3, "unknown rule ''; known"),
    ],
)
def test_refuses_a_wrong_value(name: str, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.rule(name, n)


@pytest.mark.parametrize("n", [3.0, "3", True, None, [3]])
def test_refuses_what_is_not_a_whole_number(n: object) -> None:
    with pytest.raises(TypeError, match=f"n: expected a whole number of nodes; got type {type(n).__name__}"):
        _core.rule("simpson", n)  # type: ignore[arg-type]


def test_takes_a_numpy_integer() -> None:
    assert len(_core.rule("simpson", np.int32(5))[0]) == 5  # type: ignore[arg-type]
