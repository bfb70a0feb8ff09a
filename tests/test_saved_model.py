"""SavedModels of both generations, cut by tensor names: the same values and gradients as the live model."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras")

import saved_model_oddities as odd  # noqa: E402 - behind the check that TensorFlow is there
import saved_models  # noqa: E402

import pyig  # noqa: E402
from pyig.artifacts.saved_model import SavedModel  # noqa: E402
from pyig.errors import InputError, InputTypeError, ModelError  # noqa: E402


@pytest.fixture(scope="module", params=list(saved_models.CASES))
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    case = saved_models.CASES[request.param]()
    directory = tmp_path_factory.mktemp("saved") / "model"
    case.save(directory)
    return case, directory


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("net") / "model"
    odd.Net().save(directory)
    return directory


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    case = saved_models.zip_codes()
    directory = tmp_path_factory.mktemp("zips") / "model"
    case.save(directory)
    return case, directory


def test_the_gradient_by_name_is_that_of_the_live_model(saved: tuple[Any, Path]) -> None:
    case, directory = saved
    cut = SavedModel.load(directory).cut(case.encoded)
    encoded, output, gradients = case.direct(0)
    found, grads = odd.slopes(cut, case.rows)
    assert set(found) == set(encoded)
    for name in encoded:
        np.testing.assert_allclose(found[name], encoded[name], atol=1e-6)
        assert np.abs(gradients[name]).max() > 1e-3  # a gradient of zeros would agree with anything
        np.testing.assert_allclose(grads[name], gradients[name], atol=1e-6)
        assert grads[name].dtype == gradients[name].dtype
    np.testing.assert_allclose(cut.predict(case.rows), output, atol=1e-6)


def test_both_parts_together_are_the_signature(saved: tuple[Any, Path]) -> None:
    case, directory = saved
    model = SavedModel.load(directory)
    cut = model.cut(case.encoded)
    signature = model.loaded.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    given = {name: tf.cast(rows, specs[name].dtype) if rows.dtype.kind != "U" else tf.constant(rows)
             for name, rows in case.rows.items()}  # fmt: skip
    wanted = next(iter(signature(**given).values())).numpy()
    np.testing.assert_array_equal(cut.predict(case.rows), wanted)
    np.testing.assert_array_equal(cut.tail(cut.encode(case.rows), cut.still(case.rows)), wanted)


def test_attributions_of_a_cut_complete(saved: tuple[Any, Path]) -> None:
    case, directory = saved
    cut = SavedModel.load(directory).cut(case.encoded)
    found = pyig.IntegratedGradients(cut.model()).explain({**cut.encode(case.rows), **cut.still(case.rows)}, target=0)
    assert found.converged.all()
    assert np.abs(found.deltas).max() <= 0.01 * np.abs(found.values - found.baseline_values).max()


# --- names -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        "StatefulPartitionedCall/StatefulPartitionedCall/emb/Gather:0",
        "StatefulPartitionedCall/StatefulPartitionedCall/emb/Gather",
        "emb/Gather:0",
        "emb/Gather",
        "Gather",
        "emb",
    ],
)
def test_a_tensor_may_be_named_in_short(net: Path, name: str) -> None:
    cut = SavedModel.load(net).cut({"ids": name})
    assert cut.encoded["ids"].tensor_name.endswith("/emb/Gather:0")
    assert cut.encoded["ids"].shape == (None, 2, 2)
    assert set(cut.fixed) == set()


def test_a_number_that_keras_gave_a_layer_may_be_left_out(tmp_path: Path) -> None:
    case = saved_models.embedding()
    case.save(tmp_path)
    model = SavedModel.load(tmp_path)
    for name in ("emb/GatherV2", "emb_1/GatherV2:0"):
        assert model.cut({"ids": name}).encoded["ids"].tensor_name.endswith("/emb_1/GatherV2:0")
    assert model.cut({"ids": "emb"}, "head/Tanh:0").output.tensor_name.endswith("/head_1/Tanh:0")
    with pytest.raises(InputError, match="no tensor 'em/GatherV2'"):
        model.cut({"ids": "em/GatherV2"})
    with pytest.raises(InputError, match="no tensor 'head/Tanh_1'"):
        model.cut({"ids": "emb"}, "head/Tanh_1")


def test_an_unknown_tensor_names_the_near_ones(net: Path) -> None:
    with pytest.raises(InputError, match=r"no tensor 'emb/Gather3' for the encoding of 'ids'; near: \S*emb/Gather:0"):
        SavedModel.load(net).cut({"ids": "emb/Gather3"})


def test_a_name_of_several_tensors_lists_them(tmp_path: Path) -> None:
    table = tf.Variable([[1.0], [2.0], [3.0]])

    def look(a: Any, b: Any) -> dict[str, Any]:
        with tf.name_scope("emb"):
            first = tf.gather(table, a)
        with tf.name_scope("emb"):
            second = tf.gather(table, b)
        return {"y": first * second}

    module = tf.Module()
    module.table = table
    odd.save_function(tmp_path, look, module, a=([None], tf.int64), b=([None], tf.int64))
    model = SavedModel.load(tmp_path)
    with pytest.raises(InputError, match=r"'emb' may mean 2 of them.*emb/Gather:0, \S*emb_1/Gather:0"):
        model.cut({"a": "emb", "b": "emb_1"})
    cut = model.cut({"a": "emb/Gather", "b": "emb_1/Gather"})
    rows = {"a": np.array([0, 1]), "b": np.array([1, 2])}
    np.testing.assert_array_equal(cut.predict(rows), [[2.0], [6.0]])
    _, grads = odd.slopes(cut, rows)
    np.testing.assert_array_equal(grads["a"], [[2.0], [3.0]])


def test_encodings_are_given_by_input(net: Path) -> None:
    with pytest.raises(InputTypeError, match="expected encoded= as a dict from inputs to tensors; got 'emb'"):
        SavedModel.load(net).cut("emb")  # type: ignore[arg-type]


def test_a_tensor_off_the_way_is_refused(net: Path) -> None:
    model = SavedModel.load(net)
    with pytest.raises(ModelError, match="does not depend on 'ids'"):
        model.cut({"ids": "x"})
    with pytest.raises(ModelError, match=r"is not on the way to 'mid/Tanh'"):
        model.cut({"ids": "StatefulPartitionedCall/Softmax"}, output="mid/Tanh")
    with pytest.raises(ModelError, match=r"to which gradients can flow; 'ids:0' is int64.*emb/Gather:0"):
        model.cut({"ids": "ids"})
    with pytest.raises(InputError, match="unknown input 'idx'; did you mean 'ids'"):
        model.cut({"idx": "emb"})


def test_an_inner_tensor_may_be_the_output(net: Path, zips: tuple[Any, Path]) -> None:
    cut = SavedModel.load(net).cut({"ids": "emb"}, output="mid/Tanh")
    assert cut.predict(odd.ROWS).shape == (2, 6)
    case, directory = zips
    flat = SavedModel.load(directory)
    logits = flat.cut(case.encoded, output="dense/Logits:0").predict(case.rows)
    np.testing.assert_array_equal(logits, flat.cut(case.encoded, signature="logits").predict(case.rows))
    np.testing.assert_array_equal(logits, flat.cut(case.encoded, "logits", signature="both").predict(case.rows))
    np.testing.assert_allclose(tf.nn.softmax(logits), flat.cut(case.encoded).predict(case.rows), atol=1e-6)


def test_an_output_without_a_gradient_is_refused(net: Path) -> None:
    with pytest.raises(ModelError, match="expected an output of floats"):
        SavedModel.load(net).cut(output="ids")


def test_float_tensors_are_listed_from_front_to_back(net: Path) -> None:
    ends = [tensor.name.rpartition("/")[2] for tensor in SavedModel.load(net).tensors()]
    assert ends[0] == "x"
    assert ends.index("Gather") < ends.index("concat") < ends.index("Tanh") < ends.index("Softmax")
    assert "ids" not in ends


# --- signatures ------------------------------------------------------------------------------------------------------
def test_a_missing_signature_lists_the_keys(zips: tuple[Any, Path]) -> None:
    with pytest.raises(InputError, match=r"unknown signature 'serving'.*Known: both, logits, serving_default"):
        SavedModel.load(zips[1], "serving")
    with pytest.raises(InputError, match=r"expected tags= as one of \('serve',\); got \['train'\]"):
        SavedModel.load(zips[1], tags=["train"])
    with pytest.raises(InputError, match=r"expected output= as one of logits, probabilities"):
        SavedModel.load(zips[1], "both").cut(zips[0].encoded)


def test_signatures_say_what_they_take(zips: tuple[Any, Path], net: Path) -> None:
    both = SavedModel.load(zips[1]).signatures["both"]
    assert [str(tensor) for tensor in both.inputs.values()] == ["x float32 (?, 2)", "zip_codes string (?, ?)"]
    assert {tensor.tensor_name for tensor in both.outputs.values()} == {"dense/Logits:0", "dense/Softmax:0"}
    signature = SavedModel.load(net).signature()
    assert signature.key == "serving_default"
    assert {name: tensor.dtype for name, tensor in signature.inputs.items()} == {"ids": "int64", "x": "float32"}


def test_outputs_keep_their_names(tmp_path: Path) -> None:
    odd.save_function(
        tmp_path, lambda x: {"zeta": x * 2.0, "alpha": x + 1.0, "mid": tf.exp(x)}, x=([None, 2], tf.float32)
    )
    model, x = SavedModel.load(tmp_path), np.array([[0.5, -1.0]], np.float32)
    for name, wanted in {"zeta": x * 2, "alpha": x + 1, "mid": np.exp(x)}.items():
        np.testing.assert_allclose(model.cut(output=name).predict({"x": x}), wanted, rtol=1e-6)


def test_a_graph_without_signatures_is_cut_by_names(tmp_path: Path) -> None:
    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        return {"x": x}, {"y": tf.nn.softmax(x * [1.0, 2.0], name="dense/Softmax")}

    odd.save_graph(tmp_path / "m", build, signed=False)
    model = SavedModel.load(tmp_path / "m")
    cut = model.cut(inputs={"money": "x"}, output="dense/Softmax")
    assert cut.predict({"money": np.zeros((3, 2))}).tolist() == [[0.5, 0.5]] * 3
    with pytest.raises(InputError, match=r"has no signature\. Name tensors of its graph: inputs="):
        model.cut(output="dense/Softmax")
    with pytest.raises(InputError, match=r"no tensor 'z' for input 'money'.*x:0"):
        model.cut(inputs={"money": "z"}, output="dense/Softmax")


# --- what is alive, and what is cached -------------------------------------------------------------------------------
def test_what_was_loaded_lives_as_long_as_a_cut(saved: tuple[Any, Path]) -> None:
    case, directory = saved
    cut = SavedModel.load(directory).cut(case.encoded)
    before = cut.predict(case.rows)
    gc.collect()
    np.testing.assert_array_equal(cut.predict(case.rows), before)
    np.testing.assert_array_equal(cut.tail(cut.encode(case.rows), cut.still(case.rows)), before)


def test_variables_stay_variables(net: Path) -> None:
    model = SavedModel.load(net)
    cut = model.cut({"ids": "emb"})
    before = cut.predict(odd.ROWS)
    constants = [op for op in cut._graph.graph.get_operations() if op.type == "Const" and op.outputs[0].shape.rank == 2]
    assert constants == []
    model.loaded.kernel.assign(-model.loaded.kernel)
    assert np.abs(cut.predict(odd.ROWS) - before).max() > 0.01
    np.testing.assert_array_equal(cut.tail(cut.encode(odd.ROWS)), cut.predict(odd.ROWS))


def test_the_second_part_can_be_traced_and_is_built_once(net: Path) -> None:
    cut = SavedModel.load(net).cut({"ids": "emb"})
    values = cut.encode(odd.ROWS)
    np.testing.assert_allclose(tf.function(cut.tail)(values), cut.tail(values), atol=1e-6)
    programs = dict(cut._graph._programs)
    cut.tail(values)
    assert cut._graph._programs == programs


def test_two_models_with_variables_of_one_name_do_not_meet(tmp_path: Path) -> None:
    found = []
    for seed in (0, 1):
        saved_models.zip_code_graph(tmp_path / str(seed), resource=False, seed=seed)
        found.append(SavedModel.load(tmp_path / str(seed)).cut({"zip_codes": "zip_codes_embedding"}))
    rows = saved_models.zip_codes().rows
    alone = SavedModel.load(tmp_path / "0").cut({"zip_codes": "zip_codes_embedding"}).predict(rows)
    np.testing.assert_array_equal(found[0].predict(rows), alone)
    assert np.abs(found[1].predict(rows) - alone).max() > 0.01


# --- what is given ---------------------------------------------------------------------------------------------------
def test_inputs_are_checked_by_name_shape_and_dtype(net: Path) -> None:
    cut = SavedModel.load(net).cut({"ids": "emb"})
    with pytest.raises(InputError, match=r"missing: ids int64 \(\?, 2\)"):
        cut.predict({"x": odd.ROWS["x"]})
    with pytest.raises(InputError, match="unknown input 'idz'; did you mean 'ids'"):
        cut.predict({**odd.ROWS, "idz": 1})
    with pytest.raises(InputError, match=r"expected x float32 \(\?, 3\); got shape \(2, 2\)"):
        cut.predict({**odd.ROWS, "x": np.zeros((2, 2))})
    with pytest.raises(InputTypeError, match=r"expected whole numbers for ids int64"):
        cut.predict({**odd.ROWS, "ids": np.full((2, 2), 0.5)})
    with pytest.raises(InputTypeError, match=r"expected x float32 \(\?, 3\); got <U1"):
        cut.predict({**odd.ROWS, "x": np.full((2, 3), "a")})
    with pytest.raises(InputError, match=r"tail needs ids int64|tail needs ids float32"):
        cut.tail({"x": tf.constant(odd.ROWS["x"])})


def test_an_input_without_floats_needs_an_encoding(tmp_path: Path) -> None:
    saved_models.words().save(tmp_path)
    with pytest.raises(ModelError, match=r"got words string \(\?, 5\)\. Say which float tensor.*emb_\d+/GatherV2:0"):
        SavedModel.load(tmp_path).cut()
    assert SavedModel.load(tmp_path).cut(gradient=False).encoded == {}
