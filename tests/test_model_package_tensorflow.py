"""Packages of both generations on TensorFlow: the heart disease tutorials, and texts through their embeddings."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import model_packages
import numpy as np
import pandas as pd
import pytest
from model_packages import COLUMNS, write

from pyig import IntegratedGradients
from pyig.artifacts import load
from pyig.artifacts.package_rows import REST
from pyig.demos.table import Table, read
from pyig.errors import InputError, ModelError

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

TITLE = "Top IG attributions for heart disease model"


def nine() -> tuple[Any, Any, Any]:
    """Return the nine numeric columns of the table: to learn from, their answers, and the held-out ones."""
    train, test = read()

    def pick(table: Table) -> Any:
        return table.x[:, [table.names.index(name) for name in COLUMNS]]

    return pick(train), train.y, pd.DataFrame(pick(test), columns=list(COLUMNS)).astype(float)


def saved(model: Any, path: Path) -> Path:
    """Save a model without what Keras has to say of numpy and of HDF5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


@pytest.fixture(scope="module")
def heart() -> tuple[Any, Any, list[float]]:
    """Return a fitted 9-12-1 network, held-out patients, and the mean patient."""
    x, y, rows = nine()
    model = keras.Sequential(
        [
            keras.layers.Input((9,), name="findings"),
            keras.layers.Normalization(mean=x.mean(0), variance=x.var(0)),
            keras.layers.Dense(12, "tanh", kernel_initializer=keras.initializers.GlorotUniform(seed=1)),
            keras.layers.Dense(1, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(seed=2)),
        ]
    )
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(x, y, batch_size=64, epochs=20, shuffle=False, verbose=0)
    return model, rows, x.mean(0).astype(float).tolist()


@pytest.fixture(scope="module", params=["h5", "saved_model"])
def heart_package(request: pytest.FixtureRequest, heart: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, _, means = heart
    folder = tmp_path_factory.mktemp(request.param) / "heart"
    if request.param == "h5":
        write(folder, model_packages.HEART_KERAS % means)
        saved(model, folder / "heart.h5")
    else:
        write(folder, model_packages.HEART_SAVED_MODEL % means)
        write(folder, "import tensorflow as tf\nsession = tf.Session()\n", "tf_saved_model_wrapper_ig.py")
        model.export(folder / "saved_model", verbose=False)
    return folder


def test_heart_disease_from_its_package_alone(heart: Any, heart_package: Path) -> None:
    model, rows, means = heart
    artifact = load(heart_package, trust=True)
    e = artifact.explain(rows)
    direct = IntegratedGradients(model).explain(rows.to_numpy(np.float32), baselines=np.array([means], np.float32))
    assert list(e.attributions) == list(COLUMNS)
    mine = np.stack(list(e.attributions.values()), axis=1)
    norm = np.abs(direct.attributions).sum(axis=1, keepdims=True)
    assert (np.abs(mine - direct.attributions).sum(axis=1, keepdims=True) <= 0.02 * norm).all()
    assert e.converged.all()
    assert e.meta["rtol"] == 0.01
    assert np.allclose(artifact.predict(rows), model(rows.to_numpy(np.float32)).numpy(), atol=1e-5)
    assert np.allclose(e.values, artifact.predict(rows)[:, 0], atol=1e-5)
    assert artifact.outputs in (("predicted_target",), ("risk",))
    assert e.inputs["age"].tolist() == rows["age"].tolist()
    assert np.allclose(e.baselines["age"], means[0])
    assert artifact.describe()["contract"] == "generation 1"
    assert list(artifact.describe()["differentiable"]) == ["findings"]


def test_sorted_bars_with_the_title_of_the_tutorial(heart: Any, heart_package: Path) -> None:
    e = load(heart_package, trust=True).explain(heart[1].iloc[:1])
    figure = e.plot("bars")
    axes = figure.axes[0]
    axes.set_title(TITLE)
    labels = [label.get_text().split(" = ")[0] for label in axes.get_yticklabels()]
    shown = [bar.get_width() for bar in axes.patches][: len(COLUMNS)]
    assert labels[: len(COLUMNS)] == sorted(COLUMNS, key=lambda name: -abs(float(e.attributions[name][0])))
    assert np.allclose(shown, sorted((float(e.attributions[n][0]) for n in COLUMNS), key=lambda v: -abs(v)))
    assert axes.get_title() == TITLE


def test_no_problem_is_found_in_a_sound_package(heart: Any, heart_package: Path) -> None:
    assert list(load(heart_package, trust=True).problems(heart[1])) == []


def test_the_published_steps(heart: Any, heart_package: Path) -> None:
    rows = heart[1].iloc[:6]
    artifact = load(heart_package, trust=True)
    e = artifact.explain(rows, compat="fiddler")
    assert set(e.meta["steps"]) <= {20, 120, 220}
    assert all(e.meta["met"])
    change = e.values - e.baseline_values
    assert (100 * np.abs(e.deltas) <= e.meta["max_allowed_error"] * np.abs(change)).all()
    fine = artifact.explain(rows, max_allowed_error=0.05)
    for name in COLUMNS:
        assert np.allclose(e.attributions[name], fine.attributions[name], atol=0.02)


def test_tensorflow_is_as_it_was(heart: Any, heart_package: Path) -> None:
    load(heart_package, trust=True).explain(heart[1].iloc[:1])
    assert tf.executing_eagerly()
    assert not hasattr(tf, "Session")
    assert sys.modules["tensorflow"] is tf
    assert sys.modules.get("tensorflow.keras.models", keras.models).load_model is keras.models.load_model


@pytest.mark.parametrize("kind", ["keras", "h5", "saved_model"])
def test_a_new_package_is_ten_lines(heart: Any, tmp_path: Path, kind: str) -> None:
    model, rows, means = heart
    file = {"keras": "net.keras", "h5": "net.h5", "saved_model": "net"}[kind]
    source = f"""
        from pyig.artifacts import ModelPackage

        class Heart(ModelPackage):
            columns, outputs, model = {COLUMNS!r}, ("risk",), {file!r}
            baseline, max_allowed_error = {dict(zip(COLUMNS, means, strict=True))!r}, 1

        def get_model():
            return Heart(__file__)
    """
    folder = write(tmp_path / "p", source)
    model.export(folder / file, verbose=False) if kind == "saved_model" else saved(model, folder / file)
    artifact = load(folder, trust=True)
    e = artifact.explain(rows.iloc[:5])
    direct = IntegratedGradients(model).explain(
        rows.to_numpy(np.float32)[:5], baselines=np.array([means], np.float32), rtol=1e-4
    )
    assert np.allclose(np.stack(list(e.attributions.values()), axis=1), direct.attributions, atol=0.02)
    assert list(artifact.problems(rows)) == []
    assert np.allclose(e.baselines["age"], means[0], rtol=1e-6)


# --- texts ---------------------------------------------------------------------------------------------------------

SENTENCES = pd.DataFrame({"sentence": ["a good film", "bad", "a bad bad film"]})


@pytest.fixture(scope="module")
def film() -> Any:
    start = keras.initializers.RandomNormal(seed=3, stddev=0.7)
    ids = keras.Input((5,), dtype="int32", name="ids")
    vectors = keras.layers.Embedding(5, 4, name="words", embeddings_initializer=start)(ids)
    hidden = keras.layers.LSTM(3, kernel_initializer=start, recurrent_initializer=start)(vectors)
    return keras.Model(ids, keras.layers.Dense(1, "sigmoid", kernel_initializer=start)(hidden))


def expected_words(film: Any) -> Any:
    ids = np.array([[1, 2, 4, 0, 0], [3, 0, 0, 0, 0], [1, 3, 3, 4, 0]], np.int32)
    e = IntegratedGradients(film).explain(ids, layer=film.get_layer("words"), baselines=0, rtol=1e-4)
    return e.attributions.sum(axis=2)


@pytest.mark.parametrize("keep_all", [True, False])
def test_a_text_through_the_embedding_of_its_graph(film: Any, tmp_path: Path, keep_all: bool) -> None:
    folder = write(tmp_path / "film", model_packages.FILM_SAVED_MODEL % keep_all)
    film.export(folder / "saved_model", verbose=False)
    artifact = load(folder, trust=True)
    e = artifact.explain(SENTENCES, max_allowed_error=0.05)
    words = expected_words(film)
    assert e.inputs["sentence"].tolist()[2] == (["a", "bad", "bad", "film", ""] if keep_all else ["a"])
    width = e.attributions["sentence"].shape[1]
    assert np.allclose(e.attributions["sentence"][2], words[2, :width], atol=1e-3)
    total = sum(part.reshape(3, -1).sum(axis=1) for part in e.attributions.values())
    assert np.allclose(total, words.sum(axis=1), atol=2e-3)
    assert bool(e.attributions[REST].any()) is not keep_all
    assert list(artifact.describe()["differentiable"]) == ["ids"]
    assert "words" in artifact.describe()["differentiable"]["ids"]
    rest = [problem for problem in artifact.problems(SENTENCES) if REST in problem.cure]
    assert bool(rest) is not keep_all


def test_a_text_through_the_template(film: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "film", model_packages.FILM_SECOND)
    saved(film, folder / "film.keras")
    artifact = load(folder, trust=True)
    e = artifact.explain(SENTENCES, rtol=1e-3)
    words = expected_words(film)
    assert artifact.describe()["contract"] == "generation 2"
    assert e.inputs["sentence"][0].tolist()[:5] == ["a", " ", "good", " ", "film"]
    assert np.allclose(e.attributions["sentence"][0][[0, 2, 4]], words[0, :3], atol=1e-3)
    assert np.allclose(e.attributions["sentence"][0][[1, 3]], 0)
    total = sum(part.reshape(3, -1).sum(axis=1) for part in e.attributions.values())
    assert np.allclose(total, e.values - e.baseline_values, atol=1e-3)
    assert artifact.defaults == {"rtol": 0.02, "max_evals": 512}


def test_a_keras_package_keyed_by_its_embedding(film: Any, tmp_path: Path) -> None:
    source = """
        import pathlib

        import pandas as pd
        from tensorflow.keras.models import load_model

        class Film:
            output_columns, max_allowed_error = ["positive"], 0.05

            def __init__(self):
                self.model = load_model(pathlib.Path(__file__).parent / "film.keras")
                self.differentiable_tensors = {"ids": self.model.get_layer("words").output}

            def transform_input(self, rows):
                return pd.DataFrame({"ids": rows["ids"]})

            def generate_baseline(self, rows):
                return pd.DataFrame({"ids": [[0] * 5] * len(rows)})

            def get_feed_dict(self, rows):
                return {"ids": rows["ids"].tolist()}

            def predict(self, rows):
                return pd.DataFrame(self.model.predict(pd.DataFrame(rows["ids"].tolist()), verbose=0))

            def project_attributions(self, rows, transformed, attributions):
                return {"ids": attributions["ids"][0].tolist()}

        def get_model():
            return Film()
    """
    folder = write(tmp_path / "film", source)
    saved(film, folder / "film.keras")
    artifact = load(folder, trust=True)
    rows = pd.DataFrame({"ids": [[1, 2, 4, 0, 0], [3, 0, 0, 0, 0], [1, 3, 3, 4, 0]]})
    e = artifact.explain(rows)
    assert np.allclose(e.attributions["ids"], expected_words(film), atol=1e-3)


# --- what may be wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('{"findings": rows', '{"finding": rows', ModelError, "a column 'findings'"),
        ("model.load_model()", "pass", InputError, "call load_model"),
        ('["risk"]', '["risk", "none"]', InputError, "one output column for a binary"),
        ("saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY", "nothing", ModelError, "nothing"),
        ('[MEANS] * len(rows)', '[MEANS] * 2', ModelError, "they give 3 and 2"),
        ('dict(zip(rows.columns, attributions["findings"][0].tolist()))', "None", ModelError, "a dict of features"),
        ("from .tf_saved_model_wrapper_ig", "from tf_saved_model_wrapper_ig", None, ""),
    ],
)  # fmt: skip
def test_a_saved_model_package_gone_wrong(
    heart: Any, tmp_path: Path, old: str, new: str, error: type[Exception] | None, message: str
) -> None:
    model, rows, means = heart
    source = model_packages.HEART_SAVED_MODEL % means
    assert old in source
    folder = write(tmp_path / "heart", source.replace(old, new))
    model.export(folder / "saved_model", verbose=False)
    if error is None:
        assert load(folder, trust=True).explain(rows.iloc[:3]).converged.all()
        return
    with pytest.raises(error, match=message):
        load(folder, trust=True).explain(rows.iloc[:3])


def test_sessions_say_that_they_are_gone(tmp_path: Path) -> None:
    source = "import tensorflow as tf\n\ndef get_model():\n    with tf.Session() as s:\n        s.run('y:0')\n"
    with pytest.raises(ModelError, match="TensorFlow 2 has no sessions"):
        load(write(tmp_path / "p", source), trust=True)


def test_keras_two_directories_open_through_tf_keras(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    old = tf_keras.Sequential([tf_keras.layers.Dense(1, activation="sigmoid", input_shape=(9,))])
    source = """
        import pathlib
        import numpy as np
        import pandas as pd
        import tensorflow as tf
        from tensorflow.keras.models import Model

        class Heart:
            output_columns = ["risk"]

            def __init__(self):
                self.model = tf.keras.models.load_model(str(pathlib.Path(__file__).parent / "saved_model"))
                assert isinstance(Model(self.model.inputs, self.model.outputs), Model)

            def predict(self, rows):
                return pd.DataFrame(self.model.predict(rows, verbose=0), columns=self.output_columns)

            def get_ig_baseline(self, rows):
                return rows * 0

            def transform_to_attributable_input(self, rows):
                return {"findings": rows.to_numpy(np.float32)}

            def compute_gradients(self, points):
                x = tf.constant(points["findings"])
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    y = self.model(x)
                return [{"findings": tape.gradient(y, x).numpy()}]

            def project_attributions(self, row, attributions):
                from fiddler.packtools.project_attributions_helpers import IGTabularAttributions
                helper = IGTabularAttributions(row, self.output_columns)
                return helper.get_project_attribution(attributions, {"findings": list(row.columns)})

        def get_model():
            return Heart()
    """
    folder = write(tmp_path / "heart", source)
    old.save(folder / "saved_model", save_format="tf")
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(3, 9)), columns=list(COLUMNS))
    e = load(folder, trust=True).explain(rows)
    assert e.converged.all()
    assert np.allclose(e.values, old(rows.to_numpy(np.float32)).numpy()[:, 0], atol=1e-6)
    left = [module for name, module in sys.modules.items() if name.startswith("tensorflow.keras.")]
    assert not any("tf_keras" in str(module) for module in left)


def test_a_functional_file_of_keras_two(tmp_path: Path) -> None:
    tf_keras = pytest.importorskip("tf_keras")
    x = tf_keras.Input((9,))
    old = tf_keras.Model(x, tf_keras.layers.Dense(1, activation="sigmoid")(x))
    folder = write(tmp_path / "heart", model_packages.HEART_KERAS % ([0.0] * 9))
    saved(old, folder / "heart.h5")
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(3, 9)), columns=list(COLUMNS))
    e = load(folder, trust=True).explain(rows)
    assert np.allclose(e.values, old(rows.to_numpy(np.float32)).numpy()[:, 0], atol=1e-6)
    assert e.converged.all()
