"""alibi beside pyig's face of it: its documented examples, every method, and every kind of baseline and target."""

from __future__ import annotations

from functools import partial
from typing import Any

import alibi_nets as nets
import keras
import numpy as np
import pytest
from alibi_nets import IMAGES, PHOTOS, TABLE, TOKENS, both, close
from keras import layers
from tensorflow.errors import InvalidArgumentError

import pyig
from pyig.compat.alibi import IntegratedGradients

METHODS = ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"]


def agree(found: Any, wanted: Any) -> None:
    """Compare two whole explanations."""
    close(found.attributions, wanted.attributions)
    np.testing.assert_allclose(found.predictions, wanted.predictions, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.deltas, wanted.deltas, rtol=0, atol=2e-6)
    assert found.deltas.dtype == wanted.deltas.dtype == np.float64
    if wanted.target is None:
        assert found.target is None
    else:
        np.testing.assert_array_equal(found.target, wanted.target)
    assert set(found.data) == set(wanted.data)
    params = {**wanted.meta["params"], "target_fn": found.meta["params"]["target_fn"]}  # of which the peer has a copy
    assert found.meta == {**wanted.meta, "params": params, "version": pyig.__version__}


# --- the documented examples ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS)
def test_digits(method: str) -> None:
    labels = nets.mnist()(IMAGES).numpy().argmax(axis=1)
    ctor = {"n_steps": 20, "method": method}
    found, wanted = both(nets.mnist, IMAGES, ctor=ctor, baselines=None, target=labels)
    agree(found, wanted)
    assert found.attributions[0].dtype == IMAGES.dtype == np.float64
    assert found.attributions[0].shape == IMAGES.shape
    assert np.abs(found.attributions[0]).max() > 1e-4


def test_reviews_by_their_embedding() -> None:
    ctor = {"layer": nets.embedding, "n_steps": 20, "internal_batch_size": 100}
    labels = nets.imdb()(TOKENS).numpy().argmax(axis=1)
    found, wanted = both(nets.imdb, TOKENS, ctor=ctor, baselines=None, target=labels)
    agree(found, wanted)
    np.testing.assert_allclose(found.attributions[0].sum(axis=2), wanted.attributions[0].sum(axis=2), atol=1e-6)
    assert found.attributions[0].shape == (4, 7, 6)
    np.testing.assert_array_equal(found.baselines, wanted.baselines)


@pytest.mark.parametrize("start", [None, 3, np.full(TOKENS.shape, 5)], ids=["zero", "number", "array"])
def test_a_mask_and_a_baseline_of_tokens(start: Any) -> None:
    mask = np.arange(7) < np.array([7, 4, 5, 2])[:, None]
    ctor = {"layer": nets.embedding, "n_steps": 20}
    call = {"forward_kwargs": {"attention_mask": mask}, "baselines": start, "target": [1, 1, 0, 0]}
    found, wanted = both(nets.transformer, TOKENS, ctor=ctor, **call)
    agree(found, wanted)
    without, _ = both(nets.transformer, TOKENS, ctor=ctor, baselines=start, target=[1, 1, 0, 0])
    assert np.abs(without.attributions[0] - found.attributions[0]).max() > 1e-4
    assert np.abs(found.attributions[0][1, 4:]).max() < 1e-7 < np.abs(found.attributions[0][1, :4]).max()


def test_photographs_against_noise() -> None:
    start = np.random.default_rng(1).random(PHOTOS.shape).astype(np.float32)
    found, wanted = both(nets.resnet, PHOTOS, ctor={"n_steps": 20}, baselines=start, target=[3, 1])
    agree(found, wanted)
    assert found.attributions[0].dtype == np.float32


# --- methods -------------------------------------------------------------------------------------------------------
def test_the_trapezoid_is_right_by_default_and_the_peers_on_request() -> None:
    for n in (2, 10):
        ctor: dict[str, Any] = {"method": "riemann_trapezoid", "n_steps": n}
        found, wanted = both(nets.tabular, TABLE, ctor=ctor, target=1)
        close(found.attributions, [wanted.attributions[0] * n / (n - 1)], atol=1e-6)
        same = nets.ours(nets.tabular(), TABLE, ctor=ctor | {"quirks": "alibi"}, target=1)
        close(same.attributions, wanted.attributions, atol=1e-6)
        np.testing.assert_allclose(same.deltas, wanted.deltas, rtol=0, atol=1e-6)
        assert np.abs(same.deltas - found.deltas).max() > 1e-3
    other = nets.ours(nets.tabular(), TABLE, ctor={"quirks": "alibi"}, target=1)
    close(other.attributions, nets.ours(nets.tabular(), TABLE, target=1).attributions, atol=1e-12)


@pytest.mark.parametrize("method", [*METHODS, "riemann_trapezoid"])
@pytest.mark.parametrize("kind", ["table", "tokens"])
def test_quirks_give_the_old_numbers_to_the_last_place(kind: str, method: str) -> None:
    ctor: dict[str, Any] = {"method": method, "n_steps": 20}
    make, x = (nets.tabular, TABLE) if kind == "table" else (nets.imdb, TOKENS)
    if kind == "tokens":
        ctor["layer"] = nets.embedding
    wanted = nets.theirs(make(), x, ctor=ctor, target=1).attributions[0]
    found = nets.ours(make(), x, ctor=ctor | {"quirks": "alibi"}, target=1).attributions[0]
    assert np.abs(found - wanted).max() <= np.finfo(np.float32).eps * np.abs(wanted).max()


def test_a_linear_model_is_exact_under_every_method() -> None:
    line = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    exact = TABLE * line.layers[0].kernel.numpy()[:, 0]
    for method in (*METHODS, "riemann_trapezoid", "simpson"):
        found = nets.ours(line, TABLE, ctor={"method": method, "n_steps": 5})
        close(found.attributions, [exact], atol=1e-6)
    biased = nets.theirs(line, TABLE, ctor={"method": "riemann_trapezoid", "n_steps": 5})
    close(biased.attributions, [0.8 * exact], atol=1e-6)


# --- baselines -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("start", [None, 0, 1, 0.5, TABLE[::-1].copy()], ids=["none", "zero", "int", "float", "array"])
def test_baselines_that_the_peer_takes(start: Any) -> None:
    found, wanted = both(nets.tabular, TABLE, ctor={"n_steps": 20}, baselines=start, target=[0, 1, 2, 1, 0])
    agree(found, wanted)
    np.testing.assert_array_equal(found.baselines, wanted.baselines)
    assert found.baselines.dtype == wanted.baselines.dtype == np.float32


@pytest.mark.parametrize(
    "start", [np.float32(0.5), np.full((1, 4), 0.5), np.full(4, 0.5)], ids=["numpy number", "one row", "no batch axis"]
)
def test_baselines_that_the_peer_refuses(start: Any) -> None:
    with pytest.raises((ValueError, InvalidArgumentError)):
        nets.theirs(nets.tabular(), TABLE, baselines=start, target=1)
    found = nets.ours(nets.tabular(), TABLE, baselines=start, target=1)
    close(found.attributions, nets.theirs(nets.tabular(), TABLE, baselines=0.5, target=1).attributions)
    np.testing.assert_array_equal(found.baselines, np.full(TABLE.shape, 0.5))


# --- targets -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", [2, [0, 1, 2, 1, 0], np.array([2, 2, 1, 0, 0])], ids=["int", "list", "array"])
def test_targets_of_a_classifier(target: Any) -> None:
    agree(*both(nets.tabular, TABLE, ctor={"n_steps": 20}, target=target))


def test_targets_from_a_function() -> None:
    ctor = {"target_fn": partial(np.argmax, axis=1), "n_steps": 20}
    found, wanted = both(nets.tabular, TABLE, ctor=ctor)
    agree(found, wanted)
    np.testing.assert_array_equal(found.target, found.predictions.argmax(axis=1))


@pytest.mark.parametrize("kind", [np.array, list])
def test_a_matrix_of_targets_for_outputs_of_higher_rank(kind: Any) -> None:
    target = kind([[2, 1], [0, 0], [1, 1], [2, 0], [1, 0]])
    found, wanted = both(partial(nets.of_rank, (3, 2)), TABLE, ctor={"n_steps": 20}, target=target)
    agree(found, wanted)
    assert found.target.shape == (5, 2)


def test_the_sum_of_the_outputs_where_the_last_axis_has_one_entry() -> None:
    found, wanted = both(partial(nets.of_rank, (6, 1)), TABLE, ctor={"n_steps": 20})
    agree(found, wanted)
    total = found.predictions.sum(axis=(1, 2)) - nets.of_rank((6, 1))(0 * TABLE).numpy().sum(axis=(1, 2))
    np.testing.assert_allclose(found.attributions[0].sum(axis=1), total, rtol=0, atol=1e-5)


def test_a_regression() -> None:
    agree(*both(partial(nets.tabular, 1, None), TABLE, ctor={"n_steps": 20}))


# --- layers and several inputs -------------------------------------------------------------------------------------
def two() -> Any:
    keras.utils.set_random_seed(7)
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    hidden = layers.Dense(6, "tanh", name="hidden")(layers.Multiply(name="both")([a, b]))
    return keras.Model([a, b], layers.Dense(2)(hidden))


def test_a_list_of_inputs() -> None:
    found, wanted = both(two, [TABLE, 2 * TABLE], ctor={"n_steps": 20}, baselines=[None, 1.0], target=1)
    close(found.attributions, wanted.attributions)
    np.testing.assert_allclose(found.deltas, wanted.deltas, atol=2e-6)
    for a, b in zip(found.baselines, wanted.baselines, strict=True):
        np.testing.assert_array_equal(a, b)
    assert type(found.attributions) is type(found.baselines) is type(found.X) is list


@pytest.mark.parametrize("to_inputs", [False, True])
def test_a_layer_itself(to_inputs: bool) -> None:
    for position in (1, 2):
        made = [nets.tabular(), nets.tabular()]
        call = {"target": 1, "attribute_to_layer_inputs": to_inputs}
        found, wanted = (
            side(model, TABLE, ctor={"layer": model.layers[position - 1]}, **call)
            for side, model in zip((nets.ours, nets.theirs), made, strict=True)
        )
        agree(found, wanted)
        assert found.meta["params"]["layer"] == position - 1


def test_a_layer_with_a_list_of_inputs() -> None:
    model = two()
    found = nets.ours(model, [TABLE, 2 * TABLE], ctor={"layer": lambda m: m.get_layer("both")}, target=1,
                      attribute_to_layer_inputs=True)  # fmt: skip
    close(found.attributions, nets.ours(model, [TABLE, 2 * TABLE], target=1).attributions)
    with pytest.raises(AttributeError):  # the peer does not know lists of layer inputs
        nets.theirs(two(), [TABLE, 2 * TABLE], ctor={"layer": lambda m: m.get_layer("both")}, target=1,
                    attribute_to_layer_inputs=True)  # fmt: skip


def test_an_explanation_runs_the_model_eagerly_once() -> None:
    runs = []

    class Counting(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x: Any) -> Any:
            runs.append(x.shape[0])
            return self.dense(x)

    x = np.ones((4, 5), np.float32)
    explainer = IntegratedGradients(Counting(), n_steps=8)
    for _ in range(5):
        explainer.explain(x, target=1)
    del runs[:]
    explainer.explain(x, target=1)
    assert runs == [4]  # the predictions; the engine's graphs are compared with them
