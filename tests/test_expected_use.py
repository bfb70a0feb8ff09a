"""Expected gradients together with everything else: targets, layers, structures, cancelling, errors."""

from __future__ import annotations

import threading
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo
from backgrounds import BACKGROUND, CLASSES, TANH, D, M, expected, relative
from tape import Step

import pyig
from pyig.errors import InputError, InputTypeError


def test_the_path_record_adds_up() -> None:
    found = expected(frameworks.explainer("torch", TANH), TANH.x, n_steps=25)
    for i in range(len(found)):
        path = found.path(i)
        on = path.weights > 0
        assert on.sum() == 25
        assert (np.diff(path.alphas) >= 0).all()
        np.testing.assert_allclose(path.weights.sum(), 1)
        np.testing.assert_allclose((path.weights * path.slopes)[on].sum(), found.attributions[i].sum())


def test_several_targets_share_their_points(backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    many = expected(ig, CLASSES.x, n_steps=20, target="top3")
    for k in range(3):
        one = expected(ig, CLASSES.x, n_steps=20, target=many.targets[:, k])
        np.testing.assert_allclose(many.attributions[:, k], one.attributions, rtol=0, atol=1e-12)
        np.testing.assert_allclose(many.standard_error[:, k], one.standard_error, rtol=1e-9, atol=1e-12)
    assert sum(many.n_evals.ravel()) == 3 * 20 * len(CLASSES.x)


@pytest.mark.parametrize("options", [{"value": "probability"}, {"value": "log_odds"}, {"contrast": 0}])
def test_other_values_of_the_output(options: dict[str, Any], backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    given = {"target": 1, "output_kind": "logits"} | options
    found = expected(ig, CLASSES.x, n_steps=300 * M, **given)
    fine = ig.explain(CLASSES.x, pyig.several(BACKGROUND), n_steps=64, **given)
    assert relative(found.attributions, fine.attributions).max() < 5e-3
    np.testing.assert_allclose(found.baseline_values, fine.baseline_values)


def test_a_layer() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(D, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    ig = pyig.IntegratedGradients(net)
    found = expected(ig, TANH.x, n_steps=200 * M, target=1, layer="0")
    fine = ig.explain(TANH.x, BACKGROUND, 1, n_steps=32, layer="0")
    assert found.attributions.shape == found.standard_error.shape == (4, 4)
    assert relative(found.attributions, fine.attributions).max() < 2e-3


def test_dicts_with_integers(backend: str) -> None:
    entry = zoo.ENTRIES["record"]()
    background = pyig.several([{key: leaf * scale for key, leaf in entry.baseline.items()} for scale in (0.5, 1, 2)])
    ig = frameworks.explainer(backend, entry)
    found = expected(ig, entry.x, background, n_steps=900)
    fine = ig.explain(entry.x, background, n_steps=64)
    for key, leaf in found.attributions.items():
        np.testing.assert_allclose(leaf, fine.attributions[key], atol=2e-2 * max(1, np.abs(leaf).max()))
        assert found.standard_error[key].shape == leaf.shape


def test_a_data_frame_keeps_its_labels() -> None:
    import pandas as pd

    ig = frameworks.explainer("torch", TANH)
    frame = pd.DataFrame(TANH.x, columns=list("abcde"), index=[f"r{i}" for i in range(len(TANH.x))])
    found = expected(ig, frame, n_steps=20)
    assert list(found.standard_error.columns) == list("abcde")
    np.testing.assert_allclose(found.standard_error, expected(ig, TANH.x, n_steps=20).standard_error)
    assert found.to_frame()["standard_error"].min() >= 0
    assert "sampling error" in repr(found)


def test_attribute_gives_tensors() -> None:
    ig = frameworks.explainer("torch", TANH)
    found, delta = ig.attribute(
        torch.from_numpy(TANH.x), BACKGROUND, method="expected", n_steps=20, rng=0, return_convergence_delta=True
    )
    whole = expected(ig, TANH.x, n_steps=20)
    np.testing.assert_allclose(found.numpy(), whole.attributions)
    np.testing.assert_allclose(delta.numpy(), whole.deltas)


def test_the_result_is_saved_and_loaded(tmp_path: Any) -> None:
    found = expected(frameworks.explainer("torch", TANH), TANH.x, n_steps=20)
    found.save(tmp_path / "e.npz")
    assert pyig.load(tmp_path / "e.npz") == found


def test_baselines_cost_forwards_alone() -> None:
    calls: list[int] = []

    def model(z: torch.Tensor) -> torch.Tensor:
        calls.append(len(z) if z.requires_grad else 0)
        return torch.tanh(z).sum(1)

    expected(pyig.IntegratedGradients(model), torch.from_numpy(TANH.x), n_steps=M)
    assert sum(calls) == M * len(TANH.x)


# --- cut short, and refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [M, 3 * M])
def test_a_cancelled_run_gives_what_it_has(n: int, backend: str) -> None:
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        assert total == n * len(CLASSES.x) * 2
        if done >= 2 * n + 12:
            event.set()

    ig = frameworks.explainer(backend, CLASSES)
    options = {"n_steps": n, "target": "top2", "batch_size": 4}
    found = expected(ig, CLASSES.x, **options, cancel=event, progress=progress)
    whole = expected(ig, CLASSES.x, **options)
    np.testing.assert_allclose(found.attributions[0], whole.attributions[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.standard_error[0], whole.standard_error[0], rtol=1e-9)
    assert relative(found.attributions[1], whole.attributions[1]).max() < 3
    assert np.isnan(found.attributions[2:]).all()
    assert np.isnan(found.standard_error[1:]).all()
    assert np.isnan(found.error[1:]).all()
    assert not found.converged[1:].any()
    assert 0 < found.n_evals[1, 0] < n
    assert f"of {n * 2 * len(CLASSES.x)} gradients" in repr(found)


def test_a_linear_model_cut_short_is_an_average_over_what_was_seen() -> None:
    entry = zoo.ENTRIES["linear"]()
    event = threading.Event()
    found = expected(
        frameworks.explainer("torch", entry), entry.x[:1], np.repeat(BACKGROUND[:1], M, axis=0), n_steps=M,
        batch_size=4, cancel=event, progress=lambda done, total: event.set(),
    )  # fmt: skip
    w = entry.steps[0].weights[0][:, 0]
    np.testing.assert_allclose(found.attributions[0], (entry.x[0] - BACKGROUND[0]) * w, atol=1e-12)
    assert found.n_evals.tolist() == [4]


def test_running_out_of_memory_changes_nothing() -> None:
    inner = frameworks.framework("torch").build(TANH.steps, (), np.float64)

    def model(z: Any) -> Any:
        if len(z) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return inner(z)

    found = expected(pyig.IntegratedGradients(model, backend="torch"), TANH.x, n_steps=21, batch_size=64)
    np.testing.assert_allclose(
        found.attributions, expected(frameworks.explainer("torch", TANH), TANH.x, n_steps=21).attributions, atol=1e-12
    )


def test_marked_nan_stays_with_its_sample() -> None:
    ig = pyig.IntegratedGradients(lambda z: torch.sqrt(z).sum(1), backend="torch")
    x = np.array([[1.0, 2.0], [-1.0, 2.0]])
    found = expected(ig, x, np.array([[0.5, 1.0], [1.5, 1.0], [0.1, 0.2]]), n_steps=12, nan_policy="mark")
    assert np.isfinite(found.attributions[0]).all()
    assert np.isnan(found.attributions[1]).any()
    assert not found.converged[1]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"n_steps": 0}, InputError, "at least 1; got 0"),
        ({"n_steps": 10**9}, InputError, "at most 1000000 with method='expected'; got 1000000000"),
        ({"method": "expect"}, InputError, "did you mean 'expected'"),
        ({"rng": "seed"}, InputTypeError, "rng="),
    ],
)
def test_refused_at_the_door(options: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        frameworks.explainer("torch", TANH).explain(TANH.x, BACKGROUND, **({"method": "expected"} | options))


def test_the_check_of_exactness_can_fail() -> None:
    steps = [Step("square", (0,)), Step("sum", (1,))]
    built = frameworks.framework("callable").build(steps, (), np.float64)
    ig = pyig.IntegratedGradients(built, gradient=built.gradient)
    found = expected(ig, TANH.x, n_steps=M)
    assert relative(found.attributions, TANH.x**2 - (BACKGROUND**2).mean(0)).min() > 1e-6


def test_many_baselines_are_evaluated_in_batches() -> None:
    calls: list[int] = []

    def model(z: torch.Tensor) -> torch.Tensor:
        if not z.requires_grad:
            calls.append(len(z))
        return torch.tanh(z).sum(1)

    background = np.random.default_rng(0).normal(size=(100, D))
    ig = pyig.IntegratedGradients(model)
    found = expected(ig, torch.from_numpy(TANH.x), background, n_steps=4, batch_size=32)
    assert calls == [4, 32, 32, 32, 4]
    np.testing.assert_allclose(found.baseline_values, np.tanh(background).sum(1).mean())


def test_baselines_of_a_model_without_batch_axis_go_one_by_one() -> None:
    ig = pyig.IntegratedGradients(lambda z: torch.tanh(z).sum())
    found = expected(ig, torch.from_numpy(TANH.x), n_steps=2 * M)
    np.testing.assert_allclose(found.baseline_values, np.tanh(BACKGROUND).sum(1).mean())
    np.testing.assert_allclose(found.values, np.tanh(TANH.x).sum(1))


@pytest.mark.parametrize("options", [{}, {"value": "probability", "contrast": 0}, {"value": "log_odds"}])
def test_for_probabilities_another_method_is_named(options: dict[str, Any]) -> None:
    ig = frameworks.explainer("torch", CLASSES)
    given = {"target": 1, "output_kind": "logits"}
    found = expected(ig, CLASSES.x, value="probability", **given)
    assert "integrated in log-odds" in found.meta["notes"][0]
    assert expected(ig, CLASSES.x, **(given | options)).meta["notes"] == []
