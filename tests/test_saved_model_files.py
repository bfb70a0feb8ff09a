"""Damaged SavedModels, and ones that would do more than compute: each a clear error, and nothing is run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras")

import saved_model_oddities as odd  # noqa: E402 - behind the check that TensorFlow is there
import saved_models  # noqa: E402

from pyig import artifacts  # noqa: E402
from pyig.artifacts import saved_model_file  # noqa: E402
from pyig.artifacts.saved_model import SavedModel, SavedModelOpener  # noqa: E402
from pyig.errors import InputError, ModelError, PyigError  # noqa: E402


@pytest.fixture
def net(tmp_path: Path) -> Path:
    odd.Net().save(tmp_path / "model")
    return tmp_path / "model"


def garbage(directory: Path) -> None:
    (directory / "saved_model.pb").write_bytes(os.urandom(500))


def empty(directory: Path) -> None:
    (directory / "saved_model.pb").write_bytes(b"")


def truncated(directory: Path) -> None:
    whole = (directory / "saved_model.pb").read_bytes()
    (directory / "saved_model.pb").write_bytes(whole[: len(whole) // 2])


def no_variables(directory: Path) -> None:
    for file in (directory / "variables").iterdir():
        file.unlink()


def half_variables(directory: Path) -> None:
    file = next((directory / "variables").glob("*.data*"))
    file.write_bytes(file.read_bytes()[:10])


@pytest.mark.parametrize("damage", [garbage, empty, truncated, no_variables, half_variables])
def test_a_damaged_directory_is_said_to_be_damaged(net: Path, damage: Callable[[Path], None]) -> None:
    assert SavedModel.load(net).signature().key == "serving_default"
    damage(net)
    with pytest.raises(PyigError, match=r"expected a SavedModel.*damaged") as caught:
        SavedModel.load(net)
    assert isinstance(caught.value, InputError | ModelError)
    assert "Traceback" not in str(caught.value)


def test_a_module_without_signature_cannot_be_called_by_name(tmp_path: Path) -> None:
    tf.saved_model.save(odd.Net(), str(tmp_path))
    with pytest.raises(InputError, match=r"has no signature\. Save it again with tf\.saved_model\.save"):
        artifacts.load(tmp_path, "saved_model")


def test_the_opener_knows_a_directory_by_its_file(net: Path, tmp_path: Path) -> None:
    assert SavedModelOpener.recognises(net)
    assert not SavedModelOpener.recognises(tmp_path)
    with pytest.raises(InputError, match="unknown saved_model option 'signatur'; did you mean 'signature'"):
        artifacts.load(net, "saved_model", signatur="serve")


def writing(marker: Path) -> Callable[[Any], dict[str, Any]]:
    def function(x: Any) -> dict[str, Any]:
        tf.io.write_file(str(marker), "boo")
        return {"y": x * 2.0}

    return function


def test_a_model_that_writes_files_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    odd.save_function(tmp_path / "m", writing(marker), x=([None, 1], tf.float32))
    marker.unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"reach out of the model \(WriteFile\).*trust=True"):
        artifacts.load(tmp_path / "m", "saved_model")
    assert not marker.exists()
    trusted = SavedModel.load(tmp_path / "m", trust=True)
    np.testing.assert_array_equal(trusted.cut().predict({"x": np.ones((1, 1))}), [[2.0]])
    trusted.loaded.signatures["serving_default"](x=tf.ones((1, 1)))
    assert marker.exists()  # so the payload was a live one


def test_a_graph_that_writes_when_it_starts_is_not_loaded(tmp_path: Path) -> None:
    v1, marker = tf.compat.v1, tmp_path / "marker"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 1], name="x")
        y = x * 2.0
        with tf.control_dependencies([tf.io.write_file(str(marker), "boo")]):
            start = tf.group(name="start")
        builder = v1.saved_model.Builder(str(tmp_path / "m"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, main_op=start)
        builder.save()
    assert not marker.exists()
    with pytest.raises(InputError, match=r"\(WriteFile\)"):
        SavedModel.load(tmp_path / "m")
    assert not marker.exists()
    SavedModel.load(tmp_path / "m", trust=True)
    assert marker.exists()


def test_checkpoints_are_written_by_the_saver_alone(tmp_path: Path) -> None:
    def function(x: Any) -> dict[str, Any]:
        tf.raw_ops.SaveV2(prefix=str(tmp_path / "stolen"), tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        return {"y": x * 2.0}

    odd.save_function(tmp_path / "bad", function, x=([None, 1], tf.float32))
    assert saved_model_file.read(tmp_path / "bad").outside == ("SaveV2",)
    odd.Net().save(tmp_path / "good")
    assert saved_model_file.read(tmp_path / "good").outside == ()
    saved_models.zip_code_graph(tmp_path / "flat")
    assert saved_model_file.read(tmp_path / "flat").outside == ()


def test_python_in_a_graph_is_not_called(tmp_path: Path) -> None:
    def function(x: Any) -> dict[str, Any]:
        return {"y": tf.numpy_function(lambda a: a * 2, [x], tf.float32)}

    odd.save_function(tmp_path, function, x=([None, 1], tf.float32))
    with pytest.raises(InputError, match=r"PyFunc"):
        SavedModel.load(tmp_path)
