"""The peer: captum's Gauss-Legendre integral of the same models, to the digits that its float32 weights leave."""

from __future__ import annotations

from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo
from captum.attr import IntegratedGradients as Captum

import pyig
from pyig import tree


def both(entry: Any, dtype: Any, **options: Any) -> tuple[list[Any], list[Any]]:
    """Return pyig's and captum's attributions, leaf by leaf."""
    model = frameworks.framework("torch").build(entry.steps, (), dtype)
    x, start = (
        tuple(torch.from_numpy(leaf) for leaf in tree.flatten(frameworks.floats(side, dtype))[0])
        for side in (entry.x, entry.baseline)
    )
    target = torch.from_numpy(entry.target) if isinstance(entry.target, np.ndarray) else entry.target
    theirs = Captum(model).attribute(x, start, target, **options)
    ours = pyig.IntegratedGradients(model).attribute(x, start, target, **options)
    return [a.numpy() for a in ours], [a.detach().numpy() for a in theirs]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", [n for n in zoo.ENTRIES if n not in ("tokens", "record")])
def test_gauss_legendre_agrees(name: str, dtype: Any) -> None:
    ours, theirs = both(zoo.ENTRIES[name](), dtype, n_steps=50, method="gausslegendre")
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("rule", ["riemann_left", "riemann_right", "riemann_middle"])
def test_riemann_sums_agree(rule: str) -> None:
    ours, theirs = both(zoo.ENTRIES["tanh"](), np.float64, n_steps=20, method=rule)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-6)


def test_the_trapezoid_does_not_agree_because_ours_sums_to_one() -> None:
    entry = zoo.ENTRIES["affine"]()
    ours, theirs = both(entry, np.float64, n_steps=10, method="riemann_trapezoid")
    np.testing.assert_allclose(ours[0], entry.exact, rtol=0, atol=1e-14)
    np.testing.assert_allclose(theirs[0], 0.9 * entry.exact, rtol=1e-6, atol=1e-9)


def test_the_convergence_delta_agrees() -> None:
    entry = zoo.ENTRIES["softplus"]()
    model = frameworks.framework("torch").build(entry.steps, (), np.float64)
    x, start = torch.from_numpy(entry.x), torch.from_numpy(entry.baseline)
    options = {"n_steps": 3, "method": "gausslegendre", "return_convergence_delta": True}
    _, theirs = Captum(model).attribute(x, start, **options)
    _, ours = pyig.IntegratedGradients(model).attribute(x, start, **options)
    assert ours.shape == theirs.shape == (4,)
    assert ours.abs().max() > 1e-6
    torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=1e-6)
