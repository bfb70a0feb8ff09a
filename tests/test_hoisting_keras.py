"""The affine part of a Keras model runs once per sample, and nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras_cases import CLOSE, Case, floats, hoisted
from keras_prefixes import HOISTED, NO_GRAPH, WITHOUT_PREFIX

import pyig
from pyig.structure import affine, keras_hoisting
from pyig.structure.keras_prefix import Prefix

NOTE = "the affine part before the first nonlinear operation ran once per sample"
# Every float moves, and ids move behind their embedding.
WHOLE = [name for name in HOISTED if name not in ("two inputs, one fixed", "gated", "with tokens")]


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hoist small models too."""
    monkeypatch.setattr(keras_hoisting, "search_pays", lambda evaluations: True)
    monkeypatch.setattr(Prefix, "pays", lambda self, evaluations: True)
    monkeypatch.setattr(affine, "FLOAT_COST", 0.0)


def explained(case: Case, **options: Any) -> Any:
    """Explain with the case's own inputs and baselines, all that floats on the path."""
    leaves, starts = [*case.points, *case.fixed], [*case.starts, *case.fixed]
    x, baselines = (leaves[0], starts[0]) if len(leaves) == 1 else (leaves, starts)
    if isinstance(getattr(case.model, "input", None), dict):
        x, baselines = (dict(zip(case.model.input, part, strict=True)) for part in (leaves, starts))
    ig = pyig.IntegratedGradients(case.model, output=case.forward.output)
    return ig.explain(x, baselines=baselines, target=[0, 1, 2, 1], n_steps=7, allow_unused=True, **options)


def flat(found: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    leaves = found.values() if isinstance(found, dict) else found if isinstance(found, (list, tuple)) else [found]
    return np.concatenate([np.asarray(leaf, np.float64).reshape(len(leaf), -1) for leaf in leaves], axis=1)


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("name", WHOLE)
def test_equals_the_plain_path(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with floats(dtype):
        case = hoisted(name)
        found = explained(case)
        with monkeypatch.context() as patch:
            patch.setattr(keras_hoisting, "search_pays", lambda evaluations: False)
            plain = explained(case)
    assert NOTE in found.meta["notes"]
    assert NOTE not in plain.meta["notes"]
    a, b = flat(found.attributions), flat(plain.attributions)
    assert (np.abs(a - b).sum(1) / np.abs(b).sum(1)).max() < CLOSE[dtype]
    np.testing.assert_allclose(found.values, plain.values, rtol=10 * CLOSE[dtype])


@pytest.mark.parametrize("name", [name for name in (*WITHOUT_PREFIX, *NO_GRAPH) if name != "rounded"])  # no gradient
def test_other_models_are_explained_all_the_same(name: str) -> None:
    case = Case((WITHOUT_PREFIX | NO_GRAPH)[name][0], ((6, 1),) if "pooling" in name else ((6,),))
    found = pyig.IntegratedGradients(case.model).explain(case.points[0], baselines=case.starts[0], target=1, n_steps=7)
    assert NOTE not in found.meta["notes"]
    assert np.isfinite(found.attributions).all()
