"""The running sum ends at the sum of the attributions, whichever weights the method has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pyig
from pyig.explanation.running import running_sum


@pytest.mark.parametrize("value", ["output", "probability", "log_probability"])
@pytest.mark.parametrize("options", [{"method": "adaptive"}, {"n_steps": 12}, {"method": "simpson", "n_steps": 21}])
@pytest.mark.parametrize("steepness", [1.0, 30.0])
def test_it_ends_where_the_attributions_end(value: str, options: dict[str, Any], steepness: float) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
    with torch.no_grad():
        model[2].weight.mul_(steepness)
    x = np.random.default_rng(1).normal(size=(3, 4))
    e = pyig.IntegratedGradients(model).explain(x, target=1, value=value, output_kind="logits", **options)
    for i in range(3):
        reached, total = running_sum(e, i)
        size = np.abs(e.attributions[i]).sum()
        loose = value == "probability" and "n_steps" in options  # its weights there are not those of the record
        assert total[-1] == pytest.approx(e.attributions[i].sum(), abs=(0.1 if loose else 1e-3) * size)
        assert (np.diff(reached) >= 0).all()
        assert reached[-1] == pytest.approx(1)
        # It follows F: never far from what F has risen by there.
        rise = np.interp(reached, e.path(i).alphas, e.path(i).values) - e.baseline_values[i]
        assert np.abs(total - rise).max() <= (1.0 if value == "probability" else 0.6) * size
