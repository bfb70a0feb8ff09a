"""Keras files as artifacts: both formats, both generations, and what they may hold besides layers."""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
h5py = pytest.importorskip("h5py")
pd = pytest.importorskip("pandas")

import saved_models  # noqa: E402 - behind the check that TensorFlow is there

from pyig import artifacts  # noqa: E402
from pyig.artifacts import keras_archive, keras_trust  # noqa: E402
from pyig.artifacts.keras_file import KerasOpener  # noqa: E402
from pyig.errors import InputError, MissingPackageError, ModelError, PyigError  # noqa: E402

# Keras 3 writes and reads its weights in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FORMATS = ("keras", "h5")
layers = keras.layers


def load(path: Path, **options: Any) -> Any:
    return artifacts.load(path, "keras", **options)


@pytest.fixture(scope="module", params=[f"{n}.{f}" for n in ("embedding", "words", "silu", "mixed") for f in FORMATS])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    name, _, ending = request.param.partition(".")
    case = saved_models.CASES[name]()
    path = tmp_path_factory.mktemp("keras") / f"model.{ending}"
    case.model.save(path)
    return case, path


@pytest.fixture(scope="module")
def risk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((3,)), layers.Dense(5, "relu"), layers.Dense(1, "sigmoid", name="risk")])
    path = tmp_path_factory.mktemp("risk") / "model.keras"
    model.save(path)
    return path


FRAME = {"age": [0.5, -1.0], "dose": [1.0, 0.25], "rest": [2.0, -0.5]}


# --- the same numbers as the live model ------------------------------------------------------------------------------
def test_a_file_gives_the_outputs_and_gradients_of_the_live_model(saved: tuple[Any, Path]) -> None:
    case, path = saved
    artifact = load(path, encoded=case.encoded) if case.encoded else load(path)
    encoded, output, gradients = case.direct(0)
    np.testing.assert_array_equal(artifact.predict(case.rows), output)
    part = artifact.source.part()
    x, kwargs = part.ends(case.rows)
    values = x if isinstance(x, dict) else {"x": x}
    found = part.explainer().attribute(x, target=0, n_steps=1, method="riemann_right", forward_kwargs=kwargs)
    found = found if isinstance(found, dict) else {"x": found}
    for name in encoded:  # the right end alone: the gradient at x, times x
        np.testing.assert_allclose(np.asarray(values[name]), encoded[name], atol=1e-6)
        np.testing.assert_allclose(np.asarray(found[name]), gradients[name] * np.asarray(encoded[name]), atol=1e-6)
    assert np.abs(gradients[name]).max() > 1e-3


def test_attributions_complete(saved: tuple[Any, Path]) -> None:
    case, path = saved
    found = load(path, encoded=case.encoded or None).explain(case.rows, 0 if case.direct(0)[1].shape[1] > 1 else None)
    total = sum(np.asarray(phi, np.float64).reshape(len(phi), -1).sum(axis=1) for phi in found.attributions.values())
    change = found.values - found.baseline_values
    np.testing.assert_allclose(total, change, atol=0.01 * np.abs(change).max())
    assert set(found.attributions) == set(case.rows)
    assert found.converged.all()


def test_a_layer_stands_for_ids(tmp_path: Path) -> None:
    case = saved_models.mixed()
    case.model.save(tmp_path / "m.keras")
    by_layer = load(tmp_path / "m.keras", layer="emb").explain(case.rows, n_steps=20)
    by_input = load(tmp_path / "m.keras", encoded={"ids": "emb"}).explain(case.rows, n_steps=20)
    for name, phi in by_input.attributions.items():
        np.testing.assert_allclose(by_layer.attributions[name], phi, atol=1e-6)
    assert np.abs(by_layer.attributions["ids"]).max() > 1e-3
    with pytest.raises(InputError, match=r"no tensor 'embb' for layer; near: \S*emb_\d+/GatherV2:0"):
        load(tmp_path / "m.keras", layer="embb").explain(case.rows)
    with pytest.raises(InputError, match="'hidden' is behind ids, numbers, mask"):
        load(tmp_path / "m.keras", layer="hidden").explain(case.rows)


def test_ids_without_a_layer_are_told_which_one(tmp_path: Path) -> None:
    case = saved_models.embedding()
    case.model.save(tmp_path / "m.keras")
    artifact = load(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=r"the model takes ids int32 \(\?, 4\).*layer='emb'"):
        artifact.explain(case.rows)
    assert artifact.predict(case.rows).shape == (2, 2)
    (problem,) = artifact.problems(case.rows)
    assert problem.level == "error"
    assert "layer='emb'" in problem.what


def test_a_mask_that_an_embedding_makes_is_kept(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    ids = keras.Input((4,), dtype="int32", name="ids")
    embedded = layers.Embedding(6, 3, mask_zero=True, name="emb")(ids)
    model = keras.Model(ids, layers.Dense(1, name="head")(layers.GRU(2, name="gru")(embedded)))
    model.save(tmp_path / "m.keras")
    rows = {"ids": np.array([[1, 2, 0, 0], [3, 4, 5, 1]])}
    found = load(tmp_path / "m.keras", layer="emb").explain(rows, rtol=1e-3)
    np.testing.assert_allclose(found.values, model(rows["ids"])[:, 0], atol=1e-6)
    assert np.abs(found.attributions["ids"][0, 2:]).max() == 0.0
    assert np.abs(found.attributions["ids"][0, :2]).min() > 0.0
    assert np.abs(found.attributions["ids"][1]).min() > 0.0


# --- rows and outputs ------------------------------------------------------------------------------------------------
def test_columns_become_a_vector(risk: Path) -> None:
    frame = pd.DataFrame(FRAME).assign(label=0)[["label", "rest", "dose", "age"]]
    artifact = load(risk, columns=["age", "dose", "rest"], output_names=["well", "ill"])
    model = keras.models.load_model(risk)
    wanted = np.asarray(model(frame[["age", "dose", "rest"]].to_numpy(np.float32)))
    np.testing.assert_array_equal(artifact.predict(frame), wanted)
    ill, well = artifact.explain(frame, "ill"), artifact.explain(frame, "well")
    assert list(ill.attributions) == ["age", "dose", "rest"]
    np.testing.assert_allclose(ill.values, wanted[:, 0], rtol=1e-6)
    np.testing.assert_allclose(well.values, 1 - wanted[:, 0], rtol=1e-6)
    for name in FRAME:
        np.testing.assert_allclose(ill.attributions[name], -well.attributions[name], atol=1e-3)
    assert np.abs(ill.deltas).max() < 1e-2 * np.abs(ill.values - ill.baseline_values).max()
    with pytest.raises(InputError, match=r"expected columns 'dose'.*'dose' is near 'doses'"):
        artifact.explain(frame.rename(columns={"dose": "doses"}))


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((), None), ((1,), None), ((1,), 0), ((4,), None), ((4,), [3, 1]), ((4,), "predicted"),
        ((2, 3), np.array([[0, 2], [1, 1]])), ((6, 1), np.array([[5, 0], [2, 0]])),
    ],
)  # fmt: skip
def test_outputs_of_every_shape_are_explained(tmp_path: Path, shape: tuple[int, ...], target: Any) -> None:
    keras.utils.set_random_seed(1)
    size = int(np.prod(shape))
    inner = [layers.Dense(8, "tanh"), layers.Dense(size, "tanh"), layers.Reshape(shape)]
    keras.Sequential([layers.Input((3,), name="x"), *inner]).save(tmp_path / "m.keras")
    artifact = load(tmp_path / "m.keras")
    rows = {artifact.columns[0]: np.array([[0.5, 1.0, 2.0], [-1.0, 0.25, -0.5]])}
    outputs = artifact.predict(rows)
    assert outputs.shape == (2, *shape)
    found = artifact.explain(rows, target, rtol=1e-4)
    assert np.abs(found.deltas).max() < 1e-4
    assert np.abs(found.values - found.baseline_values).min() > 1e-3
    flat = outputs.reshape(2, -1)
    assert all(value in row for value, row in zip(found.values.astype(np.float32), flat, strict=True))


@pytest.mark.parametrize("named", [True, False])
def test_one_of_several_outputs(tmp_path: Path, named: bool) -> None:
    keras.utils.set_random_seed(2)
    a, b = keras.Input((2,), name="a"), keras.Input((1,), name="b")
    joined = layers.Concatenate()([a, b])
    left, right = layers.Dense(1, "tanh", name="left")(joined), layers.Dense(3, "tanh", name="right")(joined)
    inputs, outputs = ({"a": a, "b": b}, {"left": left, "right": right}) if named else ([a, b], [left, right])
    keras.Model(inputs, outputs).save(tmp_path / "m.keras")
    rows = {"a": np.array([[1.0, 2.0]]), "b": np.array([0.5])}
    with pytest.raises(InputError, match="expected output= as one of left, right"):
        load(tmp_path / "m.keras").predict(rows)
    with pytest.raises(InputError, match="unknown output 'rigth'; did you mean 'right'"):
        load(tmp_path / "m.keras", output="rigth").explain(rows)
    artifact = load(tmp_path / "m.keras", output="right")
    assert artifact.predict(rows).shape == (1, 3)
    assert artifact.outputs == ("right[0]", "right[1]", "right[2]")
    found = artifact.explain(rows, "right[2]", rtol=1e-4)
    np.testing.assert_allclose(found.values, artifact.predict(rows)[:, 2], rtol=1e-6)
    assert found.attributions["a"].shape == (1, 2)
    assert found.attributions["b"].shape == (1,)


def test_a_model_of_classes_of_its_own(tmp_path: Path) -> None:
    class Twice(layers.Layer):
        def call(self, x: Any) -> Any:
            return 2.0 * x

    keras.Sequential([layers.Input((2,), name="x"), Twice(), layers.Dense(1)]).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match=r"holds more than layers and weights: the class 'Twice'.*custom_objects="):
        load(tmp_path / "m.keras")
    found = load(tmp_path / "m.keras", custom_objects={"Twice": Twice}).explain(np.array([[1.0, 2.0]]))
    assert np.abs(found.deltas).max() < 1e-6


def test_describe_and_problems(saved: tuple[Any, Path]) -> None:
    case, path = saved
    artifact = load(path, encoded=case.encoded or None)
    about = json.loads(json.dumps(artifact.describe()))
    assert about["format"] == path.suffix
    assert about["written_by"] == f"Keras {keras.__version__}"
    assert set(about["inputs"]) == set(case.rows)
    assert {layer["name"] for layer in about["layers"]} >= {"head"}
    assert set(case.encoded) <= set(about["explained"])
    assert any("head" in name for name in about["differentiable"])
    for rows in (None, case.rows):
        assert [str(problem) for problem in artifact.problems(rows) if problem.level == "error"] == []


# --- Keras 2 ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def legacy(tmp_path: Path) -> Callable[[str], tuple[Any, Path]]:
    old = pytest.importorskip("tf_keras")

    def make(ending: str) -> tuple[Any, Path]:
        old.utils.set_random_seed(0)
        x = old.Input((3,), name="x")
        model = old.Model(x, old.layers.Dense(2, name="head")(old.layers.Dense(4, "hard_sigmoid", name="hidden")(x)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the .h5 format, which it calls legacy
            model.save(tmp_path / f"m.{ending}")
        return model, tmp_path / f"m.{ending}"

    return make


@pytest.mark.parametrize("ending", FORMATS)
def test_keras_2_files_are_read_by_keras_2(legacy: Callable[[str], Any], ending: str) -> None:
    model, path = legacy(ending)
    rows = np.array([[0.5, 1.0, 2.0], [-1.0, 0.25, -0.5]])
    artifact = load(path)
    assert artifact.describe()["read_by"].startswith("tf_keras 2.")
    np.testing.assert_array_equal(artifact.predict({"x": rows}), model(rows.astype(np.float32)))
    found = artifact.explain({"x": rows}, 1, rtol=1e-3)
    assert np.abs(found.deltas).max() < 1e-3
    assert any("hidden" in name for name in artifact.describe()["differentiable"])


def test_without_keras_2_a_keras_2_file_says_what_to_install(
    legacy: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {ending: legacy(ending)[1] for ending in FORMATS}
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(MissingPackageError, match=r"written by Keras 2\.\S+.*pip install tf-keras"):
        load(paths["keras"])
    artifact = load(paths["h5"])
    assert artifact.describe()["read_by"].startswith("keras 3.")
    found = artifact.explain(np.ones((1, 3)), 0)
    assert any("pip install tf-keras reads it exactly" in note for note in found.meta["notes"])


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
        {"class_name": "TFOpLambda", "config": {"name": "op", "function": "raw_ops.WriteFile"}},
        "'op', which calls tf.raw_ops.WriteFile",
    ),
]
FINE = [
    dense(),
    dense(module="tf_keras.src.layers.core.dense"),
    {"class_name": "Dense", "config": {"name": "d", "activation": "relu"}},
    {"class_name": "TFOpLambda", "config": {"name": "op", "function": "math.reduce_sum"}},
    {"class_name": "TFOpLambda", "config": {"name": "op", "function": "dataflow"}},
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
    with pytest.raises(InputError, match="unknown option 'layers'; did you mean 'layer'"):
        load(risk, layers="emb")
