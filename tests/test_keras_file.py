"""Keras files as artifacts: both formats, both generations, and what they may hold besides layers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
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
from pyig.errors import InputError, InputTypeError, MissingPackageError, ModelError  # noqa: E402

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


def test_layers_are_named_where_the_file_is_opened(tmp_path: Path) -> None:
    case = saved_models.embedding()
    case.model.save(tmp_path / "m.keras")
    with pytest.raises(InputError, match=r"expected layer= where the model is opened: load\('m\.keras', layer="):
        load(tmp_path / "m.keras").explain(case.rows, layer="emb")
    with pytest.raises(InputTypeError, match="expected encoded= as a dict"):
        load(tmp_path / "m.keras", encoded="emb").explain(case.rows)


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
def test_the_second_of_two_classes_is_explained_where_none_is_asked_for(risk: Path) -> None:
    artifact = load(risk, columns=["age", "dose", "rest"], output_names=["well", "ill"])
    found, wanted = artifact.explain(FRAME, n_steps=20), artifact.explain(FRAME, "ill", n_steps=20)
    np.testing.assert_array_equal(found.values, wanted.values)
    assert list(artifact.problems(FRAME)) == []


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


def test_a_subclassed_model_takes_what_it_was_built_with(tmp_path: Path) -> None:
    class Own(keras.Model):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.inner = layers.Dense(2, "tanh")

        def call(self, x: Any) -> Any:
            return self.inner(x)

    model, rows = Own(), np.array([[1.0, 2.0, -1.0]], np.float32)
    wanted = np.asarray(model(rows))
    model.save(tmp_path / "m.keras")
    artifact = load(tmp_path / "m.keras", custom_objects={"Own": Own}, columns=["a", "b", "c"])
    np.testing.assert_array_equal(artifact.predict({"a": [1.0], "b": [2.0], "c": [-1.0]}), wanted)
    found = artifact.explain({"a": [1.0], "b": [2.0], "c": [-1.0]}, 1, rtol=1e-4)
    assert np.abs(found.deltas).max() < 1e-4
    assert list(artifact.problems()) == []


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


def test_functions_of_tensorflow_in_a_keras_2_file_are_called(tmp_path: Path) -> None:
    old = pytest.importorskip("tf_keras")
    x = old.Input((3,), name="x")
    model = old.Model(x, old.layers.Dense(1)(tf.concat([tf.math.tanh(x)[:, 1:], tf.gather(x, [0], axis=1)], axis=1)))
    model.save(tmp_path / "m.keras")
    rows = np.array([[0.5, 1.0, 2.0]], np.float32)
    artifact = load(tmp_path / "m.keras")
    np.testing.assert_array_equal(artifact.predict(rows), model(rows))
    assert np.abs(artifact.explain(rows, rtol=1e-4).deltas).max() < 1e-4


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


# --- other frameworks, and none --------------------------------------------------------------------------------------
SCRIPT = """
import sys
import numpy as np
from pyig import artifacts
from pyig.errors import ModelError
artifact = artifacts.load({path!r}, columns=["age", "dose", "rest"])
rows = {rows!r}
found = artifact.explain(rows, rtol=1e-3)
np.save({out!r}, np.array([artifact.predict(rows)[:, 0], *found.attributions.values()]))
assert found.meta["backend"] == {backend!r}
try:
    artifacts.load({path!r}, layer="risk").explain(np.ones((1, 3)))
except ModelError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_file_is_explained_by_the_framework_that_keras_runs_on(risk: Path, tmp_path: Path, framework: str) -> None:
    pytest.importorskip(framework)
    script = SCRIPT.format(path=str(risk), rows=FRAME, out=str(tmp_path / "out.npy"), backend=framework)
    environment = os.environ | {"KERAS_BACKEND": framework}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-2000:]
    assert f"it runs on {framework}. Set KERAS_BACKEND=tensorflow" in run.stdout
    here = load(risk, columns=["age", "dose", "rest"])
    found = here.explain(FRAME, rtol=1e-3)
    wanted = np.array([here.predict(FRAME)[:, 0], *found.attributions.values()])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, atol=2e-3)


def test_openers_import_no_framework(risk: Path) -> None:
    script = (
        "import sys, pathlib; from pyig.artifacts.keras_file import KerasOpener; "
        "from pyig.artifacts.saved_model import SavedModelOpener; "
        f"path = pathlib.Path({str(risk)!r}); "
        "assert KerasOpener.recognises(path) and not SavedModelOpener.recognises(path); "
        "print(sorted({'tensorflow', 'keras', 'tf_keras', 'h5py', 'torch', 'jax'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.strip() == "[]"


def test_without_a_package_the_cure_is_named(risk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "saved_model.pb").touch()
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file.attrs["keras_version"] = "3.0.0"
    for absent, path, said in (
        ("keras", risk, r"a \.keras file needs keras; install it with: pip install \"pyig-explain\[tensorflow\]\""),
        ("h5py", tmp_path / "m.h5", r"an \.h5 file needs h5py"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, absent, None)
            with pytest.raises(MissingPackageError, match=said):
                load(path)
    with monkeypatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]:
            patch.delitem(sys.modules, name)
        patch.setitem(sys.modules, "tensorflow", None)
        with pytest.raises(MissingPackageError, match="a SavedModel needs tensorflow"):
            artifacts.load(tmp_path, "saved_model")
