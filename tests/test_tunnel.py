"""The noise tunnel: known answers, plain-Python twins, captum, and draws that nothing else changes."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
import zoo
from captum.attr import IntegratedGradients as Captum
from captum.attr import NoiseTunnel as Peer

import pyig
from pyig.errors import InputError, InputTypeError
from pyig.streams import entropy, stream

X = np.array([[1.0, -2.0, 0.5], [0.3, 0.0, 2.0]])
W = np.array([1.5, -1.0, 0.25])
KINDS = ("smoothgrad", "smoothgrad_sq", "vargrad")
CLASSES = zoo.ENTRIES["classes"]()


def squares() -> pyig.IntegratedGradients:
    """Return w . x^2, whose attributions from zero are w x^2."""
    return pyig.IntegratedGradients(lambda x: (W * x**2).sum(1), gradient=lambda x: 2 * W * x)


def tunnel(ig: pyig.IntegratedGradients, x: Any, *given: Any, **options: Any) -> pyig.Explanation:
    return pyig.NoiseTunnel(ig).explain(
        x, *given, **({"stdevs": 0.5, "draws": 5, "rng": 0, "n_steps": 4, "progress": False} | options)
    )


def noise(seed: int, draws: int, shape: tuple[int, ...]) -> Any:
    """Return what the tunnel adds: a stream for each draw of each sample."""
    words = entropy(np.random.default_rng(seed))
    one = [[stream(words, d, s).standard_normal(shape[1:]) for s in range(shape[0])] for d in range(draws)]
    return np.array(one)


def twin(kind: str, every: Any) -> tuple[Any, Any]:
    """Return the result and its standard error from all draws (n, ...)."""
    n = len(every)
    if kind == "vargrad":
        fourth = ((every - every.mean(0)) ** 4).mean(0)
        return every.var(0), np.sqrt(np.maximum(0, fourth - (n - 3) / (n - 1) * every.var(0) ** 2) / n)
    every = every**2 if kind == "smoothgrad_sq" else every
    return every.mean(0), every.std(0, ddof=1) / np.sqrt(n)


# --- what it computes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_its_twin(kind: str) -> None:
    found = tunnel(squares(), X, kind=kind, draws=7)
    every = W * (X + 0.5 * noise(0, 7, X.shape)) ** 2
    result, error = twin(kind, every)
    np.testing.assert_allclose(found.attributions, result, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-9)
    assert found.n_evals.tolist() == [7 * 4 + 1] * 2


@pytest.mark.parametrize("options", [{}, {"n_steps": 9}, {"method": "adaptive"}, {"method": "exact"}])
def test_any_method_goes_through(options: dict[str, Any]) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    ig = pyig.IntegratedGradients(net)
    found = pyig.NoiseTunnel(ig).explain(X, stdevs=0.2, draws=4, rng=0, **options)
    every = [ig.explain(x, **options).attributions for x in X + 0.2 * noise(0, 4, X.shape)]
    np.testing.assert_allclose(found.attributions, np.mean(every, axis=0), rtol=1e-9)
    assert found.meta["method"] == ig.explain(X, **options).meta["method"]


def test_the_mean_adds_up_to_the_mean_difference() -> None:
    found = tunnel(squares(), X)
    values = (W * (X + 0.5 * noise(0, 5, X.shape)) ** 2).sum(2).mean(0)
    np.testing.assert_allclose(found.values, values)
    np.testing.assert_allclose(found.deltas, found.attributions.sum(1) - values, atol=1e-12)
    assert np.isnan(tunnel(squares(), X, kind="vargrad").deltas).all()
    assert np.isnan(tunnel(squares(), X, kind="smoothgrad_sq").deltas).all()


def test_no_noise_is_the_plain_explanation(backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    plain = ig.explain(CLASSES.x, n_steps=9)
    found = tunnel(ig, CLASSES.x, stdevs=0, n_steps=9)
    np.testing.assert_allclose(found.attributions, plain.attributions, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.targets, plain.targets)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-12)
    np.testing.assert_allclose(tunnel(ig, CLASSES.x, stdevs=0, kind="vargrad").attributions, 0, atol=1e-20)


@pytest.mark.parametrize("kind", KINDS)
def test_captum_agrees_as_far_as_its_noise_does(kind: str) -> None:
    model = frameworks.framework("torch").build(zoo.ENTRIES["tanh"]().steps, (), np.float64)
    x = torch.from_numpy(zoo.ENTRIES["tanh"]().x)
    torch.manual_seed(0)
    theirs = Peer(Captum(model)).attribute(x, nt_type=kind, nt_samples=2000, stdevs=0.3, n_steps=16).detach().numpy()
    found = tunnel(pyig.IntegratedGradients(model), x, kind=kind, draws=2000, stdevs=0.3, n_steps=16)
    assert (np.abs(found.attributions - theirs) < 6 * found.standard_error + 1e-5).all()
    assert np.abs(found.attributions - theirs).max() > 1e-6, "the draws are others"


def test_the_error_is_about_that_of_repeated_runs() -> None:
    for kind in KINDS:
        runs = [tunnel(squares(), X, kind=kind, draws=40, rng=seed) for seed in range(60)]
        seen = np.std([found.attributions for found in runs], axis=0)
        said = np.sqrt(np.mean([found.standard_error**2 for found in runs], axis=0))
        np.testing.assert_allclose(said, seen, rtol=0.35)
        assert not any(found.converged.any() for found in runs)
    assert tunnel(squares(), X, draws=4000, stdevs=0.01).converged.all()


def test_an_integral_without_estimate_leaves_none() -> None:
    found = tunnel(squares(), X, stdevs=0, n_steps=2)
    assert np.isnan(found.error).all()
    assert not found.converged.any()


# --- the noise ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 128, "auto"])
def test_batches_do_not_change_the_draws(size: Any, backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    found, other = (tunnel(ig, CLASSES.x, batch_size=b) for b in (size, 16))
    np.testing.assert_allclose(found.attributions, other.attributions, rtol=0, atol=1e-12)


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tunnel(squares(), X, draws=9, kind="vargrad")
    asked: list[int] = []
    ig = squares()
    explain = ig.explain
    monkeypatch.setattr(ig, "explain", lambda x, *a, **k: (asked.append(len(x)), explain(x, *a, **k))[1])
    monkeypatch.setattr("pyig.sampling.tunnel._ROWS", 8)
    found = tunnel(ig, X, draws=9, kind="vargrad")
    assert asked == [2, 8, 8, 2], "the input without noise, then four draws at a time"
    np.testing.assert_allclose(found.attributions, whole.attributions, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, whole.standard_error, rtol=1e-9)


def test_a_sample_alone_gets_the_noise_it_gets_in_company() -> None:
    np.testing.assert_allclose(tunnel(squares(), X[:1]).attributions[0], tunnel(squares(), X).attributions[0])


def test_one_generator_seeds_everything() -> None:
    for options in ({}, {"baselines": "uniform"}, {"baselines": X, "method": "expected", "n_steps": 5}):
        one, again, other = (tunnel(squares(), X, rng=seed, **options).attributions for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, again)
        assert not np.array_equal(one, other)
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(tunnel(squares(), X, rng=rng).attributions, tunnel(squares(), X, rng=1).attributions)
    assert not np.array_equal(tunnel(squares(), X, rng=rng).attributions, tunnel(squares(), X, rng=1).attributions)


def test_baselines_are_those_of_the_input_without_noise() -> None:
    found = tunnel(squares(), X, "mean", stdevs=2.0)
    plain = squares().explain(X, "mean", n_steps=4)
    np.testing.assert_allclose(found.baselines, plain.baselines)
    every = W * ((X + 2.0 * noise(0, 5, X.shape)) ** 2 - X.mean(0) ** 2)
    np.testing.assert_allclose(found.attributions, every.mean(0), rtol=1e-12)


@pytest.mark.parametrize("baselines", [X + 1, [X[0], X[1], X[0] - X[1]], pyig.several(np.eye(3))])
def test_baselines_of_every_form(baselines: Any) -> None:
    found = tunnel(squares(), X, baselines)
    every = [squares().explain(x, baselines, n_steps=4).attributions for x in X + 0.5 * noise(0, 5, X.shape)]
    np.testing.assert_allclose(found.attributions, np.mean(every, axis=0), rtol=1e-12)


def test_deviations_per_feature_and_relative_to_the_range() -> None:
    each = np.array([0.0, 0.1, 2.0])
    drawn = noise(0, 5, X.shape)
    found = tunnel(squares(), X, stdevs=each)
    np.testing.assert_allclose(found.attributions, (W * (X + each * drawn) ** 2).mean(0), rtol=1e-12)
    assert (found.standard_error[:, 0] == 0).all()
    spans = (X.max(1) - X.min(1))[:, None]
    found = tunnel(squares(), X, stdevs=0.1, relative=True)
    np.testing.assert_allclose(found.attributions, (W * (X + 0.1 * spans * drawn) ** 2).mean(0), rtol=1e-12)


def test_integers_get_no_noise_and_nothing_is_changed() -> None:
    seen: list[Any] = []

    def model(ids: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        seen.append(ids.clone())
        return (x * (1 + ids)).sum(1) ** 2

    ids, x = torch.tensor([[1], [4]]), torch.from_numpy(X.copy())
    before = x.clone()
    found = tunnel(pyig.IntegratedGradients(model), (ids, x), stdevs=(9.0, 0.5))
    assert set(torch.cat(seen).flatten().tolist()) == {1, 4}
    assert torch.equal(x, before)
    assert (found.attributions[0] == 0).all()
    assert (found.standard_error[1] > 0).all()
    by_name = pyig.IntegratedGradients(lambda ids, x: model(ids, x))
    same = tunnel(by_name, {"ids": ids, "x": x}, stdevs={"x": 0.5})
    np.testing.assert_allclose(same.attributions["x"], found.attributions[1])


def test_memory_does_not_grow_with_the_draws() -> None:
    ig = pyig.IntegratedGradients(lambda x: x.sum(1), gradient=lambda x: np.ones_like(x))
    x = np.ones((2, 20000))
    peaks = []
    for draws in (150, 150, 600):
        tracemalloc.start()
        tunnel(ig, x, draws=draws, n_steps=3, batch_size=16)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.1 * peaks[1]


# --- with everything else ----------------------------------------------------------------------------------------


def test_the_predicted_class_is_that_of_the_input_without_noise(backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    found = tunnel(ig, CLASSES.x, target="predicted", stdevs=3.0)
    plain = ig.explain(CLASSES.x, n_steps=4)
    np.testing.assert_array_equal(found.targets, plain.targets)
    fixed = tunnel(ig, CLASSES.x, target=plain.targets, stdevs=3.0)
    np.testing.assert_allclose(found.attributions, fixed.attributions)


@pytest.mark.parametrize("target", [2, CLASSES.target, lambda out: out[:, 0] * 2])
def test_targets_of_every_form(target: Any) -> None:
    ig = frameworks.explainer("torch", CLASSES)
    options: dict[str, Any] = {} if callable(target) else {"contrast": CLASSES.target[::-1]}
    found = tunnel(ig, CLASSES.x, target=target, **options)
    noisy = CLASSES.x + 0.5 * noise(0, 5, CLASSES.x.shape)
    every = [ig.explain(x, target=target, n_steps=4, **options).attributions for x in noisy]
    np.testing.assert_allclose(found.attributions, np.mean(every, axis=0), rtol=0, atol=1e-12)


def test_several_targets_get_the_same_noise() -> None:
    ig = frameworks.explainer("torch", CLASSES)
    found = tunnel(ig, CLASSES.x, target="top2", kind="vargrad")
    assert found.attributions.shape == (5, 2, 5)
    for k in range(2):
        one = tunnel(ig, CLASSES.x, target=found.targets[:, k], kind="vargrad")
        np.testing.assert_allclose(found.attributions[:, k], one.attributions, rtol=1e-9)
        np.testing.assert_allclose(found.standard_error[:, k], one.standard_error, rtol=1e-6)


def test_keyword_arguments_follow_their_samples() -> None:
    def model(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        assert len(scale) == len(x)
        assert len(shift) == 3
        return (x * scale + shift).sum(1) ** 2

    ig = pyig.IntegratedGradients(model)
    kwargs = {"scale": torch.tensor([[1.0], [2.0]]).double(), "shift": torch.ones(3).double()}
    found = tunnel(ig, torch.from_numpy(X), forward_kwargs=kwargs)
    noisy = torch.from_numpy(X + 0.5 * noise(0, 5, X.shape))
    every = [ig.explain(x, forward_kwargs=kwargs, n_steps=4).attributions for x in noisy]
    np.testing.assert_allclose(found.attributions, np.mean(every, axis=0), rtol=1e-12)


def test_a_layer_gets_its_noise_from_the_input() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    ig = pyig.IntegratedGradients(net)
    found = tunnel(ig, X, layer="0")
    every = [ig.explain(x, layer="0", n_steps=4).attributions for x in X + 0.5 * noise(0, 5, X.shape)]
    np.testing.assert_allclose(found.attributions, np.mean(every, axis=0), rtol=1e-12)


def test_a_data_frame_keeps_its_labels(tmp_path: Any) -> None:
    import pandas as pd

    frame = pd.DataFrame(X, columns=list("abc"), index=["r", "s"])
    found = tunnel(squares(), frame)
    assert list(found.attributions.columns) == list(found.standard_error.columns) == list("abc")
    np.testing.assert_allclose(found.attributions, tunnel(squares(), X).attributions)
    assert pyig.load(found.save(tmp_path / "e.npz")) == found
    assert len(found.to_frame().columns) == 6


def test_names_and_words() -> None:
    found = tunnel(squares(), X, feature_names=list("abc"), kind="vargrad", draws=3)
    assert found.feature_names == ("a", "b", "c")
    assert "vargrad of 3 draws, gausslegendre, 4 steps, 26 gradients" in repr(found)
    assert "completeness gap" not in repr(found)
    assert "completeness gap" in repr(tunnel(squares(), X))
    assert found.meta["noise"] == {"kind": "vargrad", "draws": 3, "stdevs": 0.5, "relative": False}
    assert found.to_html()


# --- progress, cancelling, and what is refused -------------------------------------------------------------------


def test_progress_counts_copies() -> None:
    seen: list[tuple[int, int]] = []
    tunnel(squares(), X, draws=6, batch_size=10, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {12}
    assert seen[-1][0] == 12
    assert len(seen) > 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_cancelled_tunnel_gives_the_draws_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyig.sampling.tunnel._ROWS", 4)  # two draws at a time
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        if done >= 4:
            event.set()

    found = tunnel(squares(), X, draws=10, cancel=event, progress=progress, batch_size=64)
    np.testing.assert_allclose(found.attributions, tunnel(squares(), X, draws=2).attributions, rtol=1e-12)
    assert not found.meta["complete"]
    assert not found.converged.any()
    assert "stopped early after" in repr(found)
    assert "samples have between 2 and 2 draws" in found.meta["notes"][-1]


def test_within_a_call_the_copies_that_are_done_count() -> None:
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        if done >= 5:
            event.set()

    found = tunnel(squares(), X, draws=10, cancel=event, progress=progress, batch_size=4)
    every = W * (X + 0.5 * noise(0, 10, X.shape)) ** 2
    np.testing.assert_allclose(found.attributions[0], every[:3, 0].mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.attributions[1], every[:2, 1].mean(0), rtol=1e-12)
    assert "between 2 and 3 draws" in found.meta["notes"][-1]


def test_cancelled_from_the_start_it_is_empty() -> None:
    event = threading.Event()
    event.set()
    found = tunnel(squares(), X, cancel=event)
    assert np.isnan(found.attributions).all()
    assert np.isnan(found.standard_error).all()
    assert not found.converged.any()


def test_an_interrupt_keeps_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyig.sampling.tunnel._ROWS", 4)
    ig, calls = squares(), []
    explain = ig.explain

    def interrupted(*given: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == limit:
            raise KeyboardInterrupt
        return explain(*given, **options)

    monkeypatch.setattr(ig, "explain", interrupted)
    limit = 4
    found = tunnel(ig, X, draws=10)
    np.testing.assert_allclose(found.attributions, tunnel(squares(), X, draws=4).attributions, rtol=1e-12)
    assert not found.meta["complete"]
    calls.clear()
    limit = 2
    with pytest.raises(KeyboardInterrupt):
        tunnel(ig, X, draws=10)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"kind": "smoothgrad2"}, InputError, "unknown kind 'smoothgrad2'; did you mean 'smoothgrad'"),
        ({"draws": 1}, InputError, "draws= as a whole number of at least 2; got 1"),
        ({"draws": 2.0}, InputError, "draws= as a whole number of at least 2; got 2.0"),
        ({"stdevs": -1.0}, InputError, "at least 0 and finite; got -1.0"),
        ({"stdevs": np.inf}, InputError, "at least 0 and finite; got inf"),
        ({"stdevs": "much"}, InputTypeError, "stdevs= as numbers; got 'much'"),
        ({"stdevs": None}, InputTypeError, "stdevs= as numbers; got None"),
        ({"stdevs": np.ones(2)}, InputError, r"one number, or one for each feature, \(3,\); got \(2,\)"),
        ({"relative": 1}, InputTypeError, "relative= as True or False; got 1"),
        ({"rng": "seed"}, InputTypeError, "rng="),
        ({"progress": 3}, InputTypeError, "progress="),
        ({"cancel": 3}, InputTypeError, "cancel="),
        ({"n_step": 3}, InputError, "did you mean 'n_steps'"),
        ({"x": X.astype(int)}, InputTypeError, "floating dtype to add noise to; got input: int64"),
        ({"x": X[:, :1], "relative": True}, InputError, "several values; the input has one"),
        ({"x": (X, X), "stdevs": [1.0]}, InputError, "expected 2 stdevs, one for each input; got 1"),
        ({"x": {"a": X}, "stdevs": {"b": 1.0}}, InputError, "stdevs for the inputs a; got one for 'b'"),
        ({"x": {"a": X}, "stdevs": {"a": -1.0}}, InputError, "stdevs= for a of at least 0"),
    ],
)
def test_refused_at_the_door(options: dict[str, Any], kind: type[Exception], words: str) -> None:
    given = dict(options)
    with pytest.raises(kind, match=words):
        tunnel(squares(), given.pop("x", X), **given)


def test_stdevs_must_be_said() -> None:
    with pytest.raises(TypeError, match="stdevs"):
        pyig.NoiseTunnel(squares()).explain(X)  # type: ignore[call-arg]
