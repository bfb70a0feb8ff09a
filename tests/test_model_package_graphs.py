"""First-generation packages on SavedModels of other shapes: two columns, three, several inputs, no limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_packages import write

from pyig import IntegratedGradients
from pyig.artifacts import load
from pyig.errors import InputError

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

TABLE = """
    import pathlib

    import pandas as pd

    from .tf_saved_model_wrapper_ig import TFSavedModelWrapperIg

    class Table(TFSavedModelWrapperIg):
        def transform_input(self, rows):
            return pd.DataFrame({"x": rows.values.tolist()})

        def generate_baseline(self, rows):
            return self.transform_input(rows * 0)

        def project_attributions(self, rows, transformed, attributions):
            return dict(zip(rows.columns, attributions["x"][0].tolist()))

    def get_model():
        model = Table(pathlib.Path(__file__).parent / "saved_model", "serving_default", %s)
        model.load_model()
        return model
"""

ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 3)), columns=["a", "b", "c"])


def start(seed: int) -> Any:
    return keras.initializers.RandomNormal(seed=seed, stddev=1.0)


def network(outputs: int, activation: str = "softmax") -> Any:
    return keras.Sequential(
        [
            keras.layers.Input((3,), name="x"),
            keras.layers.Dense(6, "tanh", kernel_initializer=start(1)),
            keras.layers.Dense(outputs, activation, kernel_initializer=start(2)),
        ]
    )


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[Any, str], Any]:
    def pack(model: Any, arguments: str) -> Any:
        folder = write(tmp_path / "p", TABLE % arguments)
        model.export(folder / "saved_model", verbose=False)
        return load(folder, trust=True)

    return pack


def stacked(e: Any) -> Any:
    return np.stack([e.attributions[name] for name in "abc"], axis=1)


def test_of_two_columns_a_binary_package_explains_the_second(packed: Any) -> None:
    model = network(2)
    artifact = packed(model, '["risk"], is_binary_classification=True, batch_size=3')
    e = artifact.explain(ROWS, rtol=1e-3)
    x = ROWS.to_numpy(np.float32)
    assert np.allclose(artifact.predict(ROWS)[:, 0], model(x).numpy()[:, 1], atol=1e-6)
    assert np.allclose(e.values, model(x).numpy()[:, 1], atol=1e-6)
    assert np.allclose(stacked(e), IntegratedGradients(model).explain(x, target=1, rtol=1e-4).attributions, atol=1e-3)
    assert list(artifact.problems(ROWS)) == []


@pytest.mark.parametrize(("target", "column"), [(2, 2), ("two", 1), (None, None)])
def test_of_three_columns_each_has_its_name(packed: Any, target: Any, column: int | None) -> None:
    model = network(3)
    artifact = packed(model, '["one", "two", "three"]')
    e = artifact.explain(ROWS, target=target, rtol=1e-3)
    x = ROWS.to_numpy(np.float32)
    wanted = model(x).numpy().argmax(axis=1).tolist() if column is None else [column] * 4
    assert e.targets.tolist() == wanted
    expected = IntegratedGradients(model).explain(x, target=np.array(wanted), rtol=1e-4).attributions
    assert np.allclose(stacked(e), expected, atol=1e-3)
    assert list(artifact.problems(ROWS)) == []
    both = artifact.explain(ROWS, target="top2", rtol=1e-3)
    assert both.attributions["a"].shape == (4, 2)
    assert np.allclose(sum(both.attributions.values()), both.values - both.baseline_values, atol=1e-3)


def test_without_a_limit_the_number_of_steps_is_the_packages(packed: Any) -> None:
    model = network(1, "sigmoid")
    artifact = packed(model, '["risk"]')
    assert artifact.defaults == {}
    e = artifact.explain(ROWS, compat="fiddler")
    assert e.n_evals.tolist() == [10] * 4
    assert e.meta["n_steps"] == 10
    x = ROWS.to_numpy(np.float32)
    same = IntegratedGradients(model).explain(x, method="riemann_trapezoid", n_steps=10)
    assert np.allclose(stacked(e), same.attributions, atol=1e-5)


# --- several inputs ------------------------------------------------------------------------------------------------

SEVERAL = """
    import pathlib

    import numpy as np
    import pandas as pd

    from .tf_saved_model_wrapper_ig import TFSavedModelWrapperIg

    class Mixed(TFSavedModelWrapperIg):
        def transform_input(self, rows):
            return pd.DataFrame(
                {"ids": rows["ids"], "mask": [[float(i > 0) for i in ids] for ids in rows["ids"]], "size": rows["size"]}
            )

        def generate_baseline(self, rows):
            none = {"ids": [0] * 4, "mask": [0.0] * 4, "size": 0.0}
            return pd.DataFrame([none] * len(rows))

        def project_attributions(self, rows, transformed, attributions):
            self.given = {name: value.shape for name, value in attributions.items()}
            found = {"ids": attributions["ids"][0].tolist()}
            if "size" in attributions:
                found["size"] = float(attributions["size"].sum())
            return found

    def get_model():
        model = Mixed(
            pathlib.Path(__file__).parent / "saved_model",
            "serving_default",
            ["y"],
            input_tensor_to_differentiable_layer_mapping=%s,
            max_allowed_error=0.1,
        )
        model.load_model()
        return model
"""
MIXED = pd.DataFrame({"ids": [[1, 2, 0, 0], [3, 3, 1, 0]], "size": [2.0, -1.0]})


@pytest.fixture(scope="module")
def mixed() -> Any:
    ids = keras.Input((4,), dtype="int32", name="ids")
    mask = keras.Input((4,), name="mask")
    size = keras.Input((1,), name="size")
    vectors = keras.layers.Embedding(4, 3, name="words", embeddings_initializer=start(5))(ids)
    kept = keras.layers.Multiply()([vectors, keras.layers.Reshape((4, 1))(mask)])
    hidden = keras.layers.Concatenate()([keras.layers.Flatten()(kept), size])
    out = keras.layers.Dense(1, "tanh", kernel_initializer=start(6))(hidden)
    return keras.Model({"ids": ids, "mask": mask, "size": size}, out)


def parts(model: Any, moving: tuple[str, ...]) -> Any:
    """Integrate by hand, in float64: tanh of a weighted sum, on the straight line of the inputs that move."""
    table = model.get_layer("words").embeddings.numpy().astype(float)
    weights = model.layers[-1].kernel.numpy().astype(float)[:, 0]
    ids = np.array(MIXED["ids"].tolist())
    x, x0 = table[ids], np.broadcast_to(table[0], (2, 4, 3))
    keep = (ids > 0)[:, :, None].astype(float)
    size = MIXED["size"].to_numpy()
    size0 = np.zeros(2) if "size" in moving else size
    nodes, rule = np.polynomial.legendre.leggauss(40)
    words, sizes = np.zeros((2, 4)), np.zeros(2)
    for a, w in zip((nodes + 1) / 2, rule / 2, strict=True):
        inner = (((x0 + a * (x - x0)) * keep).reshape(2, 12) @ weights[:12]) + (size0 + a * (size - size0)) * weights[
            12
        ]
        slope = 1 - np.tanh(inner) ** 2
        words += w * slope[:, None] * ((x - x0) * keep * weights[:12].reshape(4, 3)).sum(axis=2)
        sizes += w * slope * (size - size0) * weights[12]
    return words, sizes


def test_inputs_that_the_mapping_leaves_out_stay_as_they_are(mixed: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", SEVERAL % '{"ids": "words"}')
    mixed.export(folder / "saved_model", verbose=False)
    artifact = load(folder, trust=True)
    e = artifact.explain(MIXED)
    words, _ = parts(mixed, ("ids",))
    assert np.allclose(e.attributions["ids"], words, atol=2e-3)
    assert artifact.model.given == {"ids": (1, 4)}
    assert list(artifact.describe()["differentiable"]) == ["ids"]


def test_inputs_of_the_mapping_move(mixed: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", SEVERAL % '{"ids": "words", "size": "size"}')
    mixed.export(folder / "saved_model", verbose=False)
    artifact = load(folder, trust=True)
    e = artifact.explain(MIXED)
    words, sizes = parts(mixed, ("ids", "size"))
    assert np.allclose(e.attributions["ids"], words, atol=2e-3)
    assert np.allclose(e.attributions["size"], sizes, atol=2e-3)
    assert artifact.model.given == {"ids": (1, 4), "size": (1, 1)}


def test_a_tensor_that_is_not_there_lists_the_near_ones(mixed: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", SEVERAL % '{"ids": "word"}')
    mixed.export(folder / "saved_model", verbose=False)
    with pytest.raises(InputError, match="words"):
        load(folder, trust=True)


# --- a new package on a SavedModel with an embedding ---------------------------------------------------------------

TOKENS = """
    import numpy as np
    from pyig.artifacts import ModelPackage
    from pyig.projections import Embedding, Tokens

    WORDS = ["", "a", "good", "film"]

    class Words(ModelPackage):
        columns, outputs, model, encoded = ("text", "size"), ("y",), "saved_model", {"ids": "words"}
        baseline, max_allowed_error = {"text": "", "size": 0.0}, 0.1

        def ids(self, rows):
            found = [[WORDS.index(word) for word in text.split()] for text in rows["text"]]
            return np.array([[*one, *[0] * (4 - len(one))] for one in found])

        def encode(self, rows):
            ids = self.ids(rows)
            return {"ids": ids, "mask": (ids > 0).astype(float), "size": rows["size"].to_numpy(float)}

        def projections(self, rows):
            tokens = self.ids(rows)
            return {
                "ids": Tokens(tokens, WORDS, name="text"),
                "mask": Embedding(rows["size"], name="masked"),
                "size": Embedding(rows["size"]),
            }

    def get_model():
        return Words(__file__)
"""


def test_words_of_a_saved_model(mixed: Any, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", TOKENS)
    mixed.export(folder / "saved_model", verbose=False)
    artifact = load(folder, trust=True)
    rows = pd.DataFrame({"text": ["a good", "film film a"], "size": [2.0, -1.0]})
    e = artifact.explain(rows)
    assert e.inputs["text"].tolist() == [["a", "good", "", ""], ["film", "film", "a", ""]]
    total = sum(part.reshape(2, -1).sum(axis=1) for part in e.attributions.values())
    assert np.allclose(total, e.values - e.baseline_values, atol=2e-3)
    ids = np.array([[1, 2, 0, 0], [3, 3, 1, 0]])
    feed = {"ids": ids, "mask": (ids > 0).astype(np.float32), "size": rows[["size"]].to_numpy(np.float32)}
    assert np.allclose(artifact.predict(rows), mixed(feed).numpy(), atol=1e-6)
    wheres = [problem.what for problem in artifact.problems(rows)]
    assert wheres == ["'masked' is no column of the rows"]
    saved = e.save(tmp_path / "e.npz")
    assert type(e).load(saved) == e
