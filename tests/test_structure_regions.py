"""Linear regions of networks in numpy: what holds for every framework."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pyig.structure.regions import Exact, Regions, chunks

Array = np.ndarray


class Network:
    """A ReLU network along some paths; the face of `pyig.structure.regions.Paths`."""

    linear_tail = True

    def __init__(self, seed: int, depth: int, count: int, rows: int) -> None:
        generator = np.random.default_rng(seed)
        sizes = [3, *[5] * depth, 2]
        self.layers = [
            (generator.normal(size=(a, b)) / np.sqrt(a), generator.normal(size=b)) for a, b in pairwise(sizes)
        ]
        self.starts, self.stops = generator.normal(size=(2, count, 3))
        self.count, self.rows, self.forwards, self.most = count, rows, 0, 0
        self.bends = [(0.0,)] * depth

    def run(self, points: Array, layers: int) -> Array:
        hidden = points
        for place, (weights, bias) in enumerate(self.layers[:layers]):
            hidden = (np.maximum(hidden, 0) if place else hidden) @ weights + bias
        return hidden

    def points(self, samples: Array, alphas: Array) -> Array:
        self.most = max(self.most, len(samples))
        return self.starts[samples] + alphas[:, None] * (self.stops - self.starts)[samples]

    def arguments(self, bend: int, samples: Array, alphas: Array) -> tuple[Array, None]:
        self.forwards += len(samples)
        return self.run(self.points(samples, alphas), bend + 1), None

    def scalars(self, samples: Array, alphas: Array) -> Array:
        return np.concatenate(
            [
                self.run(self.points(samples[part], alphas[part]), len(self.layers))
                for part in chunks(samples, self.rows)
            ]
        )

    def outer(self, head: Any, index: Any, samples: Array, scalars: Array) -> tuple[Array, Array]:
        return head(scalars, [flat[samples] for flat in index])

    def pulled(self, samples: Array, alphas: Array, weights: Array) -> tuple[Array, list[Array]]:
        kept, place = np.unique(samples, return_inverse=True)
        points, pulled = self.points(samples, alphas), weights
        for layer in range(len(self.layers) - 1, -1, -1):
            pulled = pulled @ self.layers[layer][0].T
            if layer:
                pulled = pulled * (self.run(points, layer) > 0)
        total = np.zeros((len(kept), 3))
        np.add.at(total, place, pulled)
        return kept, [total * (self.stops - self.starts)[kept]]


def probability(scalars: Array, index: Any) -> tuple[Array, Array]:
    shifted = np.exp(scalars - scalars.max(axis=1, keepdims=True))
    every = shifted / shifted.sum(axis=1, keepdims=True)
    value = np.take_along_axis(every, index[0][:, None], axis=1)
    return value[:, 0], value * (np.eye(2)[index[0]] - every)


def output(scalars: Array, index: Any) -> tuple[Array, Array]:
    return np.take_along_axis(scalars, index[0][:, None], axis=1)[:, 0], np.eye(2)[index[0]]


CASES = {"seed": st.integers(0, 10_000), "depth": st.integers(0, 4), "rows": st.integers(2, 40)}


@settings(max_examples=40, deadline=None)
@given(linear=st.booleans(), **CASES)
def test_attributions_add_up_to_the_rise(seed: int, depth: int, rows: int, linear: bool) -> None:
    network = Network(seed, depth, 4, rows)
    head, index = output if linear else probability, np.array([0, 1, 1, 0])
    found = Regions(network, 10_000, 8).attributions(head, [index], linear=linear)
    assert isinstance(found, Exact)
    every = np.arange(4)
    values = [head(network.scalars(every, np.full(4, end)), [index])[0] for end in (0.0, 1.0)]
    rise = values[1] - values[0]
    np.testing.assert_allclose(found.attributions[0].sum(axis=1), rise, rtol=0, atol=1e-10)
    added = np.add.reduceat(found.widths * found.slopes, found.offsets[:-1])
    np.testing.assert_allclose(added, rise, rtol=0, atol=1e-10)


@settings(max_examples=40, deadline=None)
@given(**CASES)
def test_within_a_region_no_unit_changes_its_side(seed: int, depth: int, rows: int) -> None:
    network = Network(seed, depth, 3, rows)
    regions = Regions(network, 10_000, 8)
    found = regions.attributions(output, [np.zeros(3, dtype=np.int64)], linear=True)
    assert isinstance(found, Exact)
    samples = np.repeat(np.arange(3), regions.counts)

    def sides(alphas: Array) -> Array:
        points = network.points(samples, alphas)
        found = [network.run(points, layer + 1) > 0 for layer in range(depth)]
        return np.concatenate(found or [points > np.inf], axis=1)

    for share in (-0.499, 0.3, 0.499):
        wide = found.widths > 1e-9
        assert (sides(found.alphas + share * found.widths) == sides(found.alphas))[wide].all()
    neighbours = np.flatnonzero(samples[1:] == samples[:-1])
    assert (sides(found.alphas)[neighbours] != sides(found.alphas)[neighbours + 1]).any(axis=1).all()  # none too many


@settings(max_examples=20, deadline=None)
@given(most=st.integers(1, 12), **CASES)
def test_a_budget_drops_what_is_over_it_and_nothing_else(seed: int, depth: int, rows: int, most: int) -> None:
    network = Network(seed, depth, 6, rows)
    whole = Regions(Network(seed, depth, 6, rows), 10_000, 8).counts
    regions = Regions(network, most, 8)
    np.testing.assert_array_equal(regions.counts, np.where(whole <= most, whole, 0))
    assert regions.forwards == network.forwards
    assert network.most <= max(rows, 2)


def test_kinks_that_are_elsewhere_do_not_add_up() -> None:
    """The opposite of the first law: it is the places of the kinks that make the integral exact."""
    gaps = []
    for kink in (0.0, 0.4):
        network, every, index = Network(1, 2, 4, 40), np.arange(4), np.zeros(4, dtype=np.int64)
        network.bends = [(kink,)] * 2
        found = Regions(network, 10_000, 8).attributions(output, [index], linear=True)
        assert isinstance(found, Exact)
        start, stop = (output(network.scalars(every, np.full(4, end)), [index])[0] for end in (0.0, 1.0))
        gaps.append(np.abs(found.attributions[0].sum(axis=1) - (stop - start)).max())
    assert gaps[0] < 1e-13
    assert gaps[1] > 1e-3
