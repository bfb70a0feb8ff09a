"""A device far away: nothing is mixed with the host, and nothing is copied home but a few numbers per row."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from far import FAR, Far, FarTensor
from torch import nn

import pyig
from pyig.errors import PyigError

N, FEATURES, STEPS, ROWS = 6, 40, 9, 7


def weights(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    rng = np.random.default_rng(0)
    return tuple(
        torch.from_numpy(rng.normal(size=shape) / 3).to(dtype) for shape in ((FEATURES, 8), (8, 3), (N, FEATURES))
    )


def network(w: torch.Tensor, v: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: torch.tanh(x.flatten(1) @ w) @ v


class Place:
    """Somewhere to put tensors, and the way back."""

    def __init__(self, name: str, far: Far | None) -> None:
        self.name, self.far = name, far

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.far.tensor(tensor) if self.far else tensor.to(self.name)

    def get(self, tensor: Any) -> Any:
        assert tensor.device.type == (FAR.type if self.far else self.name)
        return (tensor.inner if isinstance(tensor, FarTensor) else tensor.cpu()).float().numpy()


def need_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA device")


@pytest.fixture(params=["far", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "far":
        with Far() as far:
            yield Place("far", far)
        return
    need_cuda()
    yield Place("cuda", None)


CALLS: dict[str, dict[str, Any]] = {
    "fixed": {"n_steps": STEPS},
    "simpson": {"n_steps": STEPS, "method": "simpson"},
    "a class per sample": {"n_steps": STEPS, "target": [0, 1, 2, 2, 1, 0]},
    "several targets": {"n_steps": STEPS, "target": "top2"},
    "contrast": {"n_steps": STEPS, "contrast": 2},
    "log-odds": {"n_steps": STEPS, "value": "log_odds", "output_kind": "logits"},
    "one number as baseline": {"n_steps": STEPS, "baselines": 0.3},
    "a row as baseline": {"n_steps": STEPS, "baselines": np.linspace(-1, 1, FEATURES)},
    "several baselines": {"n_steps": STEPS, "baselines": [0.0, 1.0, np.ones(FEATURES) / 2]},
    "drawn baselines": {"n_steps": STEPS, "baselines": "uniform", "rng": 3},
    "expected gradients": {"n_steps": 13, "method": "expected", "baselines": [0.0, 1.0, -1.0, 0.2], "rng": 3},
    "expected gradients of two targets": {
        "method": "expected",
        "baselines": [0.0, 1.0, -1.0],
        "rng": 3,
        "target": "top2",
    },
    "a function as target": {"n_steps": STEPS, "target": lambda out: out.pow(2).sum(1)},
    "by itself": {"rtol": 1e-5},
    "adaptive": {"method": "adaptive", "rtol": 1e-5},
    "probability": {"n_steps": STEPS, "value": "probability", "output_kind": "logits"},
    "adaptive probability": {"method": "adaptive", "value": "probability", "output_kind": "logits", "rtol": 1e-5},
}


@pytest.mark.parametrize("call", CALLS)
def test_far_and_near_agree(call: str, place: Place) -> None:
    w, v, x = weights()
    options = {"target": 1, "batch_size": ROWS} | CALLS[call]
    near = pyig.IntegratedGradients(network(w, v)).attribute(x, **options)
    there = pyig.IntegratedGradients(network(place.put(w), place.put(v)))
    found = place.get(there.attribute(place.put(x), **options))
    np.testing.assert_allclose(found, near.numpy(), rtol=0, atol=1e-5)


def look_into_far_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recording take them for what they stand for; it refuses subclasses, a device's tensors are none."""
    monkeypatch.setattr("pyig.structure.torch_record.PLAIN", (torch.Tensor, torch.nn.Parameter, FarTensor))


@pytest.mark.parametrize("call", ["fixed", "several targets", "several baselines", "probability"])
def test_a_path_behind_the_affine_part_stays_there(call: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    look_into_far_tensors(monkeypatch)
    monkeypatch.setattr("pyig.structure.torch_hoisting.search_pays", lambda evaluations: True)
    monkeypatch.setattr("pyig.structure.torch_prefix.Prefix.pays", lambda self, evaluations: True)
    w, v, x = weights()
    options = {"target": 1, "batch_size": ROWS, "progress": False} | CALLS[call]
    near = pyig.IntegratedGradients(network(w, v)).explain(x, **options)
    there = pyig.IntegratedGradients(network(place.put(w), place.put(v))).explain(place.put(x), **options)
    assert any("affine part" in note for note in near.meta["notes"])
    assert there.meta["notes"] == near.meta["notes"]
    np.testing.assert_allclose(there.attributions, near.attributions, rtol=0, atol=1e-5)


def test_linear_regions_are_found_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    look_into_far_tensors(monkeypatch)
    w, v, x = weights()

    def bent(a: torch.Tensor, b: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: torch.relu(torch.relu(x @ a) @ b) @ b.T

    near = pyig.IntegratedGradients(bent(w, v)).explain(x, target=1, progress=False)
    there = pyig.IntegratedGradients(bent(place.put(w), place.put(v))).explain(place.put(x), target=1, progress=False)
    assert near.meta["method"] == there.meta["method"] == "exact"
    np.testing.assert_allclose(there.attributions, near.attributions, rtol=0, atol=1e-5)


def test_an_explanation_comes_home(place: Place) -> None:
    w, v, x = weights()
    there = pyig.IntegratedGradients(network(place.put(w), place.put(v)))
    found = there.explain(place.put(x), target=1, n_steps=STEPS)
    near = pyig.IntegratedGradients(network(w, v)).explain(x, target=1, n_steps=STEPS)
    np.testing.assert_allclose(found.attributions, near.attributions, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.error, near.error, rtol=1e-2, atol=1e-6)
    assert found.meta["device"].startswith(FAR.type if place.far else place.name)


def test_standard_errors_come_home(place: Place) -> None:
    w, v, x = weights()
    there = pyig.IntegratedGradients(network(place.put(w), place.put(v)))
    options = {"method": "expected", "n_steps": 11, "baselines": [0.0, 1.0, -1.0, 0.2], "rng": 3, "target": 1}
    found = there.explain(place.put(x), **options)
    near = pyig.IntegratedGradients(network(w, v)).explain(x, **options)
    np.testing.assert_allclose(found.standard_error, near.standard_error, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.error, near.error, rtol=1e-3)


def test_noise_is_the_same_there(place: Place) -> None:
    w, v, x = weights()
    there = pyig.NoiseTunnel(pyig.IntegratedGradients(network(place.put(w), place.put(v))))
    options = {"stdevs": 0.3, "draws": 3, "n_steps": STEPS, "rng": 3, "target": 1}
    found = there.explain(place.put(x), **options)
    near = pyig.NoiseTunnel(pyig.IntegratedGradients(network(w, v))).explain(x, **options)
    np.testing.assert_allclose(found.attributions, near.attributions, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.standard_error, near.standard_error, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_wide(dtype: torch.dtype, place: Place) -> None:
    w, v, x = weights(dtype)
    there = pyig.IntegratedGradients(network(place.put(w), place.put(v)))
    found = there.attribute(place.put(x), target=1, n_steps=STEPS)
    assert found.dtype == dtype
    near = pyig.IntegratedGradients(network(w.float(), v.float())).attribute(x.float(), target=1, n_steps=STEPS)
    np.testing.assert_allclose(place.get(found), near.numpy(), rtol=0, atol=0.05)


def test_structures_stay_there(place: Place) -> None:
    w, v, x = weights()
    a, b = place.put(w), place.put(v)

    def model(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return network(a, b)(torch.cat([left, right], dim=1))

    found = pyig.IntegratedGradients(model).attribute(
        {"left": place.put(x[:, :10]), "right": place.put(x[:, 10:])}, target=1, n_steps=STEPS
    )
    near = pyig.IntegratedGradients(network(w, v)).attribute(x, target=1, n_steps=STEPS)
    joined = np.concatenate([place.get(found["left"]), place.get(found["right"])], axis=1)
    np.testing.assert_allclose(joined, near.numpy(), rtol=0, atol=1e-5)


def test_what_is_copied_home_is_numbers_per_row() -> None:
    w, v, x = weights()
    with Far() as far:
        ig = pyig.IntegratedGradients(network(far.tensor(w), far.tensor(v)))
        there = far.tensor(x)
        for options in ({"target": 1}, {"target": [0, 1, 2, 2, 1, 0], "baselines": 0.5}):
            far.home.clear()
            ig.attribute(there, n_steps=STEPS, batch_size=ROWS, **options)
            assert max(far.home) <= 3 * N, "values, slopes and norms; never points, gradients or results"
            calls = -(-N * STEPS // ROWS)
            assert sum(far.home) <= 4 * N * STEPS + 40 * calls
            assert len(far.home) <= 3 * calls + 12, "each copy waits for the device"


class Reader(nn.Module):
    """A text and numbers, in double precision."""

    def __init__(self, place: Place | None = None) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        for name, shape in {"words": (20, 6), "w": (29, 8), "v": (8, 3)}.items():
            tensor = torch.from_numpy(rng.normal(size=shape) / 2)
            setattr(self, f"_{name}", nn.Parameter(tensor if place is None else place.put(tensor)))
        self.words = nn.Embedding(20, 6, _weight=self._words)

    def forward(self, ids: torch.Tensor, numbers: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        words = self.words(ids)
        words = words if mask is None else words * mask[..., None]
        return torch.tanh(torch.cat([words.flatten(1), numbers], dim=1) @ self._w) @ self._v


@pytest.mark.parametrize("call", ["fixed", "several targets", "a class per sample", "probability", "by itself"])
def test_ids_and_floats_move_on_the_device(call: str, place: Place) -> None:
    rng = np.random.default_rng(0)
    ids, numbers = torch.from_numpy(rng.integers(0, 20, (N, 4))), torch.from_numpy(rng.normal(size=(N, 5)))
    mask = torch.from_numpy(rng.integers(0, 2, (N, 4)))
    options = {"target": 1, "batch_size": ROWS} | CALLS[call]
    wanted = pyig.IntegratedGradients(Reader()).attribute([ids, numbers], forward_kwargs={"mask": mask}, **options)
    there = pyig.IntegratedGradients(Reader(place))
    given = [place.put(ids), place.put(numbers)]
    found = there.attribute(given, forward_kwargs={"mask": place.put(mask)}, **options)
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(place.get(mine), theirs.float().numpy(), rtol=0, atol=1e-5)
        assert np.abs(theirs.numpy()).max() > 1e-3


def test_ids_at_home_are_told_to_move(place: Place) -> None:
    ids, numbers = torch.ones(N, 4, dtype=torch.long), torch.ones(N, 5, dtype=torch.float64)
    there = pyig.IntegratedGradients(Reader(place))
    with pytest.raises(PyigError, match=r"on the device of the model\. Move it \(x\.to\(device\)\), or pass numpy"):
        there.attribute([ids, place.put(numbers)], target=1)


@pytest.mark.gpu
def test_texts_follow_the_model_to_the_device() -> None:
    """Ids, masks and token types come from a tokenizer, on the host; the model is on the device."""
    need_cuda()
    text_models = pytest.importorskip("text_models")
    texts, tokenizer = ["The film wasn't as bad as I feared.", "Short one"], text_models.tokenizer()
    asked: list[Callable[[Any], Any]] = [
        lambda model: pyig.explain_text(model, texts, tokenizer, target=1, n_steps=32),
        lambda model: pyig.explain_text(model, texts, tokenizer, target="top2", baseline="zero", n_steps=32),
        lambda model: pyig.explain_similarity(model.bert, texts, "A film that I saw", tokenizer, n_steps=32),
    ]
    for ask in asked:
        near, there = ask(text_models.classifier()), ask(copy.deepcopy(text_models.classifier()).cuda())
        assert there.meta["device"].startswith("cuda")
        for i in range(len(texts)):
            mine, theirs = ([share.attribution for share in found.shares(i)] for found in (there, near))
            np.testing.assert_allclose(mine, theirs, atol=1e-4 * max(np.abs(theirs).sum(), 1))
    near, there = text_models.causal(), copy.deepcopy(text_models.causal()).cuda()
    stories = [
        pyig.explain_generation(model, texts[0], tokenizer, max_new_tokens=3, n_steps=32) for model in (near, there)
    ]
    assert stories[0].tokens == stories[1].tokens
    np.testing.assert_allclose(stories[1].matrix()[2], stories[0].matrix()[2], atol=1e-4)
    edited = pyig.explain_next(there, texts, tokenizer, n_steps=8).edit({"film": "book"})
    assert edited.after.meta["device"].startswith("cuda")


@pytest.mark.gpu
def test_ids_in_numpy_follow_the_model_to_the_device() -> None:
    need_cuda()
    ids, numbers = np.ones((N, 4), dtype=np.int64), np.ones((N, 5))
    found = pyig.IntegratedGradients(Reader().cuda()).explain([ids, numbers], target=1)
    near = pyig.IntegratedGradients(Reader()).explain([ids, numbers], target=1)
    assert found.meta["device"].startswith("cuda")
    for mine, theirs in zip(found.attributions, near.attributions, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)
    (layer, *_) = pyig.text_layers(Reader().cuda(), [ids, numbers])
    assert layer.name == "words"


@pytest.mark.gpu
def test_a_model_on_the_device_takes_numpy_there() -> None:
    need_cuda()
    model, x = nn.Linear(FEATURES, 3).cuda(), np.ones((2, FEATURES))
    found = pyig.IntegratedGradients(model).explain(x, target=1)
    assert found.meta["device"].startswith("cuda")
    np.testing.assert_allclose(found.attributions, np.tile(model.weight[1].detach().cpu(), (2, 1)), atol=1e-5)


@pytest.mark.gpu
def test_memory_that_runs_out_on_the_device_is_a_smaller_batch() -> None:
    need_cuda()
    free = torch.cuda.mem_get_info()[0]
    wide = free // 40  # bytes per row of the hidden value, kept for the gradient: forty rows are too many
    w = torch.ones(1, 1, device="cuda")

    def model(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh((x @ w).expand(-1, wide // 4).contiguous()).mean(1)

    found = pyig.IntegratedGradients(model).explain(torch.ones(4, 1, device="cuda"), n_steps=20, batch_size=64)
    assert found.meta["batch_rows"] < 40
    np.testing.assert_allclose(found.attributions, np.tanh(1), rtol=1e-4)


# --- the far device on trial -----------------------------------------------------------------------------------------


def test_far_tensors_will_not_mix() -> None:
    with Far() as far:
        x = far.tensor(torch.ones(3))
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(3)
        assert (x + 1.0).inner.tolist() == [2.0, 2.0, 2.0]
        assert isinstance(torch.zeros(2, device=FAR), FarTensor)
        with pytest.raises((RuntimeError, TypeError)):
            x.numpy()


def test_far_tensors_count_what_comes_home() -> None:
    with Far() as far:
        x = far.tensor(torch.ones(5))
        assert x.cpu().tolist() == [1.0] * 5
        assert far.home == [5]
        assert torch.from_numpy(np.ones(2)).to(FAR).inner.tolist() == [1.0, 1.0]
        assert far.home == [5]


def test_far_tensors_have_gradients() -> None:
    with Far() as far:
        x = far.tensor(torch.full((2, 2), 3.0)).requires_grad_()
        (grad,) = torch.autograd.grad((x**2).sum(), x)
        assert isinstance(grad, FarTensor)
        assert grad.inner.tolist() == [[6.0, 6.0], [6.0, 6.0]]
