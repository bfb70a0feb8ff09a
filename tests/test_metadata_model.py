"""SavedModels explained by their metadata: encodings, rows, groups, labels, signatures."""

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
from metadata_runs import GL50, ROWS, completes

import pyig
import pyig.artifacts
from pyig.artifacts import metadata_rows
from pyig.artifacts.metadata_model import MetadataModel, MetadataOpener
from pyig.artifacts.signatures import Tensor
from pyig.errors import InputError, InputTypeError


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
    with pytest.raises(InputError, match="unknown metadata option 'signatur'; did you mean 'signature'"):
        pyig.artifacts.load(place, signatur="serve")
    (place / "explanation_metadata.json").unlink()
    assert not MetadataOpener.recognises(place)


def test_rows_come_as_frames_dicts_and_lists(zips: MetadataModel) -> None:
    table = {name: [row[name] for row in ROWS] for name in ("zip_codes", "age", "height")}
    tensors = {
        "zip_codes": np.char.encode(table["zip_codes"], "utf-8"),
        "x": [[row["age"], row["height"]] for row in ROWS],
    }
    bag = {"zip_codes": table["zip_codes"], "measurements": tensors["x"]}
    first = zips.explain(ROWS, **GL50)
    for rows in (table, pd.DataFrame(table), tensors, bag):
        assert (
            zips.explain(rows, **GL50) == first or zips.explain(rows, **GL50).values.tolist() == first.values.tolist()
        )
    assert zips.columns == ("zip_codes", "age", "height")


def test_bytes_keep_the_zeros_at_their_end() -> None:
    place = Tensor("raw", "raw:0", "string", (None,))
    assert metadata_rows.dense([b"a\0", b"\0\0"], place, "raw").tolist() == [b"a\0", b"\0\0"]
    nested = Tensor("raw", "raw:0", "string", (None, None))
    assert metadata_rows.dense([[b"a\0", b"b"]], nested, "raw").tolist() == [[b"a\0", b"b"]]


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([{"zip_codes": ["1", "2"], "age": 1}], InputError, "height"),
        ([{"zip_codes": [1, 2], "age": 1, "height": 1}], InputTypeError, "in 'zip_codes'; got 1. .* --text"),
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
    against = zips.explain(ROWS, "yes", contrast="no", **GL50)
    assert against.values == pytest.approx(scores[:, 1] - scores[:, 0])
    assert completes(against)
    each = zips.explain(ROWS, ["no", "yes", "no"], **GL50)
    assert each.targets.tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="unknown label 'maybe'"):
        zips.explain(ROWS, "maybe")


def test_a_label_without_a_list_of_labels_is_an_error(tmp_path: Path) -> None:
    model = MetadataModel(models.celsius(tmp_path / "m"))
    with pytest.raises(InputError, match="has no index_name_mapping"):
        model.explain({"celsius": [1.0]}, "hot")


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
    with pytest.raises(InputError, match=r"inputs\.pair"):  # the file speaks of the other signature
        MetadataModel(tmp_path / "m", signature="serving_default")


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


def test_one_value_for_all_rows_may_come_as_a_column(tmp_path: Path) -> None:
    def build() -> Any:
        x = tf.compat.v1.placeholder(tf.float32, [None, 2], name="x")
        keep = tf.compat.v1.placeholder_with_default(1.0, [], name="keep")
        return {"x": x, "keep": keep}, {"y": tf.reduce_sum(x**2, axis=1) * keep}

    models.flat(tmp_path / "m", build)
    models.describe(tmp_path / "m", inputs={"x": {"input_tensor_name": "x:0"}}, outputs={"y": {}})
    model = MetadataModel(tmp_path / "m")
    assert model.columns == ("x",)
    assert model.explain({"x": [[1.0, 2.0]]}).attributions["x"] == pytest.approx(np.array([[1.0, 4.0]]), rel=1e-4)
    halves = model.explain({"x": [[1.0, 2.0], [0.0, 2.0]], "keep": [0.5, 0.5]})
    assert halves.attributions["x"] == pytest.approx(np.array([[0.5, 2.0], [0.0, 2.0]]), rel=1e-4)
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
