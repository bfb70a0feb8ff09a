"""The noise tunnel together with everything else: targets, layers, structures, progress, cancelling, errors."""

from __future__ import annotations

import threading
from typing import Any

import frameworks
import numpy as np
import pytest
import torch
from tunnels import CLASSES, W, X, noise, squares, tunnel

import pyig
from pyig.errors import InputError, InputTypeError


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


def test_attribute_gives_what_it_got(backend: str) -> None:
    ig = frameworks.explainer(backend, CLASSES)
    x = frameworks.framework(backend).tensor(CLASSES.x)
    options = {"stdevs": 0.5, "draws": 3, "rng": 0, "n_steps": 4}
    found = pyig.NoiseTunnel(ig).attribute(x, **options)
    assert type(found) is type(x)
    np.testing.assert_allclose(np.asarray(found), pyig.NoiseTunnel(ig).explain(x, **options).attributions)
    numbers = pyig.NoiseTunnel(ig).attribute(CLASSES.x, **options)
    numbers += 1  # its own, to be written to
