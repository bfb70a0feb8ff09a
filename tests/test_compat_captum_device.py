"""Captum's face on a device far away: the same numbers, given back on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_device import N, Place, network, place, weights

import pyig.compat.captum as face

assert place  # a fixture

EACH = [0, 1, 2, 0, 1, 2]
CALLS: dict[str, Callable[[Any, torch.Tensor], Any]] = {
    "integrated gradients": lambda model, x: face.IntegratedGradients(model).attribute(x, target=1),
    "with a delta": lambda model, x: face.IntegratedGradients(model).attribute(
        x, -x, EACH, n_steps=9, return_convergence_delta=True
    ),
    "local": lambda model, x: face.IntegratedGradients(model, multiply_by_inputs=False).attribute(x, 0.5, 1),
    "auto": lambda model, x: face.IntegratedGradients(model).attribute(x, -x, EACH, n_steps="auto", rtol=1e-5),
    "quirks": lambda model, x: face.IntegratedGradients(model, quirks="captum").attribute(
        x, -x, 1, method="riemann_trapezoid"
    ),
    "an additional argument": lambda model, x: face.IntegratedGradients(lambda x, y: model(x + 0.1 * y)).attribute(
        x, -x, 1, x
    ),
    "saliency": lambda model, x: face.Saliency(model).attribute(x, EACH),
    "input times gradient": lambda model, x: face.InputXGradient(model).attribute(x, 1),
    "a tunnel": lambda model, x: face.NoiseTunnel(face.IntegratedGradients(model)).attribute(
        x, "vargrad", nt_samples=3, stdevs=0.1, target=EACH, baselines=-x, rng=0
    ),
    "shap": lambda model, x: face.GradientShap(model).attribute(
        x, -x, 3, 0.1, EACH, return_convergence_delta=True, rng=0
    ),
    "infidelity": lambda model, x: face.infidelity(model, lambda x: (0.1 * x, 0.9 * x), x, x, target=1),
    "sensitivity": lambda model, x: face.sensitivity_max(
        face.Saliency(model).attribute, x, lambda x: 1.1 * x, target=1
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_far_and_near_agree(name: str, place: Place) -> None:
    w, v, x = weights()
    assert len(x) == N
    near = CALLS[name](network(w, v), x)
    found = CALLS[name](network(place.put(w), place.put(v)), place.put(x))
    pairs = zip(*((each if isinstance(each, tuple) else (each,)) for each in (found, near)), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(place.get(a), b.numpy(), rtol=0, atol=1e-5)
