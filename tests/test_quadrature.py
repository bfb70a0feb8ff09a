"""Rules seen from Python, their half rules, and the plan that cuts the work into batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pyig.errors import InputError
from pyig.quadrature import DEFAULT_STEPS, FixedPlan, make_rule, rule_names

CASES = [(name, n) for name in rule_names() for n in (3, 5, 9, 17, 51, 101)]
EVEN = [(name, n) for name in rule_names() if name != "simpson" for n in (4, 10, 50, 64)]


@pytest.mark.parametrize(("name", "n"), CASES + EVEN)
def test_both_weight_rows_sum_to_one(name: str, n: int) -> None:
    rule = make_rule(name, n)
    assert rule.weights.sum() == pytest.approx(1, abs=1e-13)
    assert rule.half_weights.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("name", "n"), CASES + EVEN)
def test_the_half_rule_stands_on_every_second_node(name: str, n: int) -> None:
    used = np.flatnonzero(make_rule(name, n).half_weights)
    assert len(used) in (n // 2, n // 2 + 1)
    assert set(np.diff(used)) == {2}


@pytest.mark.parametrize(("name", "n"), CASES + EVEN)
def test_half_weights_are_stable(name: str, n: int) -> None:
    assert np.abs(make_rule(name, n).half_weights).sum() < 1.01, "weights that cancel would magnify rounding"


@pytest.mark.parametrize("n", [4, 7, 10, 21, 50])
def test_the_half_rule_of_gauss_legendre_interpolates(n: int) -> None:
    rule = make_rule("gausslegendre", n)
    kept = np.count_nonzero(rule.half_weights)
    for degree in range(kept):
        assert rule.half_weights @ rule.nodes**degree == pytest.approx(1 / (degree + 1), abs=1e-12)
    beyond = 2 * kept  # an even power about the middle, so that symmetry cannot help
    assert abs(rule.half_weights @ (2 * rule.nodes - 1) ** beyond - 1 / (beyond + 1)) > 1e-13 * 4.0 ** (beyond < 40)


@pytest.mark.parametrize("name", [name for name in rule_names() if name != "gausslegendre"])
def test_the_half_rule_of_spaced_nodes_keeps_the_line(name: str) -> None:
    rule = make_rule(name, 9)
    error = abs(rule.half_weights @ rule.nodes - 0.5)
    assert error < (0.13 if rule.degree == 0 else 1e-14)


@pytest.mark.parametrize(("name", "n"), [case for case in CASES + EVEN if 4 <= case[1] < 20])
def test_the_difference_of_the_two_estimates_the_error(name: str, n: int) -> None:
    rule = make_rule(name, n)
    exact = (np.e**2 - 1) / 2
    mine, half = (float(w @ np.exp(2 * rule.nodes)) for w in (rule.weights, rule.half_weights))
    # Of order one the two are equal in the limit only.
    assert abs(mine - exact) <= abs(mine - half) * (1.5 if n >= 9 else 2.5) + 1e-14


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_nodes_have_no_half(n: int) -> None:
    assert np.isnan(make_rule("gausslegendre", n).half_weights).all()


def test_large_rules_have_a_half_too() -> None:
    rule = make_rule("gausslegendre", 2000)
    half = float(rule.half_weights @ np.cos(3 * rule.nodes))
    assert half == pytest.approx(np.sin(3) / 3, abs=1e-4)


def test_names_and_counts_are_checked() -> None:
    with pytest.raises(InputError, match="did you mean 'simpson'"):
        make_rule("simpsons", 5)
    for n in (0, -1):
        with pytest.raises(InputError, match=str(n)):
            make_rule("gausslegendre", n)
    with pytest.raises(InputError, match="simpson"):
        make_rule("simpson", 4)
    assert DEFAULT_STEPS == 50


def test_a_rule_is_made_once() -> None:
    assert make_rule("simpson", 9) is make_rule("simpson", 9)
    assert make_rule("simpson", 9) is not make_rule("simpson", 11)


# --- the plan ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 50])
@pytest.mark.parametrize("rows", [1, 3, 8, 1000])
def test_every_pair_is_asked_once(n: int, rows: int) -> None:
    rule = make_rule("riemann_middle", n)
    plan, pairs, finished = FixedPlan(rule, 3), [], []
    while (batch := plan.ask(rows)) is not None:
        assert len(batch.paths) == min(rows, plan.total - plan.done)
        np.testing.assert_array_equal(batch.alphas, rule.nodes[batch.nodes])
        np.testing.assert_array_equal(batch.weights[0], rule.weights[batch.nodes])
        np.testing.assert_array_equal(batch.weights[1], rule.half_weights[batch.nodes])
        pairs += zip(batch.paths.tolist(), batch.nodes.tolist(), strict=True)
        finished += batch.finished.tolist()
        plan.tell(batch)
    assert sorted(pairs) == list(itertools.product(range(3), range(n)))
    assert finished == [0, 1, 2], "each path is finished once, after its last node"
    assert plan.done == plan.total == 3 * n


def test_a_path_is_finished_by_its_last_node_and_not_before() -> None:
    plan = FixedPlan(make_rule("riemann_middle", 4), 3)
    ends = []
    while (batch := plan.ask(3)) is not None:
        plan.tell(batch)
        ends.append(batch.finished.tolist())
    assert ends == [[], [0], [1], [2]]


def test_asking_again_gives_the_same_until_it_is_told() -> None:
    plan = FixedPlan(make_rule("simpson", 5), 2)
    first, again, less = plan.ask(4), plan.ask(4), plan.ask(2)
    assert first is not None
    assert again is not None
    assert less is not None
    np.testing.assert_array_equal(first.nodes, again.nodes)
    np.testing.assert_array_equal(first.nodes[:2], less.nodes)
    plan.tell(less)
    after = plan.ask(2)
    assert after is not None
    np.testing.assert_array_equal(first.nodes[2:], after.nodes)


@pytest.mark.parametrize("n", [4, 16, 50])
def test_any_first_part_of_a_path_is_spread_over_it(n: int) -> None:
    plan = FixedPlan(make_rule("riemann_middle", n), 1)
    for seen in range(2, n):
        batch = plan.ask(seen)
        assert batch is not None
        gaps = np.diff(np.sort(np.concatenate([[0.0], batch.alphas, [1.0]])))
        assert gaps.max() <= 2.5 / 2 ** np.floor(np.log2(seen)), "a gap twice too wide would bias the estimate"


def test_what_was_seen_is_counted() -> None:
    plan = FixedPlan(make_rule("riemann_middle", 4), 3)
    assert plan.seen().tolist() == [0, 0, 0]
    assert plan.cut_short() is None
    batch = plan.ask(6)
    assert batch is not None
    plan.tell(batch)
    assert plan.seen().tolist() == [4, 2, 0]
    cut = plan.cut_short()
    assert cut == (1, 0.5)
    batch = plan.ask(2)
    assert batch is not None
    plan.tell(batch)
    assert plan.cut_short() is None
