"""What else may be in the graph of a SavedModel: loops, branches, state, scalars, sparse tensors, functions apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras")

import saved_model_oddities as odd  # noqa: E402 - behind the check that TensorFlow is there
import saved_models  # noqa: E402

import pyig  # noqa: E402
from pyig import artifacts  # noqa: E402
from pyig.artifacts.saved_model import SavedModel  # noqa: E402
from pyig.errors import InputError  # noqa: E402


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


def test_gradients_of_its_own_are_noted(tmp_path: Path, net: Path) -> None:
    saved_models.silu().save(tmp_path)
    assert "custom gradients in the model: 1" in SavedModel.load(tmp_path).cut().notes[0]
    assert SavedModel.load(net).cut({"ids": "emb"}).notes == ()


def test_what_a_model_writes_is_still_written(tmp_path: Path) -> None:
    module = tf.Module()
    module.calls = tf.Variable(0.0)

    def count(x: Any) -> dict[str, Any]:
        module.calls.assign_add(1.0)
        return {"y": x * module.calls}

    odd.save_function(tmp_path, count, module, x=([None, 1], tf.float32))
    cut = SavedModel.load(tmp_path).cut()
    assert [float(cut.predict({"x": [[1.0]]})[0, 0]) for _ in range(3)] == [1.0, 2.0, 3.0]


def test_an_explanation_leaves_variables_as_they_were(tmp_path: Path) -> None:
    module = tf.Module()
    module.calls = tf.Variable(0.0)

    def count(x: Any) -> dict[str, Any]:
        module.calls.assign_add(1.0)
        return {"y": x * 2.0 + 0.0 * module.calls}

    odd.save_function(tmp_path, count, module, x=([None, 1], tf.float32))
    model = SavedModel.load(tmp_path)
    cut = model.cut()
    pyig.IntegratedGradients(cut.model()).explain(cut.encode({"x": np.ones((2, 1))}), n_steps=5)
    assert [float(variable) for variable in cut.model().variables] == [0.0]
    cut.predict({"x": [[1.0]]})
    assert [float(variable) for variable in cut.model().variables] == [1.0]


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"experimental_attributes": {"_noinline": True}}])
def test_functions_that_want_to_stay_apart_are_inlined(tmp_path: Path, options: dict[str, Any]) -> None:
    inner = tf.function(lambda x: tf.math.tanh(x, name="deep") * 3.0, **options)
    odd.save_function(tmp_path, lambda x: {"y": inner(x)}, x=([None, 2], tf.float32))
    cut = SavedModel.load(tmp_path).cut({"x": "deep"})
    _, grads = odd.slopes(cut, {"x": [[0.5, 1.0]]})
    np.testing.assert_array_equal(grads["x"], [[3.0, 0.0]])


def test_branches_and_loops_have_gradients(tmp_path: Path) -> None:
    @tf.function
    def power(x: Any) -> Any:
        total = tf.ones_like(x)
        for _ in tf.range(3):
            total = total * x
        return total

    def function(x: Any) -> dict[str, Any]:
        cubed = power(tf.identity(x, name="inside"))
        return {"y": tf.cond(tf.reduce_sum(x) > 0.0, lambda: cubed, lambda: -2.0 * cubed)}

    odd.save_function(tmp_path, function, x=([None, 1], tf.float32))
    cut = SavedModel.load(tmp_path).cut({"x": "inside"})
    _, grads = odd.slopes(cut, {"x": [[2.0], [3.0]]})
    np.testing.assert_allclose(grads["x"], [[12.0], [27.0]], rtol=1e-6)
    _, grads = odd.slopes(cut, {"x": [[-2.0], [-3.0]]})
    np.testing.assert_allclose(grads["x"], [[-24.0], [-54.0]], rtol=1e-6)


def test_an_input_that_also_passes_by_its_encoding_is_noted(tmp_path: Path) -> None:
    table = tf.constant([[0.0], [2.0], [3.0]])

    def function(ids: Any) -> dict[str, Any]:
        embedded = tf.gather(table, ids, name="emb")
        return {"y": tf.reduce_sum(embedded * tf.cast(ids > 1, tf.float32)[..., None], axis=1)}

    odd.save_function(tmp_path, function, ids=([None, 2], tf.int64))
    cut = SavedModel.load(tmp_path).cut({"ids": "emb"})
    assert list(cut.fixed) == ["ids (as given)"]
    assert cut.notes == ("also used past the encoding, and held fixed there: ids",)
    rows = {"ids": np.array([[1, 2], [2, 2]])}
    np.testing.assert_array_equal(cut.predict(rows), [[3.0], [6.0]])
    artifact = artifacts.load(tmp_path, "saved_model", encoded={"ids": "emb"})
    found = artifact.explain(rows)
    np.testing.assert_array_equal(found.attributions["ids"], [[0.0, 3.0], [3.0, 3.0]])
    assert cut.notes[0] in found.meta["notes"]
    for start, wanted in ((2, [3.0, 6.0]), (0.5, [0.5, 1.0]), ([2, 1], [2.0, 5.0])):  # masks are those of x
        assert artifact.explain(rows, baselines={"ids": start}).baseline_values.tolist() == wanted


def test_scalars_and_defaults(tmp_path: Path) -> None:
    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        v1 = tf.compat.v1
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        keep = v1.placeholder_with_default(tf.constant(0.5), [], name="keep")
        return {"x": x, "keep": keep}, {"y": tf.math.tanh(x) * keep}

    odd.save_graph(tmp_path / "m", build)
    cut = SavedModel.load(tmp_path / "m").cut()
    x = np.array([[1.0, -1.0]])
    np.testing.assert_allclose(cut.predict({"x": x}), np.tanh(x) / 2, rtol=1e-6)
    np.testing.assert_allclose(cut.predict({"x": x, "keep": 1.0}), np.tanh(x), rtol=1e-6)
    assert set(cut.encoded) == {"x"}
    still = cut.still({"x": x})
    found = pyig.IntegratedGradients(cut.model(still)).explain(cut.encode({"x": x}), target=0, rtol=1e-4)
    np.testing.assert_allclose(found.attributions["x"], [[np.tanh(1.0) / 2, 0.0]], atol=1e-4)


def test_sparse_inputs_are_fed_in_three_parts(tmp_path: Path) -> None:
    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        sparse = tf.compat.v1.sparse_placeholder(tf.int64, [None, None], name="ids")
        table = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        encoded = tf.identity(tf.nn.embedding_lookup_sparse(table, sparse, None, combiner="sum"), name="encoded")
        return {"ids": sparse}, {"y": tf.reduce_sum(encoded**2, axis=1)}

    odd.save_graph(tmp_path / "m", build)
    model = SavedModel.load(tmp_path / "m")
    assert set(model.signature().inputs) == {"ids/indices", "ids/values", "ids/dense_shape"}
    cut = model.cut({"ids/values": "encoded"})
    rows = {"ids/indices": [[0, 0], [0, 1], [1, 0]], "ids/values": [0, 2, 1], "ids/dense_shape": [2, 2]}
    np.testing.assert_allclose(cut.predict(rows), [36 + 64, 25])
    values = cut.encode(rows)
    np.testing.assert_allclose(values["ids/values"], [[6.0, 8.0], [3.0, 4.0]])
    np.testing.assert_allclose(cut.tail(values), [100, 25])


def test_fetch_takes_any_tensor_and_only_what_it_needs(zips: tuple[Any, Path]) -> None:
    case, directory = zips
    cut = SavedModel.load(directory).cut(case.encoded)
    ids = cut.fetch({"zip_codes": case.rows["zip_codes"]}, {"ids": "zip_ids:0"})["ids"]
    assert ids.tolist() == [[0, 2], [1, -1], [3, -1]]
    assert cut.fetch({}, {"table": "embedding/Read/ReadVariableOp:0"})["table"].shape == (4, 3)
    with pytest.raises(InputError, match="unknown tensor 'zip_idz:0'; did you mean 'zip_ids:0'"):
        cut.fetch({}, {"ids": "zip_idz:0"})


@pytest.mark.parametrize("resource", [True, False])
def test_control_flow_of_tf1_has_gradients(tmp_path: Path, resource: bool) -> None:
    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        v1 = tf.compat.v1
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        scaled = tf.identity(x * 2.0, name="scaled")
        w = v1.get_variable("w", initializer=[1.0, 2.0], use_resource=resource)
        v1.disable_control_flow_v2()
        try:
            _, y = v1.while_loop(lambda i, t: i < 2, lambda i, t: (i + 1, t * scaled * w), [0, tf.ones_like(scaled)])
        finally:
            v1.enable_control_flow_v2()
        return {"x": x}, {"y": y}

    odd.save_graph(tmp_path / "m", build)
    cut = SavedModel.load(tmp_path / "m").cut({"x": "scaled"})
    rows = {"x": [[1.0, 2.0], [0.5, 1.0]]}
    np.testing.assert_allclose(cut.predict(rows), [[4.0, 64.0], [1.0, 16.0]])
    _, grads = odd.slopes(cut, rows, column=1)
    np.testing.assert_allclose(grads["x"], [[0.0, 32.0], [0.0, 16.0]])
    found = pyig.IntegratedGradients(cut.model()).explain(cut.encode(rows), target=1, rtol=1e-4)
    np.testing.assert_allclose(found.attributions["x"], [[0.0, 64.0], [0.0, 16.0]], rtol=1e-4)
