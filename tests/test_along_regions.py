"""Attributions along paths of linear regions: as exact as the explanation itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import pyig

X = np.random.default_rng(3).normal(size=(3, 5))


@pytest.mark.parametrize("value", ["output", "probability"])
def test_linear_regions_are_walked_exactly(value: str) -> None:
    torch.manual_seed(2)
    model = torch.nn.Sequential(
        torch.nn.Linear(5, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3)
    ).double()
    ig = pyig.IntegratedGradients(model)
    x = 3 * torch.from_numpy(X)
    e = ig.explain(x, target=1, value=value, output_kind="logits", method="exact")
    fine = ig.explain(x, target=1, value=value, output_kind="logits", rtol=1e-5, method="adaptive", max_evals=4096)
    for i in range(3):
        lines = ig.along(e, i, top=5)
        assert lines.n_evals == e.n_evals[i]
        # Between the nodes of a region the explanation weights a probability by its log-odds.
        off = 1e-9 if value == "output" else 1e-3 * np.abs(lines.attributions).sum()
        assert np.abs(lines.residual).sum() < off
        assert lines.errors.max() < off
        many = ig.along(fine, i, top=5, features=lines.names)
        for alpha, found in zip(lines.alphas, lines.cumulative, strict=True):
            np.testing.assert_allclose(found, many.at(alpha), atol=1e-2 * np.abs(lines.attributions).sum())
