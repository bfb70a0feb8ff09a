"""Each known defect of alibi 0.9.6, and what pyig's face of it answers to the same call."""

from __future__ import annotations

import json
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import alibi_nets as nets
import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from alibi_nets import TABLE, TOKENS, close, ours, theirs
from keras import layers
from tensorflow.errors import InvalidArgumentError

from pyig.compat.alibi import Explanation, IntegratedGradients, load_explainer, save_explainer
from pyig.errors import PyigError


def change(model: Any, x: Any = TABLE) -> Any:
    """F(x) - F(0)."""
    return model(x).numpy() - model(np.zeros_like(x)).numpy()


# --- one output column ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("flat", [False, True])
def test_deltas_of_one_column_with_a_target(flat: bool) -> None:
    target = [0, 1, 1, 0, 1]
    sign = np.where(target, 1, -1)

    def make() -> Any:
        model = nets.tabular(1, "sigmoid")
        return keras.Sequential([model, layers.Reshape(())]) if flat else model

    found, wrong = ours(make(), TABLE, target=target), theirs(make(), TABLE, target=target)
    close(found.attributions, wrong.attributions)
    np.testing.assert_allclose(found.attributions[0].sum(axis=1), sign * change(make()).ravel(), rtol=0, atol=1e-5)
    assert np.abs(found.deltas).max() < 1e-6
    np.testing.assert_array_equal(found.target, target)
    assert found.predictions.shape == wrong.predictions.shape == ((5,) if flat else (5, 1))
    if not flat:
        np.testing.assert_allclose(wrong.deltas, 2 * sign * change(make()).ravel(), rtol=0, atol=1e-5)
    assert np.abs(wrong.deltas).max() > 0.02


def test_one_column_without_a_target_and_with_one_for_all() -> None:
    plain, up, down = (ours(nets.tabular(1, "sigmoid"), TABLE, target=target) for target in (None, 1, 0))
    assert np.abs(plain.attributions[0]).max() > 0.01
    np.testing.assert_array_equal(plain.attributions[0], up.attributions[0])
    np.testing.assert_array_equal(plain.attributions[0], -down.attributions[0])
    np.testing.assert_array_equal(plain.deltas, -down.deltas)
    assert plain.target is None
    np.testing.assert_array_equal(down.target, np.zeros(5))


def test_an_argmax_of_one_column_says_what_it_explains() -> None:
    model = nets.tabular(1, "sigmoid")
    with pytest.warns(UserWarning, match="1 - p is explained"):
        found = ours(model, TABLE, ctor={"target_fn": partial(np.argmax, axis=1)})
    close(found.attributions, theirs(nets.tabular(1, "sigmoid"), TABLE, target=0).attributions)
    split = ours(model, TABLE, ctor={"target_fn": lambda p: p[:, 0] > 0.5})  # says nothing
    np.testing.assert_array_equal(split.target, split.predictions[:, 0] > 0.5)
    assert len(set(split.target)) == 2


# --- outputs of higher rank, several outputs -----------------------------------------------------------------------
def test_a_matrix_of_targets_into_a_last_axis_of_one() -> None:
    target = np.array([[0, 0], [5, 0], [1, 0], [2, 0], [3, 0]])
    with pytest.raises(InvalidArgumentError):
        theirs(nets.of_rank((6, 1)), TABLE, target=target)
    found = ours(nets.of_rank((6, 1)), TABLE, target=target)
    wanted = change(nets.of_rank((6, 1)))[np.arange(5), target[:, 0], 0]
    np.testing.assert_allclose(found.attributions[0].sum(axis=1), wanted, rtol=0, atol=1e-6)
    assert np.abs(found.deltas).max() < 1e-6


def test_a_tuple_is_one_index_for_all_samples() -> None:
    found = ours(nets.of_rank((3, 2)), TABLE, target=(2, 1))
    close(found.attributions, ours(nets.of_rank((3, 2)), TABLE, target=[[2, 1]] * 5).attributions, atol=0)


def heads() -> Any:
    keras.utils.set_random_seed(8)
    x = keras.Input((4,))
    hidden = layers.Dense(5, "tanh")(x)
    return keras.Model(x, [layers.Dense(2, name="kind")(hidden), layers.Dense(1, name="size")(hidden)])


def test_models_with_several_outputs() -> None:
    with pytest.raises(TypeError):
        theirs(heads(), TABLE, target=1)
    with pytest.raises(ValueError, match=r"choose one with output=: 0 \(5, 2\), 1 \(5, 1\)"):
        ours(heads(), TABLE, target=1)
    found = ours(heads(), TABLE, target=1, ctor={"output": 0})
    wanted = heads()(TABLE)[0].numpy() - heads()(0 * TABLE)[0].numpy()
    np.testing.assert_allclose(found.attributions[0].sum(axis=1), wanted[:, 1], rtol=0, atol=1e-5)


# --- what comes in -------------------------------------------------------------------------------------------------
def test_float32_stays_float32() -> None:
    found, wide = ours(nets.tabular(), TABLE, target=1), theirs(nets.tabular(), TABLE, target=1)
    assert found.attributions[0].dtype == TABLE.dtype == np.float32
    assert wide.attributions[0].dtype == np.float64
    assert ours(nets.tabular(), TABLE.astype(float), target=1).attributions[0].dtype == np.float64


@pytest.mark.parametrize("kind", [tf.constant, pd.DataFrame, np.ndarray.tolist], ids=["tensor", "frame", "list"])
def test_inputs_that_are_no_arrays(kind: Any) -> None:
    x = kind(TABLE)
    with pytest.raises((ValueError, AttributeError)):
        theirs(nets.tabular(), x, target=1)
    found = ours(nets.tabular(), x, target=1)
    assert type(found.attributions[0]) is np.ndarray
    close(found.attributions, ours(nets.tabular(), TABLE, target=1).attributions, atol=1e-6)
    assert found.X is x


def test_a_frame_of_baselines_is_matched_by_its_columns() -> None:
    x = pd.DataFrame(TABLE, columns=list("abcd"))
    start = pd.DataFrame([[4.0, 3, 2, 1]], columns=list("dcba"))
    found = ours(nets.tabular(), x, baselines=start, target=1)
    np.testing.assert_array_equal(found.baselines, np.tile([1.0, 2, 3, 4], (5, 1)))


def mixed(named: bool) -> Any:
    keras.utils.set_random_seed(9)
    ids, size, mask = (
        keras.Input(shape, name=name, dtype=dtype)
        for name, shape, dtype in (("ids", (7,), "int32"), ("size", (4,), "float32"), ("mask", (7, 1), "bool"))
    )
    words = layers.Embedding(20, 3, embeddings_initializer="normal")(ids) * keras.ops.cast(mask, "float32")
    joined = layers.Concatenate()([layers.Flatten()(words), size])
    out = layers.Dense(2)(layers.Dense(6, "tanh")(joined))
    return keras.Model({"ids": ids, "size": size, "mask": mask} if named else [ids, size, mask], out)


def test_integers_and_booleans_beside_floats_stay_where_they_are() -> None:
    size, mask = TABLE[:4], np.arange(7)[:, None] < np.array([7, 4, 5, 2])[:, None, None]
    for third, kind in ((mask, TypeError), (mask.astype(np.float32), ValueError)):  # booleans, then integers alone
        with pytest.raises(kind):
            theirs(mixed(False), [TOKENS, size, third], target=1)
    listed = ours(mixed(False), [TOKENS, size, mask], target=1)
    named = ours(mixed(True), {"ids": TOKENS, "size": size, "mask": mask}, target=1)
    assert list(named.attributions) == ["ids", "size", "mask"]
    close(listed.attributions, list(named.attributions.values()), atol=0)
    assert not listed.attributions[0].any()
    assert not listed.attributions[2].any()
    wanted = mixed(False)([TOKENS, size, mask]).numpy() - mixed(False)([TOKENS, 0 * size, mask]).numpy()
    np.testing.assert_allclose(listed.attributions[1].sum(axis=1), wanted[:, 1], rtol=0, atol=1e-5)
    assert np.abs(wanted[:, 1]).min() > 1e-3


def test_a_table_of_integers_moves_and_its_baseline_is_not_rounded() -> None:
    x = np.array([[3, 1, 0, 2], [1, 1, 2, 0]])
    found = ours(nets.tabular(), x, baselines=0.5, target=1)
    close(found.attributions, ours(nets.tabular(), x.astype(np.float32), baselines=0.5, target=1).attributions, 1e-6)
    assert (found.baselines == 0.5).all()
    assert (theirs(nets.tabular(), x, baselines=0.5, target=1).baselines == 0).all()
    assert theirs(nets.imdb(), TOKENS, baselines=0.5, target=1, ctor={"layer": nets.embedding}).baselines.max() == 0
    with pytest.raises(ValueError, match="baseline of whole numbers for the input of dtype int64"):
        ours(nets.imdb(), TOKENS, baselines=0.5, target=1, ctor={"layer": nets.embedding})


def test_ids_without_a_layer_are_explained_by_their_embedding() -> None:
    with pytest.raises(ValueError, match="None"):
        theirs(nets.imdb(), TOKENS, target=1)
    found = ours(nets.imdb(), TOKENS, target=1)
    assert found.attributions[0].shape == TOKENS.shape
    at_layer = ours(nets.imdb(), TOKENS, target=1, ctor={"layer": nets.embedding})
    close(found.attributions, [at_layer.attributions[0].sum(axis=2)])
    assert np.abs(found.deltas).max() < 1e-6


def test_an_input_that_is_not_used_has_no_attribution() -> None:
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.Dense(2, "tanh")(a))
    with pytest.raises(ValueError, match="None"):
        theirs(model, [TABLE, TABLE], target=1)
    found = ours(model, [TABLE, TABLE], target=1)
    assert not found.attributions[1].any()
    assert found.attributions[0].any()


class Scaled(keras.Model):
    """Two inputs and an argument."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2, "tanh")

    def call(self, inputs: Any, scale: Any = None) -> Any:
        both = inputs[0] * inputs[1]
        return self.dense(both if scale is None else both * scale)


def test_a_subclassed_model_with_a_list_of_inputs_and_an_argument() -> None:
    keras.utils.set_random_seed(1)
    model = Scaled()
    call = {"forward_kwargs": {"scale": np.array([[1.0], [2], [3], [4], [5]], np.float32)}, "target": 1}
    with pytest.raises(AttributeError):
        theirs(model, [TABLE, TABLE], **call)
    found = ours(model, [TABLE, TABLE], **call)
    zero = np.zeros_like(TABLE)
    ends = [model([x, x], **call["forward_kwargs"]).numpy()[:, 1] for x in (TABLE, zero)]
    np.testing.assert_allclose(sum(a.sum(axis=1) for a in found.attributions), ends[0] - ends[1], rtol=0, atol=1e-5)


def test_a_sequential_model_that_is_not_built() -> None:
    model = keras.Sequential([layers.Dense(3, "softmax")])
    with pytest.raises(AttributeError):
        theirs(model, TABLE, target=1)
    assert np.abs(ours(model, TABLE, target=1).deltas).max() < 1e-6


# --- what is left behind -------------------------------------------------------------------------------------------
def test_the_callers_lists_stay_as_they_are() -> None:
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], layers.Dense(2, "tanh")(a * b))
    for side, kinds in ((theirs, [np.ndarray, np.ndarray]), (ours, [type(None), float])):
        x, start = [TABLE, TABLE], [None, 1.0]
        side(model, x, baselines=start, target=1)
        assert [type(item) for item in start] == kinds
        assert x[0] is x[1] is TABLE


def test_a_layer_is_as_it_was_after_an_error() -> None:
    for side, left in ((theirs, True), (ours, False)):
        model = nets.imdb()
        before = model(TOKENS).numpy()
        with pytest.raises(ValueError, match="None"):
            side(model, TOKENS, ctor={"layer": model.layers[0]}, target=None)
        assert ("call" in vars(model.layers[0])) == left
        if side is ours:
            np.testing.assert_array_equal(model(TOKENS), before)


class Bomb(layers.Layer):
    """Fails when it has been called so many times."""

    left = 10**9

    def call(self, x: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyError("bang")
        return keras.ops.tanh(x)


@pytest.mark.parametrize("fuse", [0, 1, 2, 3, 4, 10**9])
@pytest.mark.parametrize("at", [None, 0, 2])
def test_nothing_is_left_behind(at: int | None, fuse: int) -> None:
    keras.utils.set_random_seed(1)
    bomb = Bomb()
    model = keras.Sequential([keras.Input((4,)), layers.Dense(6, "tanh"), bomb, layers.Dense(3)])
    model.layers[0].trainable = False
    before, state = model(TABLE).numpy(), np.random.get_state()[1].copy()  # noqa: NPY002 - the global one
    explainer = IntegratedGradients(model, layer=None if at is None else model.layers[at], n_steps=20)
    bomb.left, caught = fuse, False
    try:
        explainer.explain(TABLE, target=1)
    except Exception as error:
        caught = "bang" in str(error)
    assert caught == (bomb.left < 0)
    bomb.left = 10**9
    assert [name for layer in model.layers for name in vars(layer) if name == "call"] == []
    np.testing.assert_array_equal(model(TABLE), before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert [layer.trainable for layer in model.layers] == [False, True, True]
    if caught:  # and the explainer still works
        assert np.abs(explainer.explain(TABLE, target=1).deltas).max() < 1e-3


def test_a_model_loaded_into_a_saved_explainer_stays_as_it_is(tmp_path: Path) -> None:
    def saved(make: Any, folder: Path) -> tuple[float, float]:
        old, new = nets.imdb(), nets.imdb()
        for layer in new.layers:
            layer.set_weights([3 * weight for weight in layer.get_weights()])
        before = new(TOKENS).numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the peer's pickles
            explainer = make(old, layer=old.layers[0])
            explainer.explain(TOKENS, target=1)
            explainer.save(folder)
            found = make.load(folder, new).explain(TOKENS, target=1)
        return np.abs(new(TOKENS).numpy() - before).max(), np.abs(found.deltas).max()

    (tmp_path / "theirs").mkdir()
    changed, gap = saved(nets.peer().IntegratedGradients, tmp_path / "theirs")
    assert changed > 0.005
    assert gap > 0.005
    changed, gap = saved(IntegratedGradients, tmp_path / "ours")
    assert changed == 0
    assert gap < 1e-5


# --- what comes out ------------------------------------------------------------------------------------------------
def test_json_on_this_numpy() -> None:
    with pytest.raises(AttributeError, match="float_"):
        theirs(nets.tabular(), TABLE, target=1).to_json()
    found = ours(nets.tabular(), TABLE, target=1, ctor={"target_fn": None})
    again = Explanation.from_json(found.to_json())
    for name in ("X", "baselines", "predictions", "deltas", "target"):
        assert again[name].dtype == found[name].dtype
        np.testing.assert_array_equal(again[name], found[name])
    assert again.attributions[0].dtype == np.float32
    np.testing.assert_array_equal(again.attributions[0], found.attributions[0])
    assert again.meta == found.meta
    # The peer's own reader knows it as it knows its own: with lists for arrays.
    assert nets.peer().Explanation.from_json(found.to_json()).data["deltas"] == found.deltas.tolist()


def test_json_of_an_explainer_with_a_function() -> None:
    found = ours(nets.tabular(), TABLE, ctor={"target_fn": partial(np.argmax, axis=1)})
    assert isinstance(json.loads(found.to_json())["meta"]["params"]["target_fn"], str)


# --- targets -------------------------------------------------------------------------------------------------------
def test_a_numpy_number_is_a_number() -> None:
    with pytest.raises(NotImplementedError):
        theirs(nets.tabular(), TABLE, target=np.int64(1))
    for target in (np.int64(1), np.array(1), tf.constant([1] * 5), np.full((5, 1), 1)):
        found = ours(nets.tabular(), TABLE, target=target)
        close(found.attributions, ours(nets.tabular(), TABLE, target=1).attributions, atol=0)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (None, r"the class of every sample, for example model\(X\)"),
        (-1, "target -1 of sample 0 is out of range: outputs of shape .5, 3. have 0 to 2"),
        (3, "0 to 2"),
        ([0, 1, 2, 0, 7], "target 7 of sample 4"),
        ([0, 1], r"of shape \(5,\) for outputs of shape \(5, 3\); got \(2,\)"),
        (np.ones(5), "float64"),
        (True, "bool"),
    ],
)
def test_targets_that_both_refuse(target: Any, message: str) -> None:
    with pytest.raises(ValueError, match="."):  # noqa: RUF043 - whatever it says
        theirs(nets.tabular(), TABLE, target=target)
    with pytest.raises(ValueError, match=message) as raised:
        ours(nets.tabular(), TABLE, target=target)
    assert isinstance(raised.value, PyigError)


def test_what_the_peer_does_not_implement_is_also_said_so() -> None:
    for side in (theirs, ours):
        with pytest.raises(NotImplementedError):
            side(nets.tabular(), TABLE, target=1.0)


def test_explainers_are_saved_as_one_readable_file(tmp_path: Path) -> None:
    model = nets.tabular()
    save_explainer(IntegratedGradients(model, layer=model.layers[0], n_steps=7), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["explainer.json"]
    assert load_explainer(tmp_path, model).meta["params"]["n_steps"] == 7
