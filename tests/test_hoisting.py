"""The affine part of a model runs once per sample, and nothing else changes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import pyig

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch_nets import HOISTED, UNRECORDABLE, WITHOUT_PREFIX  # noqa: E402

from pyig.structure import affine, torch_hoisting  # noqa: E402
from pyig.structure.torch_prefix import Prefix  # noqa: E402

NOTE = "the affine part before the first nonlinear operation ran once per sample"


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hoist small models too."""
    monkeypatch.setattr(torch_hoisting, "search_pays", lambda evaluations: True)
    monkeypatch.setattr(Prefix, "pays", lambda self, evaluations: True)
    monkeypatch.setattr(affine, "FLOAT_COST", 0.0)


def call(name: str, dtype: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Return a model, and its inputs and baselines as options."""
    torch.manual_seed(3)
    make, shapes, moving, _ = HOISTED[name]
    leaves = [torch.randn(5, *shape, dtype=dtype) for shape in shapes]
    starts = [0.1 * torch.randn(5, *shape, dtype=dtype) for shape in shapes[:moving]]
    options: dict[str, Any] = {"allow_unused": moving > 1, "progress": False}
    if moving < len(shapes):
        options["forward_kwargs"] = {"mask" if name == "mask" else "b": leaves[1]}
    several = moving > 1
    options |= {"x": tuple(leaves) if several else leaves[0], "baselines": tuple(starts) if several else starts[0]}
    return make().eval().to(dtype), options


def distance(a: Any, b: Any) -> float:
    a, b = (x if isinstance(x, tuple) else (x,) for x in (a, b))
    apart = sum(np.abs(np.asarray(p, float) - q).sum() for p, q in zip(a, b, strict=True))
    return float(apart / sum(np.abs(q).sum() for q in b))


def plainly(model: nn.Module, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(torch_hoisting, "search_pays", lambda evaluations: False)
        found = pyig.IntegratedGradients(model).explain(**options)
    assert NOTE not in found.meta["notes"]
    return found


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", HOISTED)
def test_equals_the_plain_path(name: str, dtype: Any, close: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model, options = call(name, dtype)
    options |= {"n_steps": 12, "target": [0, 1, 2, 1, 0]}
    wanted = plainly(model, options, monkeypatch)
    found = pyig.IntegratedGradients(model).explain(**options)
    assert NOTE in found.meta["notes"]
    assert distance(found.attributions, wanted.attributions) < close
    np.testing.assert_array_equal(found.values, wanted.values)
    np.testing.assert_allclose(found.error, wanted.error, atol=close * np.abs(wanted.values).max() * 10)
    np.testing.assert_allclose(found.path_values, wanted.path_values, rtol=0, atol=1e4 * close)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("batch", [3, "auto"])
def test_several_baselines_targets_and_batches(shared: bool, batch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, options = call("conv, norm, relu in place", torch.float64)
    x = options["x"]
    options["baselines"] = [0.0, 0.3] if shared else pyig.several([torch.zeros_like(x), 0.1 * x])
    options |= {"n_steps": 8, "target": "top2"}
    wanted = plainly(model, options, monkeypatch)
    found = pyig.IntegratedGradients(model).explain(**options, batch_size=batch)
    assert NOTE in found.meta["notes"]
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.deltas, wanted.deltas, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", [*WITHOUT_PREFIX, *UNRECORDABLE])
def test_takes_the_plain_path_where_there_is_no_prefix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    make, _ = (WITHOUT_PREFIX | UNRECORDABLE)[name]
    model, x = make(), torch.randn(4, 6)
    options = {"x": x, "target": 0, "n_steps": 4, "batch_size": 4, "allow_unused": True, "progress": False}

    def outcome(run: Any) -> Any:
        torch.manual_seed(1)
        try:
            return run()
        except Exception as error:
            return type(error), str(error)

    wanted = outcome(lambda: plainly(model, options, monkeypatch))
    found = outcome(lambda: pyig.IntegratedGradients(model).explain(**options))
    if isinstance(wanted, tuple):
        assert found == wanted
        return
    assert NOTE not in found.meta["notes"]
    # Left out: random numbers, and a model that catches the warning that torch gives once in a process.
    if "training" not in name and name != "swallows errors":
        np.testing.assert_array_equal(found.attributions, wanted.attributions)


def wide(*more: int) -> nn.Sequential:
    torch.manual_seed(0)
    sizes = (400, 32, 24, *more, 3)
    layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.GELU())]
    return nn.Sequential(*layers[:-1]).eval()


def test_a_wide_first_layer_is_hoisted_by_itself() -> None:
    model, x = wide(), torch.randn(40, 400)
    rows: list[int] = []
    model[0].register_forward_hook(lambda module, given, found: rows.append(len(found)))
    found = pyig.IntegratedGradients(model).explain(x, target=1, progress=False, n_steps=50)
    assert NOTE in found.meta["notes"]
    assert sum(rows) < 5 * 40  # the recording keeps what a hook does: the rows of every run are seen
    few = pyig.IntegratedGradients(model).explain(x[:1], target=1, progress=False, n_steps=5)
    assert NOTE not in few.meta["notes"]  # the check would cost more than it saves


@pytest.mark.parametrize("layer", ["0", lambda model: model[0]])
def test_an_explicit_prefix(layer: Any) -> None:
    model, x = wide(), torch.randn(3, 400)
    layer = layer if isinstance(layer, str) else layer(model)
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, target=1, n_steps=9, prefix=layer, progress=False)
    assert NOTE in found.meta["notes"]
    wanted = explainer.explain(x, target=1, n_steps=9, progress=False)
    assert distance(found.attributions, wanted.attributions) < 1e-6


def test_an_explicit_prefix_that_is_not_affine_is_not_used() -> None:
    model, x = wide(), torch.randn(3, 400)
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, target=1, n_steps=9, prefix="1", progress=False)
    assert any(note.startswith("prefix= is not used") for note in found.meta["notes"])
    wanted = explainer.explain(x, target=1, n_steps=9, progress=False)
    assert distance(found.attributions, wanted.attributions) < 1e-6


def test_a_prefix_that_is_no_layer_is_an_error() -> None:
    with pytest.raises(pyig.InputError, match="nowhere"):
        pyig.IntegratedGradients(wide()).explain(torch.randn(3, 400), target=1, n_steps=9, prefix="nowhere")


def test_changed_weights_are_seen() -> None:
    model, x = wide(), torch.randn(40, 400)
    explainer = pyig.IntegratedGradients(model)
    explainer.explain(x, target=1, n_steps=20, progress=False)
    with torch.no_grad():
        model[0].weight.mul_(-2)
    found = explainer.explain(x, target=1, n_steps=20, progress=False)
    fresh = pyig.IntegratedGradients(model).explain(x, target=1, n_steps=20, progress=False)
    assert NOTE in found.meta["notes"]
    np.testing.assert_array_equal(found.attributions, fresh.attributions)


def test_a_model_in_half_precision_keeps_its_dtype() -> None:
    model, x = wide().to(torch.bfloat16), torch.randn(40, 400).to(torch.bfloat16)
    found = pyig.IntegratedGradients(model).attribute(x, target=1, n_steps=20, progress=False)
    assert found.dtype == torch.bfloat16
    assert bool(torch.isfinite(found).all())


def test_a_stopped_run_gives_what_it_has() -> None:
    model, x, calls = wide(), torch.randn(40, 400), []
    found = pyig.IntegratedGradients(model).explain(
        x, target=1, n_steps=50, batch_size=64, progress=False, cancel=lambda: len(calls.append(0) or calls) > 12
    )
    assert not found.meta["complete"]
    done = np.abs(found.attributions).sum(axis=1) > 0
    assert 0 < done.sum() < 40
