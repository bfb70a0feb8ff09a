"""How expected gradients spread their nodes: the design's laws, its contrasts, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyig.errors import InputTypeError
from pyig.integrate.stratified import Design, draw
from pyig.streams import entropy, generator, stream

sizes = st.tuples(st.integers(1, 60), st.integers(1, 20))
SEED = (1, 2, 3, 4)


@given(sizes)
def test_every_seat_has_its_share(size: tuple[int, int]) -> None:
    n, baselines = size
    design = Design.of(n, baselines)
    used = min(n, baselines)
    assert design.steps == n
    np.testing.assert_allclose(np.bincount(design.seats, design.weights), np.full(used, 1 / used))
    assert np.bincount(design.seats).tolist() == design.counts.tolist()
    assert max(design.counts) - min(design.counts) <= 1


@given(sizes)
def test_contrasts_sum_to_zero_and_carry_every_weight(size: tuple[int, int]) -> None:
    design = Design.of(*size)
    if size[0] == 1:
        assert not design.has_spread
        return
    assert (design.touched >= 0).any(axis=0).all(), "every node is part of a contrast"
    for number in range(int(design.signs.max()) + 1):
        on = (design.signs == number) & (design.touched >= 0)
        assert abs(design.coefficients[on].sum()) < 1e-12
    own, carried = (design.weights**2, (design.coefficients**2).sum(axis=0))
    enlarged = {count: max(1.0, count / 6) if count <= 8 else 1.0 for count in set(design.counts.tolist())}
    wanted = sum(factor * own[design.counts[design.seats] == count].sum() for count, factor in enlarged.items())
    np.testing.assert_allclose(carried.sum(), wanted)


def test_contrasts_see_the_error_of_a_trend() -> None:
    """Of a linear integrand, whose nodes all err in one direction."""
    for count in range(2, 20):
        design = Design.of(count, 1)
        runs = draw(design, 1, 4, SEED, np.arange(400))
        error = (runs.alphas * design.weights).sum(axis=1) - 0.5
        signed = runs.signs[:, :, design.signs[0]] * design.coefficients[0] * runs.alphas[:, None]
        said = np.sqrt((signed.sum(axis=2) ** 2).mean())
        assert said > 0.9 * error.std()


@given(sizes)
def test_a_seat_closes_once_and_nothing_touches_it_later(size: tuple[int, int]) -> None:
    design = Design.of(*size)
    closed: list[int] = []
    for node in range(design.steps):
        near = [int(design.seats[node]), *design.touched[design.touched[:, node] >= 0, node].tolist()]
        assert not set(near) & set(closed)
        opened = set(design.seats[: node + 1].tolist())
        closed += design.closing[design.closing[:, node] >= 0, node].tolist()
        assert set(design.open_after(node + 1).tolist()) == opened - set(closed)
    assert sorted(closed) == list(range(min(size)))


@settings(max_examples=60)
@given(sizes, st.integers(0, 50))
def test_nodes_fall_into_their_strata_evenly(size: tuple[int, int], sample: int) -> None:
    n, baselines = size
    design = Design.of(n, baselines)
    found = draw(design, baselines, 3, SEED, np.array([sample]))
    assert len(set(found.baselines[0].tolist())) == min(n, baselines)
    stratum = np.floor(found.alphas[0] * design.counts[design.seats])
    np.testing.assert_array_equal(stratum, design.strata)
    within = found.alphas[0] * design.counts[design.seats] - design.strata
    for level in range(int(design.levels.max()) + 1):
        first = [int(np.flatnonzero(design.shifts == k)[0]) for k in np.flatnonzero(design.levels == level)]
        spacing = np.diff(np.sort(within[first]))
        np.testing.assert_allclose(spacing, 1 / len(first), atol=1e-9)
    assert set(found.signs.ravel().tolist()) <= {-1, 1}


def test_what_a_sample_draws_does_not_depend_on_its_company() -> None:
    design = Design.of(17, 6)
    together = draw(design, 6, 2, SEED, np.arange(5))
    alone = draw(design, 6, 2, SEED, np.array([3]))
    np.testing.assert_array_equal(together.alphas[3], alone.alphas[0])
    np.testing.assert_array_equal(together.baselines[3], alone.baselines[0])
    np.testing.assert_array_equal(together.signs[3], alone.signs[0])
    assert not np.array_equal(together.alphas[2], together.alphas[3])
    other = draw(design, 6, 2, (1, 2, 3, 5), np.array([3]))
    assert not np.array_equal(other.alphas, alone.alphas)


def test_a_subset_uses_all_baselines_equally_often() -> None:
    found = draw(Design.of(3, 7), 7, 2, SEED, np.arange(14))
    assert np.bincount(found.baselines.ravel(), minlength=7).tolist() == [6] * 7
    assert len({tuple(sorted(row)) for row in found.baselines.tolist()}) > 1


def test_alphas_are_uniform_and_every_baseline_meets_every_alpha() -> None:
    found = draw(Design.of(8, 4), 4, 2, SEED, np.arange(4000))
    np.testing.assert_allclose(found.alphas.mean(axis=0), [0.25, 0.75] * 4, atol=0.01)
    np.testing.assert_allclose(found.alphas.std(axis=0), 0.5 / np.sqrt(12), atol=0.01)
    for baseline in range(4):
        own = found.alphas[:, ::2][found.baselines == baseline]
        np.testing.assert_allclose([own.mean(), own.std()], [0.25, 0.5 / np.sqrt(12)], atol=0.02)


# --- streams -----------------------------------------------------------------------------------------------------


def test_a_stream_is_its_key_and_its_seed() -> None:
    keys = [(), (0,), (1,), (0, 1), (1, 0)]
    numbers = [stream(SEED, *key).random() for key in keys]
    assert len(set(numbers)) == len(keys)
    assert numbers == [stream(SEED, *key).random() for key in keys]
    assert stream((1, 2, 3, 5)).random() != numbers[0]


def test_a_generator_is_used_as_it_is_and_moves_on() -> None:
    rng = np.random.default_rng(0)
    assert generator(rng) is rng
    assert entropy(rng) != entropy(rng)
    assert entropy(generator(5)) == entropy(generator(5)) != entropy(generator(6))
    with pytest.raises(InputTypeError, match="rng= as a whole number or a numpy Generator; got 'seed'"):
        generator("seed")
