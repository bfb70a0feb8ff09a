"""What lines stand for: the strongest features, regions of a picture, steps of a series, words."""

from __future__ import annotations

import numpy as np
import pytest
import samples

from pyig.explanation.groups import groups_of


def test_pictures_are_shown_by_region_and_series_by_step() -> None:
    e = samples.picture((3, 28, 28))
    groups = groups_of(e, 0, 0, 4)
    assert groups.others == 14 * 14 - 4
    assert " rows " in groups.names[0]
    heat = e.attributions[0].sum(axis=0).reshape(14, 2, 14, 2).sum(axis=(1, 3))
    sums = np.bincount(groups.labels, weights=e.attributions[0].ravel().astype(float))
    np.testing.assert_allclose(np.sort(np.abs(heat.ravel()))[::-1][:4], np.abs(sums[:4]), rtol=1e-6)
    steps = groups_of(samples.sequence(), 0, 0, 2)
    assert all(name.startswith("step ") for name in steps.names[:2])


@pytest.mark.parametrize("name", [name for name in samples.ALL if name != "empty"])
def test_every_explanation_has_lines(name: str) -> None:
    e = samples.ALL[name]()
    groups = groups_of(e, 0, 0)
    assert len(groups.labels) == sum(int(np.prod(leaf.inputs.shape[1:])) for leaf in e.leaves())
    assert groups.labels.max() == len(groups.names) - 1
    assert len(groups.names) <= 10
