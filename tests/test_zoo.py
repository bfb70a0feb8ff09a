"""The oracle on trial: exact attributions add up, gradients are those of finite differences, tags are honest."""

from __future__ import annotations

import numpy as np
import pytest
import tape
import zoo

from pyig import tree


@pytest.mark.parametrize("name", zoo.ENTRIES)
def test_exact_attributions_are_complete(name: str) -> None:
    entry = zoo.ENTRIES[name]()
    total = sum(leaf.reshape(len(leaf), -1).sum(1) for leaf in tree.flatten(entry.exact)[0])
    np.testing.assert_allclose(total, entry.difference, rtol=1e-12, atol=1e-13)
    assert np.abs(entry.difference).min() > 1e-3, "a model that does not change shows nothing"


@pytest.mark.parametrize("name", zoo.ENTRIES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    entry = zoo.ENTRIES[name]()
    out = tape.value(entry.steps, entry.leaves)
    cotangent = np.random.default_rng(0).normal(size=out.shape)
    step = 1e-6
    for k, grad in enumerate(tape.vjp(entry.steps, entry.leaves, cotangent)):
        leaf = entry.leaves[k]
        if grad is None:
            assert not np.issubdtype(leaf.dtype, np.floating)
            continue
        for where in list(np.ndindex(leaf.shape))[:: max(1, leaf.size // 7)]:
            moved = [[a.copy() for a in entry.leaves] for _ in range(2)]
            moved[0][k][where] += step
            moved[1][k][where] -= step
            rise = [float((tape.value(entry.steps, leaves) * cotangent).sum()) for leaves in moved]
            assert grad[where] == pytest.approx((rise[0] - rise[1]) / (2 * step), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", [name for name in zoo.ENTRIES if name not in zoo.KINKED])
def test_closed_forms_agree_with_a_fine_rule(name: str) -> None:
    entry = zoo.ENTRIES[name]()
    index = entry._index()
    whole = np.stack(
        [tree.flatten(zoo.fine(entry.steps, entry.x, entry.baseline, c))[0][-1] for c in range(index.max() + 1)]
    )
    picked = whole[index, np.arange(len(index))]
    np.testing.assert_allclose(picked, tree.flatten(entry.exact)[0][-1], rtol=1e-11, atol=1e-13)


def test_every_entry_has_a_difficulty_of_its_own() -> None:
    tags = [make().tag for make in zoo.ENTRIES.values()]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("name", zoo.KINKED)
def test_kinked_paths_cross_a_kink(name: str) -> None:
    entry = zoo.ENTRIES[name]()
    start = np.broadcast_to(entry.baseline, entry.x.shape)
    z = [leaf @ entry.steps[0].weights[0] + entry.steps[0].weights[1] for leaf in (start, entry.x)]
    assert ((z[0] > 0) != (z[1] > 0)).any()
