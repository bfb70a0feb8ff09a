"""The adaptive method end to end: what it promises, what it says when it cannot keep it, and where it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

import pyig

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from pyig.backends.torch import TorchBackend  # noqa: E402
from pyig.integrate import adaptive  # noqa: E402
from pyig.rows import HostCells  # noqa: E402


def net(activation: Callable[[], nn.Module], seed: int = 0, head: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(12, 32), activation(), nn.Linear(32, 32), activation(), nn.Linear(32, 3)]
    return nn.Sequential(*layers, *([head] if head is not None else [])).double().eval()


def points(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2


def relative(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.abs(found - wanted).sum(axis=-1) / np.abs(wanted).sum(axis=-1)


@pytest.mark.parametrize("value", [None, "probability"])
@pytest.mark.parametrize("rtol", [1e-2, 1e-3])
@pytest.mark.parametrize("activation", [nn.GELU, nn.Tanh, nn.ELU, nn.ReLU])
def test_samples_that_claim_a_tolerance_keep_it(activation: type[nn.Module], rtol: float, value: str | None) -> None:
    explainer = pyig.IntegratedGradients(net(activation))
    x = points(40)
    wanted = explainer.explain(x, target=1, value=value, method="riemann_middle", n_steps=8192, progress=False)
    found = explainer.explain(x, method="adaptive", target=1, value=value, rtol=rtol, progress=False)
    error = relative(found.attributions, wanted.attributions)
    assert np.mean(found.converged & (error > rtol)) <= 0.05
    assert error[found.converged].max() < 2 * rtol
    assert found.meta["method"] == "adaptive"


def test_a_smooth_net_costs_few_gradients_and_samples_differ() -> None:
    found = pyig.IntegratedGradients(net(nn.GELU)).explain(points(40), method="adaptive", target=1)
    assert found.converged.all()
    assert found.n_evals.min() == 5
    assert found.n_evals.mean() <= 10
    rough = pyig.IntegratedGradients(net(nn.ReLU)).explain(points(40), method="adaptive", target=1)
    assert len(set(rough.n_evals.tolist())) > 5


def test_a_linear_model_is_exact_after_the_first_round() -> None:
    model = nn.Linear(12, 1).double()
    x = points(3)
    found = pyig.IntegratedGradients(model).explain(x, method="adaptive")
    assert found.n_evals.tolist() == [5, 5, 5]
    assert found.converged.all()
    np.testing.assert_allclose(found.attributions, (x * model.weight).detach().numpy(), rtol=1e-13)


def test_no_difference_is_no_attribution() -> None:
    x = points(3)
    found = pyig.IntegratedGradients(net(nn.ReLU)).explain(x, method="adaptive", baselines=x, target=0)
    assert not found.attributions.any()
    assert found.converged.all()


def test_a_budget_that_is_too_small_is_flagged() -> None:
    found = pyig.IntegratedGradients(net(nn.ReLU)).explain(
        points(10), method="adaptive", target=1, rtol=1e-5, max_evals=31
    )
    assert not found.converged.any()
    assert found.n_evals.max() <= 31
    assert (found.error > 0).all()
    assert "not converged" in repr(found)


@pytest.mark.parametrize("confidence", ["typical", "p95", "strict"])
def test_more_caution_costs_more_gradients(confidence: str) -> None:
    explainer = pyig.IntegratedGradients(net(nn.ReLU))
    spent = explainer.explain(points(20), method="adaptive", target=1, confidence=confidence).n_evals.mean()
    usual = explainer.explain(points(20), method="adaptive", target=1).n_evals.mean()
    assert {"typical": spent < usual, "p95": spent == usual, "strict": spent > usual}[confidence]


def test_a_softmax_in_the_model_is_integrated_in_log_odds() -> None:
    explainer = pyig.IntegratedGradients(net(nn.GELU, head=nn.Softmax(-1)))
    x = 4 * points(20)
    found = explainer.explain(x, method="adaptive", target=1)
    logits = pyig.IntegratedGradients(net(nn.GELU)).explain(x, method="adaptive", target=1, value="probability")
    assert found.meta["output_kind"] == "probabilities"
    np.testing.assert_allclose(found.attributions, logits.attributions, rtol=0, atol=1e-12)
    assert found.n_evals.tolist() == logits.n_evals.tolist()
    np.testing.assert_allclose(found.path(0).values[[0, -1]], [found.baseline_values[0], found.values[0]], atol=1e-12)


def test_probabilities_that_do_not_sum_to_one_have_odds_of_their_own() -> None:
    explainer = pyig.IntegratedGradients(net(nn.GELU, head=nn.Sigmoid()))
    x = points(20)
    wanted = explainer.explain(x, target=1, method="riemann_middle", n_steps=4096).attributions
    assert relative(explainer.explain(x, method="adaptive", target=1, rtol=1e-3).attributions, wanted).max() < 2e-3


def test_a_saturated_float32_softmax_stays_finite() -> None:
    model = net(nn.GELU, head=nn.Softmax(-1)).float()
    with torch.no_grad():
        model[4].weight *= 1000
    found = pyig.IntegratedGradients(model).explain(points(20).float(), method="adaptive")
    assert np.isfinite(found.attributions).all()
    assert found.values.max() == 1.0


def test_rows_on_a_device_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = pyig.IntegratedGradients(net(nn.ReLU))
    options = {"method": "adaptive", "target": "top2", "baselines": [0.0, 1.0], "batch_size": 7}
    host = explainer.explain(points(6), **options)
    monkeypatch.setattr(TorchBackend, "on_host", lambda self, tensor: False)
    device = explainer.explain(points(6), **options)
    np.testing.assert_allclose(device.attributions, host.attributions, rtol=0, atol=1e-13)
    assert device.n_evals.tolist() == host.n_evals.tolist()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8, 64])
def test_the_batch_size_changes_nothing(batch_size: int) -> None:
    explainer = pyig.IntegratedGradients(net(nn.ReLU))
    wanted = explainer.explain(points(7), method="adaptive", target=1)
    found = explainer.explain(points(7), method="adaptive", target=1, batch_size=batch_size)
    assert found.n_evals.tolist() == wanted.n_evals.tolist()
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-13)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
@pytest.mark.parametrize("batch_size", [16, 32, 64, 128])
@pytest.mark.parametrize("samples", [100, 350])
def test_batches_of_many_samples_are_full(samples: int, batch_size: int, activation: type[nn.Module]) -> None:
    asked: list[int] = []
    model = net(activation)
    model.register_forward_pre_hook(lambda _, args: asked.append(len(args[0])))
    found = pyig.IntegratedGradients(model).explain(points(samples), method="adaptive", target=1, batch_size=batch_size)
    loop = [rows for rows in asked if rows > 1][-(found.n_evals.sum() // batch_size) :]
    assert max(loop) == found.meta["batch_rows"] == batch_size
    rows = int(found.n_evals.sum())  # of a smooth network few: five calls of 128, of which the last cannot be full
    assert found.meta["batch_fill"] >= min(0.9, rows / (-(-rows // batch_size) * batch_size))


def test_one_sample_does_not_fill_a_batch() -> None:
    found = pyig.IntegratedGradients(net(nn.ReLU)).explain(points(1), method="adaptive", target=1, batch_size=64)
    assert found.meta["batch_fill"] < 0.2


def test_gradient_rows_are_bounded_counted_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = pyig.IntegratedGradients(net(nn.ReLU))
    options = {"method": "adaptive", "target": 1, "rtol": 3e-3, "max_evals": 60, "batch_size": 256}
    free = explainer.explain(points(40), **options)
    stored: list[int] = []
    keep = HostCells.keep

    def count(self: HostCells, grads: list[torch.Tensor], slots: np.ndarray) -> None:
        keep(self, grads, slots)
        stored.append(len(self._store[0]))

    monkeypatch.setattr(HostCells, "keep", count)
    for beside in (0, 25, 100):
        monkeypatch.setattr(adaptive, "_ROW_BYTES", beside * 8 * 12)
        held = explainer.explain(points(40), **options)
        assert held.meta["most_open_rows"] == 60 + beside < free.meta["open_rows"]
        assert held.meta["open_rows"] <= max(stored) <= 60 + beside
        # Batches are cut elsewhere, so the model's own rounding differs.
        np.testing.assert_allclose(held.attributions, free.attributions, rtol=0, atol=1e-13)
        assert held.n_evals.tolist() == free.n_evals.tolist()
        stored.clear()
    assert not free.converged.all()
    assert explainer.explain(points(2), target=1, n_steps=9).meta["open_rows"] is None


def test_a_stopped_run_keeps_what_it_has() -> None:
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        assert 0 <= done <= total == 40
        if done >= 3:
            event.set()

    found = pyig.IntegratedGradients(net(nn.ReLU)).explain(
        points(40), method="adaptive", target=1, batch_size=16, progress=progress, cancel=event
    )
    done = np.isfinite(found.attributions).all(axis=1)
    assert 3 <= found.converged.sum() < 40
    assert found.converged.sum() <= done.sum() < 40
    assert (found.n_evals[~done] < 5).all()
    assert not found.meta["complete"]


def test_out_of_memory_shrinks_the_batch_and_changes_nothing() -> None:
    model = net(nn.ReLU)
    wanted = pyig.IntegratedGradients(model).explain(points(9), method="adaptive", target=1)

    def limit(_: nn.Module, args: tuple[torch.Tensor]) -> None:
        if len(args[0]) > 6:
            raise torch.OutOfMemoryError("simulated")

    model.register_forward_pre_hook(limit)
    found = pyig.IntegratedGradients(model).explain(points(9), method="adaptive", target=1)
    assert found.meta["batch_rows"] <= 6
    assert found.n_evals.tolist() == wanted.n_evals.tolist()
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-13)


def test_what_is_not_finite_ends_a_path_and_not_the_run() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return (x**3).sum(1) * torch.where(x.detach().sum(1) > 3, torch.nan, 1.0)

    x = torch.tensor([[1.0, 1.0], [2.0, 2.0]], dtype=torch.float64)
    found = pyig.IntegratedGradients(model).explain(x, method="adaptive", nan_policy="mark")
    assert found.converged.tolist() == [True, False]
    with pytest.raises(pyig.PyigError, match="finite"):
        pyig.IntegratedGradients(model).explain(x, method="adaptive")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_evals": 3}, "max_evals= as a whole number of at least 5; got 3"),
        ({"max_evals": True}, "max_evals= as a whole number of at least 5; got True"),
        ({"confidence": "p59"}, "did you mean 'p95'"),
        ({"method": "adaptive", "n_steps": 50}, "n_steps= only with a fixed rule"),
        ({"method": "adaptve"}, "did you mean 'adaptive'"),
    ],
)
def test_options_are_checked_before_any_call(options: dict[str, object], words: str) -> None:
    with pytest.raises(pyig.PyigError, match=words):
        pyig.IntegratedGradients(net(nn.ReLU)).explain(points(2), **options)
