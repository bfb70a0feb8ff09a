"""Layer attribution in torch, against hooks by brute force; what comes before the layer runs once, not per node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from layered import (
    STEPS,
    Fixed,
    Image,
    N,
    Recurrent,
    Restless,
    Reused,
    Rows,
    Skip,
    Text,
    Twice,
    data,
    reference,
    seeded,
)  # fmt: skip
from torch import nn

import pyig
from pyig.errors import InputError, InputTypeError, ModelError

CASES: list[tuple[Callable[[], nn.Module], str, tuple[int, ...]]] = [
    *[(Skip, name, (N, 3)) for name in ("first", "second", "last", "first.inner")],
    *[(Reused, name, (N, 3)) for name in "abc"],
    *[(Image, name, (N, 1, 6, 6)) for name in ("conv", "norm", "out")],
]


@pytest.mark.parametrize("to_inputs", [False, True])
@pytest.mark.parametrize(("make", "name", "shape"), CASES)
def test_agrees_with_hooks(make: Any, name: str, shape: tuple[int, ...], to_inputs: bool) -> None:
    model, x = seeded(make), data(shape)
    start = 0.1 * data((1, *shape[1:]))
    expected, values = reference(model, model.get_submodule(name), x, start, 1, to_inputs)
    for batch_size in (5, "auto"):
        found = pyig.IntegratedGradients(model).explain(
            x, start, 1, layer=name, attribute_to_layer_inputs=to_inputs, n_steps=STEPS, batch_size=batch_size
        )
        np.testing.assert_allclose(found.attributions, expected, rtol=0, atol=1e-12)
        with torch.no_grad():
            np.testing.assert_allclose(found.values, model(x)[:, 1], rtol=1e-12)
        np.testing.assert_allclose(found.baseline_values, values, rtol=1e-12)
    assert found.meta["notes"] == []


IDS = torch.randint(0, 10, (N, 6), generator=torch.Generator().manual_seed(0))


def test_token_ids_are_explained_at_their_embedding() -> None:
    model = seeded(Text)
    start = torch.full((1, 6), 3)
    found = pyig.IntegratedGradients(model).explain(IDS, start, 1, layer="words", n_steps=STEPS)
    np.testing.assert_allclose(found.attributions, reference(model, model.words, IDS, start, 1)[0], rtol=0, atol=1e-12)
    assert found.attributions.shape == (N, 6, 4)
    assert found.converged.all()
    same = pyig.IntegratedGradients(model).explain(IDS, 3, 1, layer="words", n_steps=STEPS)
    np.testing.assert_array_equal(same.attributions, found.attributions)


def test_several_baselines_of_tokens() -> None:
    ig = pyig.IntegratedGradients(seeded(Text))
    starts = [torch.full((1, 6), token) for token in (0, 3, 7)]
    found = ig.explain(IDS, starts, 1, layer="words", n_steps=STEPS)
    alone = [ig.explain(IDS, start, 1, layer="words", n_steps=STEPS).attributions for start in starts]
    np.testing.assert_allclose(found.attributions, np.mean(alone, axis=0), rtol=0, atol=1e-13)


@pytest.mark.parametrize("rows", [N, 6, 1])
def test_as_many_samples_as_positions(rows: int) -> None:
    model = seeded(Text)
    ids = torch.randint(0, 10, (rows, 6), generator=torch.Generator().manual_seed(2))
    found = pyig.IntegratedGradients(model).explain(ids, 0, 1, layer="mix", n_steps=STEPS)
    start = torch.zeros(1, 6, dtype=torch.long)
    np.testing.assert_allclose(found.attributions, reference(model, model.mix, ids, start, 1)[0], rtol=0, atol=1e-12)
    assert found.meta["notes"] == [], "positions are told from samples whatever their number"


def test_keyword_tensors_follow_their_samples() -> None:
    model = seeded(Text)
    mask = torch.ones(N, 6, dtype=torch.float64)
    mask[1:3, 4:] = 0
    ig = pyig.IntegratedGradients(model)
    for batch_size in (3, "auto"):
        options = {"layer": "words", "n_steps": STEPS, "batch_size": batch_size}
        found = ig.explain(IDS, 0, 1, forward_kwargs={"mask": mask}, **options)
        alone = [ig.explain(IDS[[i]], 0, 1, forward_kwargs={"mask": mask[[i]]}, **options) for i in range(N)]
        np.testing.assert_allclose(
            found.attributions, np.concatenate([a.attributions for a in alone]), rtol=0, atol=1e-13
        )
        as_input = ig.explain({"ids": IDS, "mask": mask}, {"ids": 0, "mask": mask}, 1, **options)
        np.testing.assert_allclose(as_input.attributions, found.attributions, rtol=0, atol=1e-13)
    assert not found.attributions[1, 4:].any()


def test_a_layer_is_named_in_every_way() -> None:
    model = seeded(Skip)
    ig, x = pyig.IntegratedGradients(model), data((N, 3))
    ways = ["second", model.second, lambda m: m.second]
    found = [ig.explain(x, 0, 1, layer=way, n_steps=5) for way in ways]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].attributions, other.attributions)
    assert found[0].meta["layer"] == "second"


def test_attribute_returns_tensors_of_the_layer() -> None:
    model = seeded(Text)
    found = pyig.IntegratedGradients(model).attribute(IDS, 0, 1, layer="words", n_steps=5)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float64
    assert found.shape == (N, 6, 4)


@pytest.mark.parametrize("steps", [10, 40])
def test_what_comes_before_runs_once(steps: int) -> None:
    model, samples = seeded(Skip), 50
    found = pyig.IntegratedGradients(model).explain(data((samples, 3)), 0, 1, layer="second", n_steps=steps)
    assert model.first.rows <= 2 * samples + 10, "x, the baselines, and a look at a few rows"
    assert model.first.calls <= 8
    assert found.n_evals.sum() == samples * steps


def test_what_comes_before_runs_once_over_many_blocks() -> None:
    model, samples = seeded(Skip), 300
    ig = pyig.IntegratedGradients(model)
    ig.explain(data((samples, 3)), 0, 1, layer="second", n_steps=8, batch_size=4)
    assert 2 * samples <= model.first.rows <= 2 * samples + 10
    assert model.first.calls <= 2 * samples / 4 + 50, "in batches, of which only the last of a block is short"


def test_the_count_can_fail() -> None:
    model = seeded(Skip)
    pyig.IntegratedGradients(model).explain(data((N, 3)), 0, 1, n_steps=10)
    assert model.first.rows >= 10 * N


@pytest.mark.parametrize("make", [Restless, Rows, Fixed])
def test_models_that_cannot_be_replayed_run_whole(make: Any) -> None:
    model, x, start = seeded(make), data((N, 3)), 0.1 * data((1, 3))
    found = pyig.IntegratedGradients(model).explain(x, start, 1, layer="mid", n_steps=STEPS, batch_size=4)
    np.testing.assert_allclose(found.attributions, reference(model, model.mid, x, start, 1)[0], rtol=0, atol=1e-12)
    assert len(found.meta["notes"]) == 1
    assert found.meta["notes"][0].startswith("the layers before the cut run again for every node: ")


# --- what cannot be done -------------------------------------------------------------------------------------------


REFUSED: list[tuple[Any, Any, dict[str, Any], Any, str]] = [
    (Twice, "a", {}, ModelError, "called once in a forward; Linear is called again"),
    (Twice, "unused", {}, ModelError, "to be called by the model; it was not"),
    (Twice, "b", {}, InputError, "unknown layer 'b'"),
    (Skip, "secnd", {}, InputError, "did you mean 'second'"),
    (Skip, nn.Linear(2, 2), {}, InputError, "a Linear that is not part of it"),
    (Skip, 3, {}, InputTypeError, "got int"),
    (Skip, lambda m: None, {}, InputTypeError, r"callable\(model\)"),
    (Text, "words", {"attribute_to_layer_inputs": True}, InputTypeError, "floating values; got torch.int64"),
    (Recurrent, "lstm", {}, ModelError, "one row per sample"),
]


@pytest.mark.parametrize(("make", "layer", "options", "error", "said"), REFUSED)
def test_what_cannot_be_cut_is_said(make: Any, layer: Any, options: Any, error: Any, said: str) -> None:
    model = seeded(make)
    x = {Text: IDS, Recurrent: data((N, 5, 3))}.get(make, data((N, 3)))
    with pytest.raises(error, match=said):
        pyig.IntegratedGradients(model).explain(x, 0, 1, layer=layer, **options)
    assert_clean(model)


def test_functions_have_no_layers() -> None:
    with pytest.raises(InputTypeError, match=r"torch\.nn\.Module"):
        pyig.IntegratedGradients(lambda x: x).explain(data((N, 3)), target=0, layer="a")
    with pytest.raises(InputTypeError, match="backend 'callable'"):
        pyig.IntegratedGradients(np.sin, gradient=np.cos).explain(np.ones(3), layer="a")


# --- the model stays as it was -------------------------------------------------------------------------------------


def assert_clean(model: nn.Module) -> None:
    for module in model.modules():
        assert "forward" not in module.__dict__
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


class Bomb(nn.Module):
    """Passes on until its fuse burns down."""

    fuse = 10**9
    kind: type[BaseException] = ValueError

    def forward(self, x: Any) -> Any:
        self.fuse -= 1
        if self.fuse < 0:
            raise self.kind("bang")
        return x


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("fuse", range(6))
def test_forwards_are_put_back_after_any_failure(place: int, fuse: int, kind: Any) -> None:
    parts = [nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)]
    bomb = Bomb()
    bomb.kind = kind
    model = seeded(lambda: nn.Sequential(*parts[:place], bomb, *parts[place:]))
    x = data((N, 3))
    with torch.no_grad():
        before = model(x)
    bomb.fuse = fuse
    with contextlib.suppress(kind):
        pyig.IntegratedGradients(model).explain(x, 0, 1, layer=parts[2], n_steps=8, batch_size=6)
    bomb.fuse = 10**9
    assert_clean(model)
    with torch.no_grad():
        assert torch.equal(model(x), before)


def test_the_users_own_patch_is_put_back() -> None:
    model = seeded(Skip)
    original = model.second.forward

    def patched(x: Any) -> Any:
        return original(x) * 2

    model.second.forward = patched  # type: ignore[method-assign]
    found = pyig.IntegratedGradients(model).explain(data((N, 3)), 0, 1, layer="second", n_steps=40)
    assert model.second.__dict__["forward"] is patched
    assert np.abs(found.deltas).max() < 1e-10
    with torch.no_grad():
        np.testing.assert_allclose(found.values, model(data((N, 3)))[:, 1], rtol=1e-12)


def test_the_users_hooks_stay_and_still_count() -> None:
    model, seen = seeded(Skip), []
    model.second.register_forward_hook(lambda m, args, out: out * 2)
    model.first.register_forward_hook(lambda m, args, out: seen.append(len(out)))
    found = pyig.IntegratedGradients(model).explain(data((N, 3)), 0, 1, layer="last", n_steps=40)
    assert np.abs(found.deltas).max() < 1e-10
    with torch.no_grad():
        np.testing.assert_allclose(found.values, model(data((N, 3)))[:, 1], rtol=1e-12)
    assert seen
