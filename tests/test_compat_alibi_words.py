"""The face's own words: what meta says, how an explainer is saved, how it counts steps, and its errors."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import alibi_nets as nets
import keras
import numpy as np
import pytest
import tensorflow as tf
from alibi_nets import TABLE, TOKENS, close
from keras import layers

import pyig
from pyig.compat.alibi import (
    DEFAULT_DATA_INTGRAD,
    DEFAULT_META_INTGRAD,
    Explanation,
    IntegratedGradients,
    LayerState,
    SerializationError,
    load_explainer,
    save_explainer,
)
from pyig.errors import InputError, InputTypeError, PyigError, SaveFileError


def nested() -> Any:
    keras.utils.set_random_seed(3)
    inside = keras.Sequential([keras.Input((4,)), layers.Dense(5, "tanh", name="deep")], name="block")
    x = keras.Input((4,))
    return keras.Model(x, layers.Dense(2)(inside(x)))


# --- meta and data -------------------------------------------------------------------------------------------------
def test_the_defaults_are_the_peers() -> None:
    peer = nets.peer()
    assert DEFAULT_META_INTGRAD == peer.DEFAULT_META_INTGRAD
    assert DEFAULT_DATA_INTGRAD == peer.DEFAULT_DATA_INTGRAD
    assert {state.name: state.value for state in LayerState} == {s.name: s.value for s in peer.LayerState}


def test_meta_names_the_layer() -> None:
    model = nested()
    block = model.layers[1]
    for layer, said in (
        (None, LayerState.UNSPECIFIED),
        (lambda m: m.layers[1], LayerState.CALLABLE),
        (model.layers[2], 2),
        (2, 2),
        (block.layers[0], [1, 0]),
        ("deep", "deep"),
    ):
        assert IntegratedGradients(model, layer).meta["params"]["layer"] == said
    function = tf.function(model)
    assert IntegratedGradients(function, block).meta["params"]["layer"] == LayerState.NON_SERIALIZABLE


def test_meta_follows_what_is_changed_later() -> None:
    explainer = IntegratedGradients(nets.tabular())
    explainer.n_steps, explainer.method = 9, "simpson"
    found = explainer.explain(TABLE, target=1)
    assert found.params == found.meta["params"] == explainer.meta["params"]
    assert (found.params["n_steps"], found.params["method"]) == (9, "simpson")
    explainer.n_steps = 5
    assert found.params["n_steps"] == 9
    assert DEFAULT_META_INTGRAD["params"] == {}


def test_results_are_read_by_attribute_and_by_item() -> None:
    found = nets.ours(nets.tabular(), TABLE, target=1)
    assert found["data"] is found.data
    assert found["meta"]["name"] == found.name == "IntegratedGradients"
    assert found["attributions"] is found.attributions is found.data["attributions"]
    for get in (lambda: found.nothing, lambda: found["nothing"]):
        with pytest.raises(AttributeError, match="nothing"):
            get()
    assert {"deltas", "name"} <= set(dir(found))
    assert "'deltas': array(" in repr(found)
    assert copy.deepcopy(found).deltas.tolist() == found.deltas.tolist()


def test_results_can_be_written_to() -> None:
    found = nets.ours(nets.tabular(), TABLE, target=1)
    for array in (*found.attributions, found.baselines, found.predictions, found.deltas, found.target):
        assert array.flags.writeable
        assert array.base is None or array.base is not TABLE


def test_json_of_several_inputs_and_of_none() -> None:
    found = Explanation({"a": None}, {"x": [np.zeros((0, 3), np.float16), np.array([[True]])], "y": {"z": np.int64(3)}})
    again = Explanation.from_json(found.to_json())
    assert [(a.dtype, a.shape) for a in again.x] == [(np.float16, (0, 3)), (np.bool_, (1, 1))]
    assert again.y == {"z": 3}
    for text in ("", "[]", '{"meta": {}}', '{"meta": {}, "data": {}, "arrays": [[["data", "x"], "<f4", [1]]]}'):
        with pytest.raises(SaveFileError, match="expected the JSON of an explanation"):
            Explanation.from_json(text)


# --- steps ---------------------------------------------------------------------------------------------------------
def test_as_many_steps_as_it_takes() -> None:
    keras.utils.set_random_seed(1)
    rough = keras.Sequential([keras.Input((4,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1)])
    loose, tight = (
        nets.ours(rough, TABLE, ctor={"n_steps": "auto", "rtol": rtol}, baselines=0.5) for rtol in (0.05, 0.002)
    )
    exact = nets.ours(rough, TABLE, ctor={"n_steps": 4000, "method": "riemann_middle"}, baselines=0.5).attributions[0]
    for found, rtol in ((loose, 0.05), (tight, 0.002)):
        off = np.abs(found.attributions[0] - exact).sum(axis=1)
        assert found.converged.all()
        assert (off <= rtol * np.abs(exact).sum(axis=1)).all()
    assert loose.n_evals.sum() < tight.n_evals.sum()
    assert "n_evals" not in nets.ours(rough, TABLE).data
    assert tight.params["n_steps"] == "auto"
    assert tight.params["rtol"] == 0.002
    line = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    found = nets.ours(line, TABLE, ctor={"n_steps": "auto", "method": "exact"})
    close(found.attributions, [TABLE * line.layers[0].kernel.numpy()[:, 0]], atol=1e-6)


@pytest.mark.parametrize("steps", [0, -3, 2.5, True, None, "many"])
def test_steps_that_no_rule_has(steps: Any) -> None:
    explainer = IntegratedGradients(nets.tabular(), n_steps=steps)
    with pytest.raises(AssertionError, match="at least 1") as raised:
        explainer.explain(TABLE, target=1)
    assert isinstance(raised.value, InputError)


def test_other_options_that_are_wrong() -> None:
    with pytest.raises(ValueError, match="unknown method 'foo'"):
        nets.ours(nets.tabular(), TABLE, target=1, ctor={"method": "foo"})
    with pytest.raises(ValueError, match="unknown quirks 'captum'"):
        IntegratedGradients(nets.tabular(), quirks="captum")
    with pytest.raises(TypeError, match="layer"):
        IntegratedGradients(nets.tabular(), layer=2.5)
    with pytest.raises(ValueError, match="not part of it"):
        IntegratedGradients(nets.tabular(), layer=layers.Dense(2))
    with pytest.raises(ValueError, match="got both"):
        nets.ours(nets.tabular(), TABLE, target=1, ctor={"target_fn": partial(np.argmax, axis=1)})
    for function, message in ((lambda p: p, "one class per sample"), (lambda p: p[:, 0], "whole numbers; got float32")):
        with pytest.raises(ValueError, match=message):
            nets.ours(nets.tabular(), TABLE, ctor={"target_fn": function})
    with pytest.raises(ValueError, match="expected an array") as raised:
        nets.ours(nets.tabular(), "text", target=1)
    assert isinstance(raised.value, InputTypeError)


def test_forward_kwargs_are_a_dict() -> None:
    with pytest.raises(TypeError, match="forward_kwargs= as a dict; got list") as raised:
        nets.ours(nets.tabular(), TABLE, forward_kwargs=[1], target=1)
    assert isinstance(raised.value, ValueError)


# --- what can be explained -----------------------------------------------------------------------------------------
def test_a_list_of_one_array_is_a_list() -> None:
    found = nets.ours(nets.tabular(), [TABLE], baselines=[0.5], target=1)
    close(found.attributions, nets.ours(nets.tabular(), TABLE, baselines=0.5, target=1).attributions, atol=0)
    assert [part.shape for part in found.baselines] == [TABLE.shape]
    a = keras.Input((4,))
    listed = keras.Model([a], layers.Dense(1)(a))
    assert len(nets.ours(listed, [TABLE]).attributions) == 1


def test_functions_of_tensors() -> None:
    model = nets.tabular()
    wanted = nets.ours(model, TABLE, target=1).attributions
    for function in (tf.function(model), lambda x: model(x)):
        close(nets.ours(function, TABLE, target=1).attributions, wanted, atol=1e-6)


def test_a_layer_takes_as_many_steps_as_it_needs() -> None:
    model = nets.imdb()
    found = nets.ours(model, TOKENS, target=1, ctor={"layer": nets.embedding, "n_steps": "auto"})
    close(found.attributions, nets.ours(model, TOKENS, target=1, ctor={"layer": nets.embedding}).attributions, 1e-5)
    assert found.converged.all()
    assert found.n_evals.max() < 50


def test_baselines_are_averaged_and_shown_as_their_mean() -> None:
    starts = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    for side in (nets.ours, nets.theirs):  # which of them a row goes with, nobody has said
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
            side(nets.tabular(), TABLE, baselines=starts, target=1)
    found = nets.ours(nets.tabular(), TABLE, baselines=pyig.several(starts), target=1)
    each = [nets.ours(nets.tabular(), TABLE, baselines=start, target=1).attributions[0] for start in starts]
    close(found.attributions, [np.mean(each, axis=0)], atol=1e-6)
    np.testing.assert_allclose(found.baselines, np.tile(starts.mean(axis=0), (5, 1)), rtol=1e-6)


def test_random_baselines_are_drawn_once_and_leave_global_generators_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the global one
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    found = nets.ours(model, TABLE, baselines="uniform")
    close(found.attributions, [(TABLE - found.baselines) * model.layers[0].kernel.numpy()[:, 0]], atol=1e-6)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# --- rows of a call ------------------------------------------------------------------------------------------------
class Spy(layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def call(self, x: Any) -> Any:
        self.rows.append(x.shape[0])
        return x


def rows(**ctor: Any) -> list[int]:
    spy = Spy()
    model = keras.Sequential([keras.Input((4,)), spy, layers.Dense(3, "tanh")])
    model.run_eagerly = True  # a graph would hide the calls
    spy.rows.clear()
    nets.ours(model, np.tile(TABLE, (40, 1)), target=1, ctor=ctor)
    return spy.rows


def test_a_batch_size_that_was_chosen_is_kept() -> None:
    assert max(rows(n_steps=10, internal_batch_size=16)) == 16
    assert max(rows(n_steps=10, internal_batch_size=100)) == 100
    assert max(rows(n_steps=10)) == max(rows(n_steps=10, internal_batch_size="auto")) > 100
    assert IntegratedGradients(nets.tabular()).meta["params"]["internal_batch_size"] == 100


def test_more_steps_are_no_larger_calls() -> None:
    few, many = rows(n_steps=30), rows(n_steps=300)
    assert max(many) <= 4 * max(few)
    assert sum(many) - sum(few) == 270 * 200


# --- other models, files -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("layer", ["object", "callable", "name", "nested"])
def test_another_predictor_is_explained_at_the_same_layer(layer: str) -> None:
    old, new = nested(), nested()
    new.layers[1].layers[0].set_weights([-w for w in new.layers[1].layers[0].get_weights()])
    given = {
        "object": old.layers[1],
        "callable": lambda m: m.layers[1],
        "name": "block/deep",
        "nested": old.layers[1].layers[0],
    }[layer]
    explainer = IntegratedGradients(old, given)
    first = explainer.explain(TABLE, target=1)
    explainer.reset_predictor(new)
    second = explainer.explain(TABLE, target=1)
    assert explainer.layer in (new.layers[1], new.layers[1].layers[0])
    wanted = new(TABLE).numpy() - new(0 * TABLE).numpy()
    np.testing.assert_allclose(second.attributions[0].sum(axis=1), wanted[:, 1], rtol=0, atol=1e-5)
    assert np.abs(second.attributions[0] - first.attributions[0]).max() > 1e-3


@pytest.mark.parametrize(
    "layer",
    [None, nets.embedding, lambda m: m.layers[0], "embedding_of_words", 0],
    ids=["none", "function", "lambda", "name", "object"],
)
def test_an_explainer_is_read_again(tmp_path: Path, layer: Any) -> None:
    def make(weight: float) -> Any:
        model = nets.imdb()
        model.layers[0].name = "embedding_of_words"
        model.layers[0].set_weights([weight * w for w in model.layers[0].get_weights()])
        return model

    model = make(1) if layer is not None else nets.tabular()
    x = TOKENS if layer is not None else TABLE
    explainer = IntegratedGradients(
        model, model.layers[0] if layer == 0 else layer, partial(np.argmax, axis=1), n_steps=7
    )
    save_explainer(explainer, tmp_path / "new" / "folder")
    again = load_explainer(tmp_path / "new" / "folder", model)
    assert again.meta["params"]["n_steps"] == 7
    assert again.layer is explainer.layer
    close(again.explain(x).attributions, explainer.explain(x).attributions, atol=0)
    if layer is not None:
        other = make(2)
        moved = IntegratedGradients.load(tmp_path / "new" / "folder", other)
        assert moved.layer is other.layers[0]


def test_a_file_holds_no_code(tmp_path: Path) -> None:
    model = nets.tabular()
    for function in (lambda p: p, partial(np.take, 3), partial(np.argmax, axis=(1,))):
        with pytest.raises(SerializationError, match="target_fn= as a function of a module"):
            IntegratedGradients(model, target_fn=function).save(tmp_path)
    function = tf.function(model)
    with pytest.raises(SerializationError, match=r"a name, or a layer that model\.layers leads to"):
        IntegratedGradients(function, model.layers[0]).save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    explainer = IntegratedGradients(model, nets.embedding, partial(np.argmax, axis=1))
    explainer.save(tmp_path)
    entry = json.loads((tmp_path / "explainer.json").read_text())
    assert entry["layer"] == {"callable": f"{nets.__name__}:embedding"}
    assert entry["target_fn"] == {"function": "numpy:argmax", "keywords": {"axis": 1}}


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    model = nets.tabular()
    file = tmp_path / "explainer.json"
    explainer = IntegratedGradients(model, model.layers[1])
    explainer.save(tmp_path)
    good = json.loads(file.read_text())
    with pytest.raises(SerializationError, match=r"a layer at position \[1\]"):
        load_explainer(tmp_path, keras.Sequential([keras.Input((4,)), layers.Dense(3)]))
    for change, message in (
        ({"layer": {"callable": "antigravity:fly"}}, "Import its module first, or pass layer= to load"),
        ({"format": "x"}, "expected the format"),
        ({"version": 2}, "by a newer pyig"),
    ):
        file.write_text(json.dumps({**good, **change}))
        with pytest.raises(SerializationError, match=message) as raised:
            load_explainer(tmp_path, model)
        assert isinstance(raised.value, PyigError)
    file.write_text(json.dumps({**good, "layer": {"callable": "antigravity:fly"}}))
    assert load_explainer(tmp_path, model, layer=model.layers[0]).layer is model.layers[0]
    file.write_text("{")
    with pytest.raises(SerializationError, match="is damaged"):
        load_explainer(tmp_path, model)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        load_explainer(tmp_path, model)
    (tmp_path / "explainer.dill").write_bytes(b"")
    with pytest.raises(SerializationError, match="saved by alibi, as pickled code"):
        load_explainer(tmp_path, model)
