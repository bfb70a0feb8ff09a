"""Captum's face beside Captum itself: signatures, and Integrated Gradients and gradients at the inputs."""

from __future__ import annotations

import inspect
from typing import Any

import captum.attr as captum
import numpy as np
import pytest
import torch
from captum import metrics
from captum.attr import visualization as pictures
from captum_cases import CASES, B, Case, X, agree, draw, smooth, untouched
from test_compat_captum_behaviour import REFUSED

import pyig
import pyig.compat.captum as face
from pyig.compat.captum import visualization

CLASSES = (
    "IntegratedGradients", "LayerIntegratedGradients", "NeuronIntegratedGradients", "NoiseTunnel", "GradientShap",
    "LayerGradientShap", "LayerConductance", "InternalInfluence", "Saliency", "InputXGradient",
)  # fmt: skip
quiet = pytest.mark.filterwarnings("ignore:Input Tensor", "ignore:Setting forward")


def positional(function: Any) -> list[tuple[str, Any]]:
    """Return the arguments that may be given by position, with their defaults."""
    kept = inspect.signature(function).parameters.values()
    return [(p.name, p.default) for p in kept if p.kind == p.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize("name", CLASSES)
def test_signatures_and_attributes_are_the_same(name: str) -> None:
    ours, theirs = getattr(face, name), getattr(captum, name)
    assert positional(ours.__init__) == positional(theirs.__init__)
    assert positional(ours.attribute) == positional(theirs.attribute)
    assert [each for each in dir(theirs) if not each.startswith("_") and not hasattr(ours, each)] == []
    assert ours.get_name() == theirs.get_name()
    assert hasattr(ours.attribute, "__wrapped__"), "Captum's own classes call it"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *[
            (getattr(visualization, name), getattr(pictures, name))
            for name in ("visualize_image_attr", "visualize_image_attr_multiple", "visualize_text")
        ],
        (visualization.visualize_timeseries_attr, pictures.visualize_timeseries_attr),
        (visualization.VisualizationDataRecord, pictures.VisualizationDataRecord),
        (face.infidelity, metrics.infidelity),
        (face.infidelity_perturb_func_decorator, metrics.infidelity_perturb_func_decorator),
    ],
)
def test_functions_have_the_same_signatures(ours: Any, theirs: Any) -> None:
    assert positional(ours) == positional(theirs)


def test_sensitivity_has_the_same_signature() -> None:
    ours, theirs = positional(face.sensitivity_max), positional(metrics.sensitivity_max)
    assert [item for item in ours if item[0] != "perturb_func"] == [i for i in theirs if i[0] != "perturb_func"]


@pytest.mark.parametrize("name", CLASSES)
def test_flags_are_the_same(name: str) -> None:
    model = smooth()
    layer = (model[1],) if "Layer" in name or "Neuron" in name or name == "InternalInfluence" else ()
    made = [
        getattr(module, name)(module.IntegratedGradients(model) if name == "NoiseTunnel" else model, *layer)
        for module in (face, captum)
    ]
    for flag in ("multiplies_by_inputs", "forward_func"):
        ours, theirs = (getattr(each, flag, None) for each in made)
        assert ours == theirs or name == "NoiseTunnel"
    assert [each for each in vars(made[1]) if not each.startswith("_") and not hasattr(made[0], each)] == []
    for method in ("compute_convergence_delta", "has_convergence_delta", "interpolate", "get_name"):
        if hasattr(made[1], method):
            assert positional(getattr(made[0], method)) == positional(getattr(made[1], method))
    assert made[0].has_convergence_delta() == made[1].has_convergence_delta()
    if hasattr(made[1], "attribute_future"):
        with pytest.raises(NotImplementedError):
            made[0].attribute_future()


@pytest.mark.parametrize("name", CASES)
def test_integrated_gradients_agree(name: str) -> None:
    case = CASES[name]
    model = case.model()
    with_delta = {"n_steps": 7, "return_convergence_delta": name != "whole numbers"}  # where Captum's delta fails
    for options in ({}, with_delta, {"method": "riemann_middle", "n_steps": 20}):
        found = [
            module.IntegratedGradients(model).attribute(case.inputs, case.baselines, **case.options, **options)
            for module in (face, captum)
        ]
        agree(*found)


@pytest.mark.parametrize("name", CASES)
def test_local_attributions_agree(name: str) -> None:
    case = CASES[name]
    model = case.model()
    found = [
        module.IntegratedGradients(model, multiply_by_inputs=False).attribute(
            case.inputs, case.baselines, **case.options, return_convergence_delta=name != "whole numbers"
        )
        for module in (face, captum)
    ]
    agree(*found)


@quiet
@pytest.mark.parametrize("method", ["Saliency", "InputXGradient"])
@pytest.mark.parametrize("name", [name for name in CASES if name != "whole numbers"])
def test_gradients_agree(name: str, method: str) -> None:
    case = CASES[name]
    model = case.model()
    agree(*(getattr(module, method)(model).attribute(case.inputs, **case.options) for module in (face, captum)))


@quiet
def test_saliency_with_its_sign() -> None:
    found = [module.Saliency(smooth()).attribute(X, 1, abs=False) for module in (face, captum)]
    agree(*found)
    assert float(found[0].min()) < 0


@pytest.mark.parametrize("rule", ["riemann_left", "riemann_right", "riemann_middle", "gausslegendre"])
@pytest.mark.parametrize("steps", [2, 3, 50])
def test_rules_agree(rule: str, steps: int) -> None:
    found = [
        module.IntegratedGradients(smooth()).attribute(X, B, 1, n_steps=steps, method=rule) for module in (face, captum)
    ]
    agree(*found, atol=1e-6)


OURS_ALONE = ({"target": 1, "n_steps": "many"}, {"target": 1, "internal_batch_size": 0})  # a TypeError, and no error


@pytest.mark.parametrize("options", [options for options, *_ in REFUSED if options not in OURS_ALONE])
def test_what_catches_captums_error_catches_ours(options: dict[str, Any]) -> None:
    caught = []
    for module in (face, captum):
        with pytest.raises((AssertionError, IndexError)) as error:
            module.IntegratedGradients(smooth()).attribute(X, **options)
        caught.append(error.value)
    assert isinstance(caught[0], type(caught[1]))


@pytest.mark.parametrize("size", [1, 3, 10, 1000])
def test_batches_change_nothing(size: int) -> None:
    ours = face.IntegratedGradients(smooth()).attribute(X, B, 1, internal_batch_size=size)
    agree(ours, captum.IntegratedGradients(smooth()).attribute(X, B, 1))


def test_rows_of_a_call_stay_below_the_batch_size() -> None:
    seen: list[int] = []

    def model(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return (x**2).sum(1)

    face.IntegratedGradients(model).attribute(X, internal_batch_size=3)
    assert max(seen) == 3, "samples are split as well, where Captum warns and takes all seven"


@pytest.mark.parametrize("name", CASES)
def test_the_delta_is_what_compute_convergence_delta_says(name: str) -> None:
    case = CASES[name]
    ig = face.IntegratedGradients(case.model())
    found, delta = ig.attribute(case.inputs, case.baselines, **case.options, n_steps=3, return_convergence_delta=True)
    again = ig.compute_convergence_delta(found, case.baselines, case.inputs, **case.options)
    assert torch.equal(delta, again)


def test_auto_converges_where_fifty_steps_do_not() -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x - 0.9937)[:, 0]

    x = torch.ones(1, 1)
    fifty, gap = face.IntegratedGradients(model).attribute(x, return_convergence_delta=True)
    found, delta = face.IntegratedGradients(model).attribute(
        x, n_steps="auto", rtol=1e-3, return_convergence_delta=True
    )
    exact = float(model(x))
    assert abs(float(gap)) > 0.05 * exact
    assert abs(float(delta)) < 2e-3 * exact
    assert float(found) == pytest.approx(exact, rel=2e-3)
    assert float(fifty) != pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("name", ["IntegratedGradients", "Saliency", "InputXGradient"])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(name: str, fails: bool) -> None:
    model = smooth()
    model[0].weight.requires_grad_(False)
    x = X.clone().requires_grad_()
    with untouched(model):
        if fails:
            with pytest.raises(AssertionError):
                getattr(face, name)(model).attribute(x, target=99)
        else:
            getattr(face, name)(model).attribute(x, target=1)
    assert x.grad is None
    assert x.requires_grad


def test_arguments_are_not_changed() -> None:
    target, extra = [0, 1, 2, 0, 1, 2, 0], [np.ones(2)]
    x, start = X.clone(), B.clone()
    case = Case(smooth, x, start)
    model = case.model()
    face.IntegratedGradients(lambda x, _: model(x)).attribute(x, start, target, additional_forward_args=(extra,))
    assert target == [0, 1, 2, 0, 1, 2, 0]
    assert torch.equal(x, X)
    assert torch.equal(start, B)
    assert len(extra) == 1


def test_a_model_is_looked_at_once_for_many_calls() -> None:
    ig = face.IntegratedGradients(smooth())
    first = ig.attribute(X, B, 1)
    assert torch.equal(first, ig.attribute(X, B, 1))
    assert float((first - ig.attribute(draw(7, 4, seed=9), B, 1)).abs().max()) > 0


def test_the_gradient_function_is_the_engines() -> None:
    ig = face.IntegratedGradients(smooth())
    theirs = captum.IntegratedGradients(smooth()).gradient_func(smooth(), (X.clone().requires_grad_(),), 1)
    agree(ig.gradient_func(smooth(), (X,), 1), theirs)
    with pytest.raises(AssertionError, match="forward_func instead"):
        ig.gradient_func = print


def test_deltas_of_several_baselines_and_of_numpy() -> None:
    ig, three = face.IntegratedGradients(smooth()), draw(3, 4, seed=6)
    found, delta = ig.attribute(X, pyig.several(three), 1, n_steps=40, return_convergence_delta=True)
    assert float(delta.abs().max()) < 1e-5
    agree(found, sum(ig.attribute(X, row[None], 1, n_steps=40) for row in three) / 3)
    for module in (face, captum):  # which of them a row goes with, nobody has said
        with pytest.raises(AssertionError):
            module.IntegratedGradients(smooth()).attribute(X, three, 1)
        with pytest.raises(AssertionError):
            module.NoiseTunnel(module.IntegratedGradients(smooth())).attribute(X, baselines=three, target=1)
    numpy, gap = ig.attribute(X.numpy(), target=1, return_convergence_delta=True)
    assert isinstance(numpy, np.ndarray)
    assert float(gap.abs().max()) < 1e-5


@pytest.mark.filterwarnings("ignore:In order to make embedding layers")
def test_embeddings_that_captum_puts_in_the_place_of_a_layer() -> None:
    model = torch.nn.Sequential()
    model.words, model.out = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 2)
    model.forward = lambda ids: model.out(torch.tanh(model.words(ids)).mean(1))
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    outer = captum.configure_interpretable_embedding_layer(model, "words")
    try:
        values = outer.indices_to_embeddings(ids).detach()
        agree(*(module.IntegratedGradients(model).attribute(values, target=1) for module in (face, captum)))
    finally:
        captum.remove_interpretable_embedding_layer(model, outer)
