"""Keras files that are damaged or hold more than layers: each a clear error, and nothing of them is run."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")

from pyig import artifacts  # noqa: E402 - behind the check that Keras is there
from pyig.artifacts import keras_archive, keras_trust  # noqa: E402
from pyig.artifacts.keras_file import KerasOpener  # noqa: E402
from pyig.errors import InputError, ModelError, PyigError  # noqa: E402

# Keras 3 writes and reads its weights in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FORMATS = ("keras", "h5")
layers = keras.layers


def load(path: Path, **options: Any) -> Any:
    return artifacts.load(path, "keras", **options)


@pytest.fixture(scope="module")
def risk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(5, "relu"), layers.Dense(1, "sigmoid", name="risk")])
    path = tmp_path_factory.mktemp("risk") / "model.keras"
    model.save(path)
    return path


# --- what a file may hold besides ------------------------------------------------------------------------------------
def payload(library: Any, marker: Path) -> Any:
    function = eval(f"lambda x: (__import__('pathlib').Path({str(marker)!r}).write_text('boo'), x * 2.0)[1]")
    inner = library.layers.Lambda(function, output_shape=(2,), name="payload")
    return library.Sequential([library.layers.InputLayer((2,), name="x"), inner, library.layers.Dense(1)])


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
@pytest.mark.filterwarnings("ignore")  # each Keras says in its own way that a lambda may not be read again
def test_code_in_a_file_is_not_run(tmp_path: Path, library: str, ending: str) -> None:
    module = keras if library == "keras" else pytest.importorskip("tf_keras")
    marker, path = tmp_path / "marker", tmp_path / f"m.{ending}"
    payload(module, marker).save(path)
    marker.unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"'payload', a Lambda with Python code.*Nothing of it was run.*trust=True"):
        load(path)
    assert not marker.exists()
    trusted = load(path, trust=True)
    trusted.predict(np.ones((1, 2)))
    assert marker.exists()  # so the payload was a live one


def dense(**changes: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 1}, **changes}


FOREIGN = [
    (dense(class_name="Lambda"), "a Lambda with Python code"),
    (dense(class_name="TorchModuleWrapper"), "with a pickle"),
    (dense(class_name="TFSMLayer"), "another model by its path"),
    (dense(module="os", class_name="system"), "the class 'system' of the module 'os'"),
    (dense(module=None, registered_name="Mine>Dense"), "the class 'Mine>Dense'"),
    (dense(config={"name": "d", "function_type": "lambda"}), "with Python code"),
    (dense(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}), "read from '/etc/passwd'"),
    (
        dense(config={"activation": {"module": "os", "class_name": "function", "config": "system"}}),
        "the function 'system' of the module 'os'",
    ),
    (
        dense(config={"activation": {"module": "keras.utils", "class_name": "function", "config": "get_file"}}),
        "the function 'get_file' of the module 'keras.utils'",
    ),
    (
        {"class_name": "TFOpLambda", "config": {"name": "op", "function": "io.write_file"}},
        "'op', which calls tf.io.write_file",
    ),
    (
        {"class_name": "ClassMethod", "config": {"name": "op", "cls_symbol": "io.gfile.GFile"}},
        "'op', which calls tf.io.gfile.GFile",
    ),
    *[
        ({"class_name": "TFOpLambda", "config": {"name": "op", "function": name}}, f"'op', which calls tf.{name}")
        for name in ("raw_ops.WriteFile", "load_op_library", "keras.utils.get_file", "compat.v1.py_func", "print")
    ],
]
FINE = [
    dense(),
    dense(module="tf_keras.src.layers.core.dense"),
    {"class_name": "Dense", "config": {"name": "d", "activation": "relu"}},
    {"class_name": "TFOpLambda", "config": {"name": "op", "function": "math.reduce_sum"}},
    {"class_name": "TFOpLambda", "config": {"name": "op", "function": "compat.v1.gather"}},
    {"class_name": "TFOpLambda", "config": {"name": "op", "function": "reshape"}},
    {"class_name": "SlicingOpLambda", "config": {"name": "op", "function": "__operators__.getitem"}},
    {"class_name": "ClassMethod", "config": {"name": "op", "cls_symbol": "RaggedTensor"}},
    dense(config={"activation": {"module": "keras.activations", "class_name": "function", "config": "relu"}}),
    dense(config={"activation": {"module": "builtins", "class_name": "function", "config": "relu"}}),
    dense(class_name="StringLookup", config={"vocabulary": ["a", "b"]}),
]


def in_archive(config: dict[str, Any]) -> keras_archive.Archive:
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
    return keras_archive.Archive("keras", "3.0", model, ())


@pytest.mark.parametrize(("config", "says"), FOREIGN)
def test_what_is_more_than_layers_is_found(config: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match="holds more than layers and weights") as caught:
        keras_trust.check(in_archive(config), "m.keras", {})
    assert says in str(caught.value)


@pytest.mark.parametrize("config", FINE)
def test_layers_alone_are_let_in(config: dict[str, Any]) -> None:
    keras_trust.check(in_archive(config), "m.keras", {})


def test_what_the_user_vouches_for_is_let_in() -> None:
    mine = dense(module="mine", registered_name="Mine>Layer", class_name="Layer")
    with pytest.raises(InputError, match="the class 'Layer' of the module 'mine'"):
        keras_trust.check(in_archive(mine), "m.keras", {"Other": object})
    keras_trust.check(in_archive(mine), "m.keras", {"Layer": object})
    with pytest.raises(InputError, match="Lambda"):
        keras_trust.check(in_archive(dense(class_name="Lambda")), "m.keras", {"Lambda": object, "d": object})


def rewritten(path: Path, change: Callable[[str, bytes], tuple[str, bytes]], extra: tuple[str, ...] = ()) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [change(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in [*members, *((name, b"boo") for name in extra)]:
            archive.writestr(name, data)


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "assets/../../evil.txt", "..\\evil.txt", "C:\\e.txt"])
def test_members_outside_the_archive_are_refused(risk: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "inner" / "m.keras"
    path.parent.mkdir()
    path.write_bytes(risk.read_bytes())
    rewritten(path, lambda name, data: (name, data), ("assets/fine.txt",))
    assert load(path).predict(np.ones((1, 3))).shape == (1, 1)
    rewritten(path, lambda name, data: (name, data), (name,))
    with pytest.raises(InputError, match="would be written outside"):
        load(path)
    assert not (tmp_path / "evil.txt").exists()


def test_weights_of_another_file_are_refused(tmp_path: Path) -> None:
    keras.Sequential([layers.Input((2,)), layers.Dense(1)]).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(3)
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["linked"] = h5py.ExternalLink("other.h5", "/secret")
    with pytest.raises(InputError, match=r"data of another file \(linked -> other.h5\)"):
        load(tmp_path / "m.h5")


# --- damage ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.9])
def test_a_truncated_file_is_said_to_be_damaged(tmp_path: Path, ending: str, kept: float) -> None:
    path = tmp_path / f"m.{ending}"
    keras.Sequential([layers.Input((30,)), layers.Dense(50), layers.Dense(1)]).save(path)
    assert load(path).predict(np.ones((1, 30))).shape == (1, 1)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(PyigError, match="cannot be") as caught:
        load(path)
    assert "The file is damaged" in str(caught.value) or isinstance(caught.value, ModelError)


def test_a_damaged_member_is_found(risk: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(risk.read_bytes())
    rewritten(path, lambda name, data: (name, b"{" if name == "config.json" else data))
    with pytest.raises(InputError, match="The file is damaged"):
        load(path)
    rewritten(path, lambda name, data: ("other.json" if name == "config.json" else name, data))
    with pytest.raises(InputError, match=r"no item named 'config\.json'"):
        load(path)


@pytest.mark.parametrize(
    ("member", "content", "words"),
    [
        ("config.json", b"[]", "its config is a list"),
        ("config.json", b'"Sequential"', "its config is a str"),
        ("metadata.json", b"[]", r"it names '\[\]' as its version"),
        ("metadata.json", b'{"keras_version": "three"}', "it names 'three' as its version"),
    ],
)
def test_a_member_that_is_something_else(risk: Path, tmp_path: Path, member: str, content: bytes, words: str) -> None:
    path = tmp_path / "m.keras"
    path.write_bytes(risk.read_bytes())
    rewritten(path, lambda name, data: (name, content if name == member else data))
    with pytest.raises(InputError, match=words):
        load(path)


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(InputError, match="holds weights alone"):
        load(tmp_path / "m.weights.h5")


def test_the_opener_knows_files_by_their_ends(risk: Path, tmp_path: Path) -> None:
    assert KerasOpener.recognises(risk)
    (tmp_path / "m.h5").mkdir()
    assert not KerasOpener.recognises(tmp_path / "m.h5")
    assert not KerasOpener.recognises(tmp_path / "m.pt")
    with pytest.raises(InputError, match="unknown keras option 'layers'; did you mean 'layer'"):
        load(risk, layers="emb")
