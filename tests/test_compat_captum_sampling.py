"""Captum's face beside Captum itself: noise, random baselines, and the two metrics."""

from __future__ import annotations

from typing import Any

import captum.attr as captum
import numpy as np
import pytest
import torch
from captum import metrics
from captum_cases import EACH, B, X, agree, draw, scaled, seed, smooth, untouched

import pyig.compat.captum as face

quiet = pytest.mark.filterwarnings("ignore:Input Tensor", "ignore:Setting forward")
KINDS = ["smoothgrad", "smoothgrad_sq", "vargrad"]
BASES = draw(11, 4, seed=5)


@quiet
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [None, 3, 8])
@pytest.mark.parametrize("inside", [face, captum])
def test_tunnels_agree_on_the_same_draws(kind: str, size: int | None, inside: Any) -> None:
    model, found = smooth(), []
    options = {"nt_samples": 8, "stdevs": 0.2, "target": EACH, "baselines": B, "nt_samples_batch_size": size}
    for tunnel in (
        face.NoiseTunnel(inside.IntegratedGradients(model), quirks="captum"),
        captum.NoiseTunnel(captum.IntegratedGradients(model)),
    ):
        seed()
        found.append(tunnel.attribute(X, kind, **options))
    agree(*found, atol=1e-6)


@quiet
@pytest.mark.parametrize("method", ["Saliency", "InputXGradient", "IntegratedGradients", "LayerIntegratedGradients"])
def test_tunnels_around_every_method(method: str) -> None:
    model = smooth()
    layer = (model[1],) if method.startswith("Layer") else ()
    for inside in (face, captum):
        found = []
        for tunnel in (
            face.NoiseTunnel(getattr(inside, method)(model, *layer), quirks="captum"),
            captum.NoiseTunnel(getattr(captum, method)(model, *layer)),
        ):
            seed()
            found.append(tunnel.attribute(X, nt_samples=4, stdevs=0.1, target=1))
        agree(*found)


@quiet
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["IntegratedGradients", "LayerIntegratedGradients", "Saliency", "InputXGradient"])
def test_a_tunnel_of_captum_takes_our_methods(method: str, kind: str) -> None:
    model, found = smooth(), []
    layer = (model[1],) if method.startswith("Layer") else ()
    integral = method.endswith("IntegratedGradients")
    options = {"baselines": B, "return_convergence_delta": True, "n_steps": 20} if integral else {}
    for size in (None, 3):
        for inside in (face, captum):
            seed()
            tunnel = captum.NoiseTunnel(getattr(inside, method)(model, *layer))
            assert tunnel.has_convergence_delta() == integral
            maps = tunnel.attribute(
                X, kind, nt_samples=4, nt_samples_batch_size=size, stdevs=0.1, target=EACH, **options
            )
            found.append([part.detach() for part in (maps if integral else (maps,))])
    agree(found[0], found[1])
    agree(found[2], found[3])


@pytest.mark.parametrize("outer", [face, captum])
def test_tunnels_of_both_give_the_same_of_both(outer: Any) -> None:
    found = []
    for inside in (face, captum):
        seed()
        tunnel = outer.NoiseTunnel(inside.IntegratedGradients(scaled))
        found.append(
            tunnel.attribute(
                (X, B), nt_samples=4, stdevs=(0.1, 0.3), baselines=(0, B[:1]),
                additional_forward_args=(draw(7, 2, seed=3), 2.0), return_convergence_delta=True,
            )
        )  # fmt: skip
    agree([part.detach() for part in [*found[0][0], found[0][1]]], [*found[1][0], found[1][1]])


def test_tunnels_of_several_inputs_with_deltas() -> None:
    extra = draw(7, 2, seed=3)
    found = []
    for module, quirks in ((face, {"quirks": "captum"}), (captum, {})):
        seed()
        found.append(
            module.NoiseTunnel(module.IntegratedGradients(scaled), **quirks).attribute(
                (X, B), nt_samples=4, stdevs=(0.1, 0.3), baselines=(0, B[:1]),
                additional_forward_args=(extra, 2.0), return_convergence_delta=True, n_steps=5,
            )
        )  # fmt: skip
    agree(*found, atol=1e-5)
    assert found[0][1].shape == (28,)


def test_a_tunnel_with_baselines_from_a_distribution() -> None:
    found = []
    for module, quirks in ((face, {"quirks": "captum"}), (captum, {})):
        seed()
        tunnel = module.NoiseTunnel(module.IntegratedGradients(smooth()), **quirks)
        found.append(
            tunnel.attribute(X, nt_samples=4, stdevs=0.1, draw_baseline_from_distrib=True, baselines=BASES, target=1)
        )
    agree(*found)


def test_draws_do_not_depend_on_the_batch_size() -> None:
    def run(module: Any, size: int | None) -> torch.Tensor:
        seed()
        tunnel = module.NoiseTunnel(module.IntegratedGradients(smooth()))
        out: torch.Tensor = tunnel.attribute(X, nt_samples=6, nt_samples_batch_size=size, stdevs=0.5, target=1)
        return out

    for size in (1, 2, 5, 6):
        torch.testing.assert_close(run(face, size), run(face, None), rtol=0, atol=1e-6)
    assert float((run(captum, 2) - run(captum, None)).abs().max()) > 1e-3, "Captum's do"


def test_one_seed_from_torch_repeats_a_tunnel_and_two_calls_differ() -> None:
    tunnel = face.NoiseTunnel(face.IntegratedGradients(smooth()))
    seed()
    first, second = (tunnel.attribute(X, stdevs=0.5, target=1) for _ in range(2))
    seed()
    assert torch.equal(first, tunnel.attribute(X, stdevs=0.5, target=1))
    assert float((first - second).abs().max()) > 1e-3
    assert torch.equal(*(tunnel.attribute(X, stdevs=0.5, target=1, rng=7) for _ in range(2)))


def test_a_seed_of_its_own_leaves_the_global_generators() -> None:
    model = smooth()
    with untouched(model):
        face.NoiseTunnel(face.IntegratedGradients(model)).attribute(X, target=1, rng=0)
        face.GradientShap(model).attribute(X, BASES, target=1, rng=0)
        face.LayerGradientShap(model, model[1]).attribute(X, BASES, target=1, rng=0)


@pytest.mark.parametrize("with_layer", [False, True])
@pytest.mark.parametrize("multiply", [False, True])
def test_gradient_shap_agrees_on_the_same_draws(with_layer: bool, multiply: bool) -> None:
    model = smooth()
    name, layer = ("LayerGradientShap", (model[1],)) if with_layer else ("GradientShap", ())
    for baselines in (BASES, lambda: BASES, lambda x: 0.5 * x):
        found = []
        for module, quirks in ((face, {"quirks": "captum"}), (captum, {})):
            seed()
            shap = getattr(module, name)(model, *layer, multiply_by_inputs=multiply, **quirks)
            found.append(shap.attribute(X, baselines, 6, 0.1, EACH, return_convergence_delta=True))
        agree(*found)


def test_gradient_shap_of_several_inputs() -> None:
    found = []
    for module, quirks in ((face, {"quirks": "captum"}), (captum, {})):
        seed()
        found.append(
            module.GradientShap(scaled, **quirks).attribute(
                (X, B), (BASES, BASES[:3]), stdevs=(0.0, 0.2), additional_forward_args=(draw(7, 2, seed=3), 2.0)
            )
        )
    agree(*found)


@pytest.mark.parametrize("with_layer", [False, True])
def test_gradient_shap_estimates_the_same_mean(with_layer: bool) -> None:
    model = smooth()
    name, layer = ("LayerGradientShap", (model[1],)) if with_layer else ("GradientShap", ())
    seed()
    draws = 3000
    theirs = getattr(captum, name)(model, *layer).attribute(X, BASES, draws, 0.1, 1).detach()
    ours = getattr(face, name)(model, *layer).attribute(X, BASES, draws, 0.1, 1, rng=0)
    size = float(theirs.abs().max())
    assert float((ours - theirs).abs().max()) < 0.06 * size
    few = getattr(face, name)(model, *layer).attribute(X, BASES, 2, 0.1, 1, rng=0)
    assert float((few - theirs).abs().max()) > 0.06 * size


def test_gradient_shap_with_one_baseline_is_nearer_than_captums() -> None:
    model = smooth()
    exact = face.IntegratedGradients(model).attribute(X, B[:1], 1, n_steps=200)

    def error(module: Any, number: int) -> float:
        seed(number)
        return float((module.GradientShap(model).attribute(X, B[:1], 10, 0.0, 1) - exact).abs().mean())

    ours, theirs = (np.mean([error(module, number) for number in range(20)]) for module in (face, captum))
    assert ours < 0.5 * theirs, "places are stratified"


def test_the_delta_of_a_draw() -> None:
    model = smooth()
    found, delta = face.GradientShap(model).attribute(X, BASES, 50, 0.0, 1, return_convergence_delta=True, rng=0)
    assert delta.shape == (350,)
    assert float(delta.reshape(7, 50).std()) > 0.0
    assert found.shape == X.shape


class Bomb(torch.nn.Tanh):
    """Fails when it has been called so many times."""

    left = 10**9

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise KeyError("bang")
        return super().forward(x)


@quiet
@pytest.mark.parametrize("fuse", [0, 1, 2, 3, 5, 10**9])
@pytest.mark.parametrize("method", ["a tunnel", "of captum", "shap", "infidelity", "sensitivity"])
def test_nothing_is_left_behind(method: str, fuse: int) -> None:
    bomb, x = Bomb(), X.clone().requires_grad_()
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), bomb, torch.nn.Linear(6, 3)).eval()
    tunnel = {"nt_samples": 4, "nt_samples_batch_size": 1, "target": 1, "baselines": B, "rng": 0}
    calls: dict[str, Any] = {
        "a tunnel": lambda: face.NoiseTunnel(face.IntegratedGradients(model)).attribute(x, **tunnel),
        "of captum": lambda: face.NoiseTunnel(captum.IntegratedGradients(model)).attribute(x, **tunnel),
        "shap": lambda: face.GradientShap(model).attribute(x, BASES, 4, 0.1, 1, return_convergence_delta=True, rng=0),
        "infidelity": lambda: face.infidelity(
            model, lambda x: (0.1 * x, 0.9 * x), x, X, target=1, max_examples_per_batch=7
        ),
        "sensitivity": lambda: face.sensitivity_max(
            face.Saliency(model).attribute, x, lambda x: 1.1 * x, max_examples_per_batch=7, target=1
        ),
    }
    with untouched(model):
        bomb.left, caught = fuse, False
        try:
            calls[method]()
        except KeyError:
            caught = True
        assert caught == (bomb.left < 0)
    assert caught or fuse > 2
    assert x.grad is None


def perturbed(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    noise = 0.1 * torch.randn(x.shape)
    return noise, x - noise


@pytest.mark.filterwarnings("ignore:.*max_examples_per_batch")
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("most", [None, 3, 15])
def test_infidelity_agrees(normalize: bool, most: int | None) -> None:
    model, maps = smooth(), face.IntegratedGradients(smooth()).attribute(X, B, EACH)
    decorated = [
        module.infidelity_perturb_func_decorator(True)(lambda x, b=None: 0.9 * x + 0.1 * torch.randn(x.shape))
        for module in (face, metrics)
    ]
    for functions, baselines in (((perturbed, perturbed), None), (decorated, None), (decorated, B)):
        found = []
        for module, function in zip((face, metrics), functions, strict=True):
            seed()
            found.append(
                module.infidelity(
                    model, function, X, maps, baselines, target=EACH, normalize=normalize, max_examples_per_batch=most
                )
            )
        agree(*found)


def test_infidelity_of_several_inputs_and_what_is_refused() -> None:
    maps = face.IntegratedGradients(scaled).attribute((X, B), additional_forward_args=(draw(7, 2), 2.0))

    def both(inputs: Any) -> Any:
        pairs = [perturbed(x) for x in inputs]
        return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)

    found = []
    for module in (face, metrics):
        seed()
        found.append(module.infidelity(scaled, both, (X, B), maps, additional_forward_args=(draw(7, 2), 2.0)))
    agree(*found)
    with pytest.raises(AssertionError, match="shapes of the inputs"):
        face.infidelity(smooth(), perturbed, X, X[:, :2], target=1)
    with pytest.raises(AssertionError, match="perturb_func to return 1"):
        face.infidelity(smooth(), lambda x: (x, (x, x)), X, X, target=1)


@pytest.mark.parametrize("norm", ["fro", 2, 1, float("inf")])
@pytest.mark.parametrize("most", [None, 14])
def test_sensitivity_agrees(norm: Any, most: int | None) -> None:
    model, found = smooth(), []
    for module, method in ((face, face), (metrics, captum)):
        seed()
        explain = method.IntegratedGradients(model).attribute
        found.append(
            module.sensitivity_max(
                explain, X, norm_ord=norm, max_examples_per_batch=most, target=EACH, baselines=0.1 * X
            )
        )
    agree(*found)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"nt_type": "smoothgrads"}, "did you mean 'smoothgrad'"),
    ({"nt_samples": 0}, "nt_samples"),
    ({"nt_samples": 2.5}, "nt_samples"),
    ({"stdevs": -1.0}, "at least 0"),
    ({"stdevs": (0.1, 0.2)}, "one number"),
    ({"rng": "x"}, "rng="),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_what_a_tunnel_refuses(options: dict[str, Any], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        face.NoiseTunnel(face.IntegratedGradients(smooth())).attribute(X, target=1, **options)


def test_what_gradient_shap_refuses() -> None:
    shap = face.GradientShap(smooth())
    for baselines, said in ((0, "tensor of baselines"), (BASES[:, :2], "of shape"), ((BASES, BASES), "for 1 inputs")):
        with pytest.raises(AssertionError, match=said):
            shap.attribute(X, baselines, target=1)
    with pytest.raises(AssertionError, match="expected n_samples= as a whole number of at least 1; got 0"):
        shap.attribute(X, BASES, 0, target=1)
