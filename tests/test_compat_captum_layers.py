"""Captum's face beside Captum itself: layers and neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import captum.attr as captum
import pytest
import torch
from captum.attr._utils.input_layer_wrapper import ModelInputWrapper
from captum.testing.helpers import basic_models as basic
from captum_cases import B, Toy, X, agree, draw, seeded, smooth, untouched
from torch import nn

import pyig.compat.captum as face

several = pytest.mark.filterwarnings("ignore:Multiple layers provided")
IDS, STARTS = torch.randint(0, 10, (5, 6), generator=torch.Generator().manual_seed(0)), torch.zeros(5, 6).long()


class Pair(nn.Module):
    """A layer that gives two tensors."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two tensors."""
        return torch.tanh(x), x**2


class Paired(nn.Module):
    """A model around it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.pair, self.last = nn.Linear(4, 3), Pair(), nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        a, b = self.pair(self.first(x))
        out: torch.Tensor = self.last(a * b)
        return out


class Parts(nn.Module):
    """Three embeddings that are added, as in a language model."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places, self.kinds = nn.Embedding(10, 4), nn.Embedding(6, 4), nn.Embedding(2, 4)
        self.mix, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return scores."""
        whole = self.words(ids) + self.places(torch.arange(ids.shape[1]).expand_as(ids)) + self.kinds(ids % 2)
        hidden = torch.tanh(self.mix(input=whole))
        if mask is not None:
            hidden = hidden * mask[..., None]
        out: torch.Tensor = self.out(hidden.mean(1))
        return out


def parts() -> Parts:
    model = seeded(Parts)
    assert isinstance(model, Parts)
    return model


LAYERED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Any, Any]] = {
    "first of the readme's": (Toy, lambda m: m.lin1, draw(2, 3), torch.zeros(2, 3)),
    "a nonlinearity": (smooth, lambda m: m[1], X, B),
    "the last": (smooth, lambda m: m[4], X, B[:1]),
    "two tensors": (lambda: seeded(Paired), lambda m: m.pair, X, 0.2),
    "a convolution": (basic.BasicModel_ConvNet, lambda m: m.conv1, draw(3, 1, 10, 10), None),
    "an embedding": (parts, lambda m: m.words, IDS, STARTS),
    "behind the embeddings": (parts, lambda m: m.mix, IDS, STARTS),
}


@pytest.mark.parametrize(
    ("name", "to_inputs"),
    [(name, False) for name in LAYERED] + [(name, True) for name in LAYERED if "embedding" not in name],
)
def test_layer_integrated_gradients_agree(name: str, to_inputs: bool) -> None:
    make, layer, x, start = LAYERED[name]
    model = make()
    for multiply in (True, False):
        found = [
            module.LayerIntegratedGradients(model, layer(model), multiply_by_inputs=multiply).attribute(
                x, start, 1, n_steps=20, return_convergence_delta=True, attribute_to_layer_input=to_inputs
            )
            for module in (face, captum)
        ]
        agree(*found)


def test_the_inputs_of_a_layer_that_is_called_by_keyword() -> None:
    model = parts()
    ours = face.LayerIntegratedGradients(model, model.mix).attribute(IDS, STARTS, 1, attribute_to_layer_input=True)
    every = face.LayerIntegratedGradients(model, [model.words, model.kinds]).attribute(IDS, STARTS, 1)
    torch.testing.assert_close(ours, sum(every), rtol=0, atol=1e-5)
    with pytest.raises(IndexError):
        captum.LayerIntegratedGradients(model, model.mix).attribute(IDS, STARTS, 1, attribute_to_layer_input=True)


SELECTORS: list[Any] = [2, (3,), [3], -1, (slice(1, 3),), lambda values: values[:, 0] * values[:, 1]]


@pytest.mark.parametrize("to_inputs", [False, True])
@pytest.mark.parametrize("place", range(len(SELECTORS)))
def test_neurons_agree(place: int, to_inputs: bool) -> None:
    model = smooth()
    options = {"n_steps": 20, "attribute_to_neuron_input": to_inputs}
    for multiply in (True, False):
        found = [
            module.NeuronIntegratedGradients(model, model[3], multiply_by_inputs=multiply).attribute(
                X, SELECTORS[place], B, **options
            )
            for module in (face, captum)
        ]
        agree(*found)


def test_neurons_of_layers_of_higher_rank_and_of_several_tensors() -> None:
    model, image = basic.BasicModel_ConvNet(), draw(3, 1, 10, 10)
    for selector in ((0, 1, 2), (1, slice(0, 3), 2)):
        agree(*(m.NeuronIntegratedGradients(model, model.conv1).attribute(image, selector) for m in (face, captum)))
    pair = seeded(Paired)
    found = [
        module.NeuronIntegratedGradients(pair, pair.pair).attribute(X, lambda both: both[0][:, 0] + both[1][:, 1])
        for module in (face, captum)
    ]
    agree(*found)


def test_what_comes_behind_a_neuron_is_not_run() -> None:
    model = smooth()
    seen: list[int] = []
    model[2].register_forward_hook(lambda m, args, out: seen.append(1))
    face.NeuronIntegratedGradients(model, model[1]).attribute(X, 2)
    assert not seen
    face.NeuronIntegratedGradients(model, model[3]).attribute(X, 2)
    assert seen


@several
def test_several_layers_move_together() -> None:
    model = parts()
    layers = [model.words, model.places, model.kinds]
    found = [
        module.LayerIntegratedGradients(model, layers).attribute(IDS, STARTS, 1, return_convergence_delta=True)
        for module in (face, captum)
    ]
    agree(*found)
    assert isinstance(found[0][0], list)
    reordered = face.LayerIntegratedGradients(model, layers[::-1]).attribute(IDS, STARTS, 1)
    for a, b in zip(reordered, found[0][0][::-1], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@several
def test_a_list_of_one_layer_gives_a_list() -> None:
    model = smooth()
    found = [module.LayerIntegratedGradients(model, [model[1]]).attribute(X, B, 1) for module in (face, captum)]
    agree(*found)


def test_a_layer_behind_another_that_moves() -> None:
    model = smooth()
    for options in (
        {"allow_unused": True},
        {"grad_kwargs": {"allow_unused": True}},
        {"grad_kwargs": {"materialize_grads": True}},
    ):
        first, second = face.LayerIntegratedGradients(model, [model[0], model[2]]).attribute(X, B, 1, **options)
        assert not first.any(), "the second layer is where the model goes on"
        agree(second, captum.LayerIntegratedGradients(model, model[2]).attribute(X, B, 1))
    with pytest.raises(RuntimeError, match="does not depend on"):
        face.LayerIntegratedGradients(model, [model[0], model[2]]).attribute(X, B, 1)


def test_layers_of_a_model_inside_a_function() -> None:
    model = parts()
    mask = torch.ones(5, 6)
    mask[2:, 4:] = 0

    def scores(ids: torch.Tensor, mask: torch.Tensor, factor: float) -> torch.Tensor:
        return model(ids, mask) * factor

    extra = {"additional_forward_args": (mask, 2.0)}
    for layer in (model.words, model.mix):
        found = [
            module.LayerIntegratedGradients(scores, layer).attribute(IDS, STARTS, [0, 1, 2, 0, 1], **extra)
            for module in (face, captum)
        ]
        agree(*found)


class Mixed(nn.Module):
    """Numbers beside ids."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(10, 4), nn.Linear(4, 3)

    def forward(self, numbers: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Return scores."""
        out: torch.Tensor = self.out(torch.tanh(self.words(ids).mean(1) * numbers))
        return out


@several
def test_numbers_beside_ids_through_captums_wrapper() -> None:
    model = ModelInputWrapper(seeded(Mixed))
    layers = [model.input_maps["numbers"], model.module.words]
    found = [
        module.LayerIntegratedGradients(model, layers).attribute((X[:5], IDS), (0.5 * X[:5], STARTS), 1)
        for module in (face, captum)
    ]
    agree(*found)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_batches_change_nothing(size: int) -> None:
    model = parts()
    ours = face.LayerIntegratedGradients(model, model.words).attribute(IDS, STARTS, 1, internal_batch_size=size)
    agree(ours, captum.LayerIntegratedGradients(model, model.words).attribute(IDS, STARTS, 1))
    net = smooth()
    whole = face.LayerConductance(net, net[1]).attribute(X, B, 1)
    torch.testing.assert_close(
        whole, face.LayerConductance(net, net[1]).attribute(X, B, 1, internal_batch_size=size), rtol=0, atol=1e-6
    )


def test_what_comes_before_the_layer_runs_once_per_sample() -> None:
    rows: list[int] = []

    class Counting(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows.append(len(x))
            return super().forward(x)

    model = seeded(lambda: nn.Sequential(Counting(4, 6), nn.Tanh(), nn.Linear(6, 3)))
    for module, steps in ((face, 50), (face, 200), (captum, 50)):
        rows.clear()
        module.LayerIntegratedGradients(model, model[1]).attribute(X, B, 1, n_steps=steps)
        assert (sum(rows) < 8 * len(X)) == (module is face)


def test_the_static_interpolation() -> None:
    maps = draw(2, 3, 4, 4)
    for mode in ("nearest", "bilinear"):
        found = [module.LayerAttribution.interpolate(maps, (8, 8), mode) for module in (face, captum)]
        assert torch.equal(*found)


METHODS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("LayerIntegratedGradients", (X, B, 1), {"n_steps": 6}),
    ("LayerIntegratedGradients", (X, B, 1), {"n_steps": 6, "quirks": "captum", "internal_batch_size": 14}),
    ("InternalInfluence", (X, B, 1), {"n_steps": 6}),
    ("LayerConductance", (X, B, 1), {"n_steps": 6}),
    ("NeuronIntegratedGradients", (X, 1, B), {"n_steps": 6}),
    ("LayerGradientShap", (X, B), {"n_samples": 6, "target": 1, "rng": 0, "return_convergence_delta": True}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), METHODS)
@pytest.mark.parametrize("fuse", [0, 1, 2, 3, 5, 10**9])
def test_nothing_is_left_behind(name: str, arguments: tuple[Any, ...], options: dict[str, Any], fuse: int) -> None:
    class Bomb(nn.Tanh):
        left = 10**9

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.left -= 1
            if self.left < 0:
                raise KeyError("bang")
            return super().forward(x)

    model = seeded(lambda: nn.Sequential(nn.Linear(4, 6), Bomb(), nn.Linear(6, 5), nn.Softplus(), nn.Linear(5, 3)))
    with untouched(model):
        model[1].left = fuse
        caught = None
        try:
            given = {key: value for key, value in options.items() if key != "quirks"}
            made = {key: value for key, value in options.items() if key == "quirks"}
            getattr(face, name)(model, model[2], **made).attribute(*arguments, **given)
        except KeyError as error:
            caught = error
        assert (caught is None) == (model[1].left >= 0)
        model[1].left = 10**9
        plain = model(X)
    torch.testing.assert_close(plain, smooth()(X))
