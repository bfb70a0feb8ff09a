"""SavedModels explained by their metadata: encodings, baselines, groups, labels, signatures, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import metadata_models as models
import numpy as np
import pandas as pd
import pytest
import saved_models
import tensorflow as tf

import pyig
import pyig.artifacts
from pyig.artifacts import saved_model
from pyig.artifacts.metadata_model import MetadataModel, MetadataOpener
from pyig.errors import InputError, InputTypeError

GL50 = {"n_steps": 50, "progress": False}


def total(explanation: Any) -> Any:
    """Sum the attributions of every path."""
    axes = explanation.values.ndim
    parts = [np.asarray(leaf, np.float64) for leaf in explanation.attributions.values()]
    return sum(part.sum(axis=tuple(range(axes, part.ndim))) for part in parts)


def completes(explanation: Any, within: float = 2e-6) -> bool:
    """Tell whether the features' attributions add up to F(x) - F(x')."""
    gap = total(explanation) - (explanation.values - explanation.baseline_values)
    return bool(np.abs(gap).max() < within) and bool(np.abs(gap - explanation.deltas).max() < within)


# --- the field's two files --------------------------------------------------------------------------------------------
ROWS = [
    {"zip_codes": ["94043", "10001"], "age": 0.3, "height": -1.0},
    {"zip_codes": ["94105", ""], "age": 1.5, "height": 0.2},
    {"zip_codes": ["60601", "00000"], "age": -0.4, "height": 0.7},
]


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> MetadataModel:
    return MetadataModel(models.zip_codes(tmp_path_factory.mktemp("zip") / "m"))


def test_zip_codes_are_explained_in_the_words_of_the_metadata(zips: MetadataModel) -> None:
    e = zips.explain(ROWS, "yes", **GL50)
    assert list(e.attributions) == ["zip_codes", "age", "height"]
    assert e.inputs["zip_codes"].tolist() == [row["zip_codes"] for row in ROWS]
    assert e.inputs["zip_codes"].dtype.kind == e.baselines["zip_codes"].dtype.kind == "U"
    assert e.inputs["age"] == pytest.approx([0.3, 1.5, -0.4])
    assert e.output_names == ("no", "yes")
    assert e.targets.tolist() == [1, 1, 1]
    assert e.values == pytest.approx(zips.predict(ROWS)[:, 1])
    assert completes(e)


def test_each_zip_code_has_exactly_its_part_of_the_mean(zips: MetadataModel, tmp_path: Path) -> None:
    weights = saved_models.zip_code_graph(tmp_path / "again")
    vectors = np.zeros((3, 2, 3), np.float32)  # what is no code has no vector, and the mean is over those that have
    share = np.array([[0.5, 0.5], [1, 0], [1, 0]], np.float32)
    for i, row in enumerate(ROWS):
        for j, code in enumerate(row["zip_codes"]):
            if code in saved_models.ZIPS:
                vectors[i, j] = weights["embedding"][saved_models.ZIPS.index(code)]
    x = np.array([[row["age"], row["height"]] for row in ROWS], np.float32)

    def spread(v: Any, x: Any, share: Any) -> Any:
        hidden = tf.math.tanh(tf.concat([tf.reduce_sum(v * share[:, :, None], axis=1), x], axis=1))
        return tf.nn.softmax(hidden @ weights["kernel"] + weights["bias"])

    direct = pyig.IntegratedGradients(spread, backend="tensorflow").explain(
        {"v": vectors, "x": x}, target=1, forward_kwargs={"share": share}, **GL50
    )
    e = zips.explain(ROWS, 1, **GL50)
    assert e.attributions["zip_codes"] == pytest.approx(direct.attributions["v"].sum(axis=-1), abs=1e-6)
    assert e.attributions["age"] == pytest.approx(direct.attributions["x"][:, 0], abs=1e-6)
    assert np.abs(e.attributions["zip_codes"][0]).min() > 1e-3


def test_celsius_is_explained_from_its_freezing_point(tmp_path: Path) -> None:
    model = MetadataModel(models.celsius(tmp_path / "m"))
    e = model.explain({"degrees_celsius": [10.0, -40.0]})
    assert model.columns == ("degrees_celsius",)
    assert e.attributions["degrees_celsius"] == pytest.approx([18.0, -72.0])
    assert e.baseline_values == pytest.approx([32.0, 32.0])
    assert e.inputs["degrees_celsius"].shape == (2,)
    assert model.explain({"celsius": [10.0]}).values == pytest.approx([50.0])  # by the signature's own name too


def test_the_package_opens_such_directories(tmp_path: Path) -> None:
    place = models.celsius(tmp_path / "m")
    assert MetadataOpener.recognises(place)
    assert MetadataOpener.open(place).kind == pyig.artifacts.load(place).kind == "metadata"
    (place / "explanation_metadata.json").unlink()
    assert not MetadataOpener.recognises(place)


# --- rows -------------------------------------------------------------------------------------------------------------
def test_rows_come_as_frames_dicts_and_lists(zips: MetadataModel) -> None:
    table = {name: [row[name] for row in ROWS] for name in ("zip_codes", "age", "height")}
    tensors = {"zip_codes": np.array(table["zip_codes"]), "x": [[row["age"], row["height"]] for row in ROWS]}
    bag = {"zip_codes": table["zip_codes"], "measurements": tensors["x"]}
    first = zips.explain(ROWS, **GL50)
    for rows in (table, pd.DataFrame(table), tensors, bag):
        assert (
            zips.explain(rows, **GL50) == first or zips.explain(rows, **GL50).values.tolist() == first.values.tolist()
        )
    assert zips.columns == ("zip_codes", "age", "height")


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([{"zip_codes": ["1", "2"], "age": 1}], InputError, "height"),
        ([{"zip_codes": [1, 2], "age": 1, "height": 1}], InputTypeError, "expected text in 'zip_codes'"),
        ([{"zip_codes": ["1"], "age": "old", "height": 1}], InputTypeError, "expected numbers in 'age'"),
        ([*ROWS, {"zip_codes": ["1"], "age": 1, "height": 1}], InputError, "rows of one length in 'zip_codes'"),
        ([*ROWS, {"age": 1}], InputError, "row 3 has"),
        ({"zip_codes": [["1"]] * 2, "age": [1.0], "height": [1.0]}, InputError, "columns of one length"),
        ({"zip_codes": [["1"]], "measurements": [[1.0, 2.0, 3.0]]}, InputError, "'measurements' to fit"),
        ("rows.csv", InputTypeError, "expected rows as a DataFrame"),
        ([], InputError, "at least one row"),
        ({"zip_codes": "94043", "age": 1.0, "height": 1.0}, InputError, "a column in 'zip_codes'"),
        ({"zip_codes": [["94043"]], "age": 1.0, "height": [1.0]}, InputError, "a column in 'age'"),
    ],
)
def test_wrong_rows_are_named(zips: MetadataModel, rows: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        zips.explain(rows)


# --- baselines --------------------------------------------------------------------------------------------------------
def test_several_baselines_are_the_mean_of_single_runs(tmp_path: Path) -> None:
    starts = [[0.5, -1.0], [2.0, 0.0], [0.0, 0.25]]
    x = {"input_tensor_name": "x:0", "input_baselines": starts}
    place = models.sparse_words(tmp_path / "m", weighted=False, encoded_baselines=[0, [1, 0, -1], 0.5])
    content = json.loads((place / "explanation_metadata.json").read_text())
    rows = {"words": [["good"], ["bad"]], "x": [[1.0, 2.0], [0.0, -1.0]]}
    content["inputs"]["x"] = x
    models.describe(place, **content)
    all_three = MetadataModel(place).explain(rows, 1, **GL50)
    singles = []
    for i in range(3):
        content["inputs"]["x"]["input_baselines"] = starts[i : i + 1]
        content["inputs"]["words"]["encoded_baselines"] = [[0, [1, 0, -1], 0.5][i]]
        models.describe(place, **content)
        singles.append(MetadataModel(place).explain(rows, 1, **GL50))
    for name in ("x", "words"):
        mean = np.mean([total_of(single, name) for single in singles], axis=0)
        assert total_of(all_three, name) == pytest.approx(mean, abs=2e-6)
    assert all_three.baseline_values == pytest.approx(np.mean([one.baseline_values for one in singles], axis=0))
    assert all_three.meta["n_baselines"] == 3
    assert not np.allclose(total_of(singles[0], "x"), total_of(singles[1], "x"), atol=1e-3)
    assert completes(all_three)


def test_each_word_has_its_part_from_several_baselines_too(tmp_path: Path) -> None:
    starts = [0, [1, 0, -1], 0.5]
    place = models.sparse_words(tmp_path / "m", encoded_baselines=starts)
    content = json.loads((place / "explanation_metadata.json").read_text())
    together = MetadataModel(place).explain(SPARSE, "top2", **GL50)
    singles = []
    for start in starts:
        content["inputs"]["words"]["encoded_baselines"] = [start]
        models.describe(place, **content)
        singles.append(MetadataModel(place).explain(SPARSE, "top2", **GL50))
    mean = np.mean([single.attributions["words"] for single in singles], axis=0)
    assert together.attributions["words"] == pytest.approx(mean, abs=1e-6)
    assert together.attributions["words"].shape == (3, 2, 4)
    assert together.inputs["words"].tolist() == singles[0].inputs["words"].tolist()
    assert together.n_evals.tolist() == np.sum([single.n_evals for single in singles], axis=0).tolist()
    assert together.meta["n_baselines"] == 3
    assert completes(together)
    for i in range(3):
        path = together.path(i, 1)
        assert np.dot(path.weights, np.nan_to_num(path.slopes)) == pytest.approx(
            together.values[i, 1] - together.baseline_values[i, 1], abs=1e-5
        )


def test_two_labels_of_one_column_are_its_two_sides(tmp_path: Path) -> None:
    x = keras.Input((2,), name="x")
    keras.utils.set_random_seed(1)
    model = keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(x))
    place = models.export(tmp_path / "m", model, {"x": {"input_tensor_name": "x"}}, index_name_mapping=["no", "yes"])
    artifact, rows = MetadataModel(place), {"x": [[1.0, -2.0], [0.5, 0.5]]}
    yes, no, plain = (artifact.explain(rows, target, **GL50) for target in ("yes", "no", None))
    assert yes.values == pytest.approx(artifact.predict(rows)[:, 0])
    assert no.values == pytest.approx(1 - yes.values)
    assert yes.attributions["x"] == pytest.approx(-no.attributions["x"], abs=1e-6)
    assert plain.values == pytest.approx(yes.values)
    for found in (yes, no, plain):
        assert completes(found)


def total_of(explanation: Any, name: str) -> Any:
    part = explanation.attributions[name]
    return part.reshape(len(part), -1).sum(axis=1)


def test_a_baseline_of_words_goes_through_the_encoding(tmp_path: Path) -> None:
    model = MetadataModel(models.zip_codes(tmp_path / "m", input_baselines=[["10001", "94105"]]))
    e = model.explain(ROWS, "yes", **GL50)
    start = {"zip_codes": [["10001", "94105"]], "age": [0.0], "height": [0.0]}
    assert e.baseline_values == pytest.approx(np.repeat(model.predict(start)[:, 1], 3))
    assert e.baselines["zip_codes"].tolist() == [["10001", "94105"]]
    assert completes(e)
    alike = model.explain([{"zip_codes": ["10001", "94105"], "age": 0.0, "height": 0.0}], "yes", **GL50)
    assert np.abs(total(alike)).max() == 0


def test_baselines_of_the_call_replace_those_of_the_file(zips: MetadataModel) -> None:
    one = {"zip_codes": ["94043", "94043"], "age": 1.0, "height": 2.0}
    other = {"measurements": [0.0, 1.0]}
    first, second = (zips.explain(ROWS, 0, baselines=row, **GL50) for row in (one, other))
    assert first.baseline_values == pytest.approx(np.repeat(zips.predict([one])[:, 0], 3))
    framed = zips.explain(ROWS, 0, baselines=pd.DataFrame([one]), **GL50)
    assert framed.attributions["age"].tolist() == first.attributions["age"].tolist()
    assert first.baselines["age"] == pytest.approx([1.0, 1.0, 1.0])
    both = zips.explain(ROWS, 0, baselines=[one, other], **GL50)
    for name in ("zip_codes", "age"):
        mean = (total_of(first, name) + total_of(second, name)) / 2
        assert total_of(both, name) == pytest.approx(mean, abs=2e-6)
    assert zips.explain(ROWS, 0, baselines="mean", **GL50).baselines["age"] == pytest.approx([1.4 / 3] * 3)
    with pytest.raises(InputError, match="expected baselines for zip_codes, measurements; got one for 'weight'"):
        zips.explain(ROWS, 0, baselines={"weight": 1.0})


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"input_baselines": [["a", "b", "c"]]},
            r"inputs\.zip_codes\.input_baselines\[0\]: expected a number, or values",
        ),
        ({"input_baselines": [0]}, r"inputs\.zip_codes\.input_baselines\[0\]: expected text"),
        ({"encoded_baselines": [[0, 0]]}, r"inputs\.zip_codes\.encoded_baselines\[0\]"),
        ({"encoded_baselines": ["none"]}, r"encoded_baselines\[0\]: expected numbers"),
    ],
)
def test_a_baseline_that_does_not_fit_is_named(keys: dict[str, Any], words: str, tmp_path: Path) -> None:
    model = MetadataModel(models.zip_codes(tmp_path / "m", **keys))
    with pytest.raises(InputError, match=words):
        model.explain(ROWS)


# --- sparse tensors ---------------------------------------------------------------------------------------------------
SPARSE = {
    "words": [
        {"values": ["good", "film"], "indices": [0, 3], "weights": [2.0, 0.5]},
        {"values": ["bad"], "indices": [1]},
        {"values": [], "indices": []},
    ],
    "x": [[0.1, 0.2], [1.0, -1.0], [0.5, 0.5]],
}


@pytest.mark.parametrize("combiner", ["sum", "mean", "sqrtn"])
@pytest.mark.parametrize("weighted", [True, False])
def test_sparse_words_have_their_parts_whatever_combines_them(combiner: str, weighted: bool, tmp_path: Path) -> None:
    model = MetadataModel(models.sparse_words(tmp_path / "m", combiner, weighted))
    e = model.explain(SPARSE, 2, **GL50)
    assert e.inputs["words"].tolist() == [["good", "", "", "film"], ["", "bad", "", ""], ["(none)", "", "", ""]]
    phi = e.attributions["words"]
    assert phi.shape == (3, 4)
    assert np.count_nonzero(phi) == 3
    assert completes(e)
    halves = model.explain({"words": [["good"], ["film"]], "x": SPARSE["x"][:2]}, 2, **GL50)
    assert halves.attributions["words"].shape == (2, 1)


def test_sparse_words_that_are_also_counted_are_held_fixed_there(tmp_path: Path) -> None:
    counted = MetadataModel(models.sparse_words(tmp_path / "counted", counted=True))
    plain = MetadataModel(models.sparse_words(tmp_path / "plain"))
    one, other = counted.explain(SPARSE, 2, **GL50), plain.explain(SPARSE, 2, **GL50)
    assert one.values == pytest.approx(other.values * [2, 1, 0])
    assert one.attributions["words"] == pytest.approx(other.attributions["words"] * [[2], [1], [0]], abs=1e-6)
    assert completes(one)


def test_a_graph_without_signatures_is_fed_by_the_names_of_the_metadata(tmp_path: Path) -> None:
    place = models.sparse_words(tmp_path / "bare", key="")
    bare, plain = MetadataModel(place), MetadataModel(models.sparse_words(tmp_path / "plain"))
    assert bare.model.key is None
    assert bare.columns == plain.columns == ("words", "x")
    one, other = bare.explain(SPARSE, 2, **GL50), plain.explain(SPARSE, 2, **GL50)
    for name in ("words", "x"):
        assert one.attributions[name] == pytest.approx(other.attributions[name])


def test_a_row_as_the_service_took_it_is_the_same(tmp_path: Path) -> None:
    model = MetadataModel(models.sparse_words(tmp_path / "m"))
    rows = [
        {
            "values": ["good", "film"],
            "indices": [[0], [3]],
            "shape": [4],
            "weight_values": [2.0, 0.5],
            "weight_indices": [[0], [3]],
            "weight_shape": [4],
            "x": [0.1, 0.2],
        }
    ]
    theirs, ours = model.explain(rows, 2, **GL50), model.explain(SPARSE, 2, **GL50)
    assert theirs.attributions["words"][0] == pytest.approx(ours.attributions["words"][0])
    assert theirs.values[0] == pytest.approx(ours.values[0])


def test_without_weights_words_weigh_alike(tmp_path: Path) -> None:
    model = MetadataModel(models.sparse_words(tmp_path / "m", "sum"))
    heavy = model.predict({"words": [{"values": ["good"], "weights": [2.0]}], "x": [[0.0, 0.0]]})
    light = model.predict({"words": [["good"]], "x": [[0.0, 0.0]]})
    assert np.abs(heavy - light).max() > 0.01


def test_a_sparse_signature_of_tf2_is_fed_by_its_three_keys(tmp_path: Path) -> None:
    module = tf.Module()
    module.w = tf.Variable(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))

    @tf.function(input_signature=[tf.SparseTensorSpec([None, 4], tf.float32)])
    def serve(n: Any) -> Any:
        return {"y": tf.tanh(tf.sparse.sparse_dense_matmul(n, module.w))}

    tf.saved_model.save(module, str(tmp_path / "m"), signatures=serve)
    keys = list(saved_model.SavedModel.load(tmp_path / "m").signature().inputs.items())
    kinds = {(tensor.dtype, len(tensor.shape or ())): key for key, tensor in keys}
    numbers = {
        "input_tensor_name": kinds["float32", 1],
        "indices_tensor_name": kinds["int64", 2],
        "dense_shape_tensor_name": kinds["int64", 1],
        "encoding": "bag_of_features_sparse",
        "index_feature_mapping": ["a", "b", "c", "d"],
    }
    models.describe(tmp_path / "m", framework="tensorflow2", inputs={"n": numbers}, outputs={"y": {}})
    e = MetadataModel(tmp_path / "m").explain({"n": [{"values": [1.5, -2.0], "indices": [0, 2]}]}, 1, **GL50)
    sent = {kinds["float32", 1]: [1.5, -2.0], kinds["int64", 2]: [[0], [2]], kinds["int64", 1]: [4]}
    assert MetadataModel(tmp_path / "m").predict([sent])[0, 1] == pytest.approx(e.values[0])
    weights = module.w.numpy()
    assert e.values[0] == pytest.approx(np.tanh(1.5 * weights[0, 1] - 2 * weights[2, 1]))
    assert [bool(e.attributions[name][0]) for name in "abcd"] == [True, False, True, False]
    assert completes(e)


def test_sparse_numbers_are_zero_where_they_are_absent(tmp_path: Path) -> None:
    model = MetadataModel(models.sparse_numbers(tmp_path / "m"))
    rows = {"n": [{"values": [1.5, -2.0], "indices": [0, 2]}, {"values": [3.0], "indices": [3]}]}
    e = model.explain(rows, **GL50)
    assert list(e.attributions) == ["a", "b", "c", "d"]
    assert e.inputs["a"].tolist() == [1.5, 0.0]
    assert [bool(e.attributions[name][0]) for name in "abcd"] == [True, False, True, False]
    assert [bool(e.attributions[name][1]) for name in "abcd"] == [False, False, False, True]
    assert completes(e)
    assert e.values == pytest.approx(model.predict(rows))
    with pytest.raises(InputError, match="at most 4 values per row"):
        model.explain({"n": [{"values": [1.0], "indices": [4]}]})


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"values": ["good"], "indices": [0, 1]}, "as many indices as values"),
        ({"values": ["good", "bad"], "indices": [1, 1]}, "indices in 'words' that differ"),
        ({"values": ["good"], "weights": [1, 2]}, "as many weights as values"),
        ({"tokens": ["good"]}, "a list, or a dict of values"),
    ],
)
def test_wrong_sparse_rows_are_named(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    model = MetadataModel(models.sparse_words(tmp_path / "m"))
    with pytest.raises(InputError, match=words):
        model.explain({"words": [row], "x": [[0.0, 0.0]]})


# --- groups, labels, several encodings of one input -------------------------------------------------------------------
def test_a_group_is_one_feature_and_labels_may_come_from_the_model(tmp_path: Path) -> None:
    place = models.wide_and_deep(tmp_path / "m")
    model = MetadataModel(place)
    rows = {"word": ["good", "film"], "price": [1.0, -2.0]}
    assert model.columns == ("word", "price")
    with pytest.raises(InputError, match="one of word_wide, word_deep, word, word:0"):
        model.explain({"price": [1.0]})
    e = model.explain(rows, "dear", **GL50)
    assert set(e.attributions) == {"word", "price"}
    assert e.targets.tolist() == [1, 1]
    assert e.output_names == ("cheap", "dear")
    assert completes(e)
    content = json.loads((place / "explanation_metadata.json").read_text())
    for item in content["inputs"].values():
        item.pop("group_name", None)
    models.describe(place, **content)
    apart = MetadataModel(place).explain(rows, ["dear", "dear"], **GL50)
    assert list(apart.attributions) == [*models.WORDS, "word_deep", "price"]
    members = sum(apart.attributions[name] for name in (*models.WORDS, "word_deep"))
    assert e.attributions["word"] == pytest.approx(members, abs=1e-6)
    assert apart.attributions["film"][0] == 0
    assert apart.attributions["good"][0] != 0
    assert apart.inputs["word_deep"].tolist() == ["good", "film"]
    with pytest.raises(InputError, match="unknown label 'dead'; did you mean 'dear'"):
        model.explain(rows, "dead")


def test_the_highest_score_is_the_default_target(zips: MetadataModel) -> None:
    scores = zips.predict(ROWS)
    assert zips.explain(ROWS, **GL50).targets.tolist() == scores.argmax(axis=1).tolist()
    both = zips.explain(ROWS, "top2", **GL50)
    assert both.attributions["zip_codes"].shape == (3, 2, 2)
    assert both.attributions["age"].shape == (3, 2)
    assert completes(both)
    each = zips.explain(ROWS, ["no", "yes", "no"], **GL50)
    assert each.targets.tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="unknown label 'maybe'"):
        zips.explain(ROWS, "maybe")


def test_a_label_without_a_list_of_labels_is_an_error(tmp_path: Path) -> None:
    model = MetadataModel(models.celsius(tmp_path / "m"))
    with pytest.raises(InputError, match="has no index_name_mapping"):
        model.explain({"celsius": [1.0]}, "hot")


# --- names and signatures ---------------------------------------------------------------------------------------------
def test_a_tensor_inside_the_model_may_be_the_input(tmp_path: Path) -> None:
    model = MetadataModel(models.pixels(tmp_path / "m"))
    rows = {"bytes": [bytes([255, 0, 128, 64]), bytes(4)]}
    e = model.explain(rows, 1, **GL50)
    assert model.columns == ("bytes",)
    assert e.inputs["image"].shape == (2, 2, 2)
    assert e.inputs["image"][0] == pytest.approx(np.array([[1, 0], [128 / 255, 64 / 255]]))
    assert e.baselines["image"] == pytest.approx(np.full((2, 2, 2), 0.5))
    assert completes(e)
    sent = model.explain([{"bytes": {"b64": "/wCAQA=="}}], 1, **GL50)
    assert sent.attributions["image"][0] == pytest.approx(e.attributions["image"][0])


def test_rows_go_through_the_signature_for_preprocessing(tmp_path: Path) -> None:
    model = MetadataModel(models.preprocessed(tmp_path / "m"))
    assert model.columns == ("text",)
    e = model.explain({"text": ["1.0;2.0", "-1;0.5"]}, 2, **GL50)
    assert e.inputs["right"].tolist() == [2.0, 0.5]
    assert completes(e)
    ready = model.explain({"left": [1.0], "right": [2.0], "ones": [1]}, 2, **GL50)
    assert ready.attributions["left"][0] == pytest.approx(e.attributions["left"][0])
    loaded = tf.saved_model.load(str(tmp_path / "m")).signatures["serving_default"]
    served = loaded(text=tf.constant(["1.0;2.0", "-1;0.5"]))["scores"]
    assert model.predict({"text": ["1.0;2.0", "-1;0.5"]}) == pytest.approx(np.asarray(served))
    assert [problem.where for problem in model.problems()] == ["inputs.ones"]


def test_words_of_a_fixed_length_each_have_their_vector(tmp_path: Path) -> None:
    case = saved_models.words()
    inputs = {
        "text": {
            "input_tensor_name": "words",
            "encoded_tensor_name": "emb",
            "encoding": "concat_embedding",
            "modality": "text",
        }
    }
    model = MetadataModel(models.export(tmp_path / "m", case.model, inputs, index_name_mapping=["bad", "good"]))
    e = model.explain({"text": case.rows["words"]}, "good", **GL50)
    values, _, _ = case.direct(1)
    lstm, head = (case.model.get_layer(name) for name in ("lstm", "head"))
    direct = pyig.IntegratedGradients(lambda v: head(lstm(v)), backend="tensorflow").explain(
        np.asarray(values["words"]), target=1, **GL50
    )
    assert e.attributions["text"] == pytest.approx(np.asarray(direct.attributions).sum(axis=-1), abs=1e-6)
    assert e.inputs["text"].tolist() == case.rows["words"].tolist()
    assert completes(e)


def test_inputs_that_no_metadata_speaks_of_are_held_fixed(tmp_path: Path) -> None:
    case = saved_models.mixed()
    ids = {"input_tensor_name": "ids", "encoded_tensor_name": "emb", "encoding": "concat_embedding"}
    model = MetadataModel(models.export(tmp_path / "m", case.model, {"tokens": ids}))
    assert set(model.columns) == {"tokens", "numbers", "mask"}
    rows = {"tokens": case.rows["ids"], "numbers": case.rows["numbers"], "mask": case.rows["mask"]}
    e = model.explain(rows, **GL50)
    assert list(e.attributions) == ["tokens"]
    assert e.attributions["tokens"].shape == (2, 5)
    assert e.attributions["tokens"][0, 2] == 0  # masked
    assert np.count_nonzero(e.attributions["tokens"]) == 4
    assert e.inputs["tokens"].tolist() == case.rows["ids"].tolist()
    assert completes(e)
    with pytest.raises(InputError, match="expected a column for 'mask'"):
        model.explain({"tokens": rows["tokens"], "numbers": rows["numbers"]})


# --- what goes wrong --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        ({"a": {"input_tensor_name": "zip_codes:0"}}, {}, r"inputs\.a\.encoded_tensor_name: .*no gradients"),
        ({"a": {"input_tensor_name": "xx:0"}}, {}, r"inputs\.a\.input_tensor_name: no tensor 'xx:0'.*near"),
        (
            {"a": {"input_tensor_name": "zip_codes:0", "encoded_tensor_name": "zip_codes_embeding:0"}},
            {},
            r"inputs\.a\.encoded_tensor_name: no tensor.*near: zip_codes_embedding:0",
        ),
        (
            {"a": {"input_tensor_name": "zip_codes:0", "encoded_tensor_name": "zip_ids:0"}},
            {},
            r"inputs\.a\.encoded_tensor_name: expected a float tensor",
        ),
        (
            {"a": {"input_tensor_name": "x:0", "indices_tensor_name": "i:0", "dense_shape_tensor_name": "s:0"}},
            {},
            r"inputs\.a\.indices_tensor_name: expected an input of the model",
        ),
        ({"a": {"input_tensor_name": "x:0"}, "b": {}}, {}, r"inputs\.b\.input_tensor_name: expected the tensor"),
        (
            {"a": {"input_tensor_name": "x:0"}, "b": {"input_tensor_name": "x"}},
            {},
            r"inputs\.b: expected a tensor of its own",
        ),
        (
            {"a": {"input_tensor_name": "x:0"}},
            {"output_tensor_name": "dense/Sofmax:0"},
            r"outputs\.p\.output_tensor_name: no tensor 'dense/Sofmax:0'.*dense/Softmax:0",
        ),
        (
            {"a": {"input_tensor_name": "x:0"}},
            {"output_tensor_name": "zip_ids:0"},
            r"outputs\.p\.output_tensor_name: expected an output of floats",
        ),
        (
            {"a": {"input_tensor_name": "x:0"}},
            {"output_tensor_name": "dense/Softmax:0", "index_name_mapping": ["a", "b", "c"]},
            r"outputs\.p\.index_name_mapping: expected 2 labels",
        ),
        (
            {"a": {"input_tensor_name": "x:0"}},
            {"output_tensor_name": "dense/Softmax:0", "index_name_mapping_key": "classes"},
            r"outputs\.p\.index_name_mapping_key: unknown output 'classes'",
        ),
    ],
)
def test_wrong_names_are_found_before_anything_runs(
    inputs: dict[str, Any], output: dict[str, Any], words: str, zips: MetadataModel, tmp_path: Path
) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"framework": "tensorflow", "inputs": inputs, "outputs": {"p": output}}))
    with pytest.raises(InputError, match=f"(?s){words}"):
        MetadataModel(zips.path, metadata=path)


def test_a_missing_signature_and_a_foreign_framework_are_named(zips: MetadataModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown signature 'serve'"):
        MetadataModel(zips.path, signature="serve")
    path = tmp_path / "other.json"
    path.write_text('{"framework": "xgboost", "inputs": {"a": {}}, "outputs": {"p": {}}}')
    with pytest.raises(InputError, match="framework: expected tensorflow or tensorflow2"):
        MetadataModel(zips.path, metadata=path)
    path.write_text('{"inputs": {}}')
    with pytest.raises(InputError, match="inputs: expected at least one"):
        MetadataModel(zips.path, metadata=path)


def test_two_outputs_need_a_choice(zips: MetadataModel, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    outputs = {"p": {"output_tensor_name": "dense/Softmax:0"}, "z": {"output_tensor_name": "dense/Logits:0"}}
    path.write_text(json.dumps({"inputs": {"x": {"input_tensor_name": "x:0"}}, "outputs": outputs}))
    with pytest.raises(InputError, match="Choose with output="):
        MetadataModel(zips.path, metadata=path)
    model = MetadataModel(zips.path, metadata=path, output="z")
    e = model.explain({"x": [[1.0, 2.0]], "zip_codes": [["94043"]]}, 0, **GL50)
    assert not 0 < e.values[0] < 1
    assert completes(e)


def test_names_of_a_bag_must_fit_the_tensor(zips: MetadataModel, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    bag = {"input_tensor_name": "x:0", "encoding": "bag_of_features", "index_feature_mapping": ["a", "b", "c"]}
    path.write_text(json.dumps({"inputs": {"x": bag}, "outputs": {"p": {"output_tensor_name": "dense/Softmax:0"}}}))
    model = MetadataModel(zips.path, metadata=path)
    with pytest.raises(InputError, match=r"inputs\.x\.index_feature_mapping: expected a name for each of the 2"):
        model.explain({"x": [[1.0, 2.0]], "zip_codes": [["94043"]]})


def test_problems_are_listed_on_rows_and_without(zips: MetadataModel) -> None:
    assert list(zips.problems()) == []
    assert list(zips.problems(ROWS)) == []
    found = list(zips.problems([{"zip_codes": ["94043"], "age": 1}]))
    assert [(problem.level, problem.where) for problem in found] == [("error", "rows")]
    assert "height" in found[0].what


@pytest.mark.parametrize(
    "build", [models.zip_codes, models.sparse_words, models.sparse_numbers, models.wide_and_deep, models.preprocessed]
)
def test_invented_rows_find_no_problem_where_there_is_none(build: Any, tmp_path: Path) -> None:
    assert [problem for problem in MetadataModel(build(tmp_path / "m")).problems() if problem.where == "rows"] == []


def test_invented_rows_find_a_problem_where_there_is_one(tmp_path: Path) -> None:
    (found,) = MetadataModel(models.zip_codes(tmp_path / "m", encoded_baselines=[[1, 2]])).problems()
    assert (found.level, found.where) == ("warning", "rows")
    assert "encoded_baselines[0]" in found.what


def test_one_value_for_all_rows_may_come_as_a_column(tmp_path: Path) -> None:
    def build() -> Any:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        keep = tf.compat.v1.placeholder_with_default(1.0, [], name="keep")
        return {"x": x, "keep": keep}, {"y": tf.reduce_sum(x**2, axis=1) * keep}

    models.flat(tmp_path / "m", build)
    models.describe(tmp_path / "m", inputs={"x": {"input_tensor_name": "x:0"}}, outputs={"y": {}})
    model = MetadataModel(tmp_path / "m")
    assert model.columns == ("x",)
    assert model.explain({"x": [[1.0, 2.0]]}).attributions["x"] == pytest.approx(np.array([[1.0, 4.0]]))
    halves = model.explain({"x": [[1.0, 2.0], [0.0, 2.0]], "keep": [0.5, 0.5]})
    assert halves.attributions["x"] == pytest.approx(np.array([[0.5, 2.0], [0.0, 2.0]]))
    with pytest.raises(InputError, match="'keep' to fit"):
        model.explain({"x": [[1.0, 2.0], [0.0, 2.0]], "keep": [0.5, 1.0]})


def test_the_description_is_json(zips: MetadataModel) -> None:
    said = json.loads(json.dumps(zips.describe()))
    assert said["features"]["zip_codes"]["explained"] == "zip_codes_embedding:0"
    assert said["columns"] == ["zip_codes", "age", "height"]
    assert said["labels"] == ["no", "yes"]


def test_an_explanation_is_saved_and_loaded(zips: MetadataModel, tmp_path: Path) -> None:
    e = zips.explain(ROWS, **GL50)
    e.save(tmp_path / "e.npz")
    assert pyig.Explanation.load(tmp_path / "e.npz") == e
    frame = e.to_frame()
    assert set(frame["feature"]) == {"zip_codes[0]", "zip_codes[1]", "age", "height"}


def test_a_model_whose_vector_is_no_sum_gives_its_words_together(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32", name="ids")
    most = keras.layers.GlobalMaxPooling1D(name="most")(keras.layers.Embedding(9, 4, name="emb")(ids))
    model = keras.Model(ids, keras.layers.Dense(1, activation="sigmoid")(most))
    inputs = {"ids": {"input_tensor_name": "ids", "encoded_tensor_name": "most", "encoding": "combined_embedding"}}
    artifact = MetadataModel(models.export(tmp_path / "m", model, inputs))
    e = artifact.explain({"ids": [[1, 2, 3], [4, 4, 5]]}, **GL50)
    assert e.inputs["ids"].tolist() == ["1, 2, 3", "4, 4, 5"]
    assert e.attributions["ids"].shape == (2,)
    assert completes(e)
