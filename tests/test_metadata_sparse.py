"""Sparse tensors of a metadata file: three parts, weights, and what is absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import metadata_models as models
import numpy as np
import pytest
import tensorflow as tf
from metadata_runs import GL50, SPARSE, completes

from pyig.artifacts import saved_model
from pyig.artifacts.metadata_model import MetadataModel
from pyig.errors import InputError


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
    alone = counted.explain(SPARSE, 2, batch_size=1, **GL50)
    assert alone.attributions["words"] == pytest.approx(one.attributions["words"], abs=1e-6)
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


EXAMPLES = [models.serialised(["good", "film"], [0.1, 0.2]), models.serialised([], [1.0, -1.0])]


def test_serialised_examples_are_explained_in_what_was_parsed(tmp_path: Path) -> None:
    parsed = MetadataModel(models.examples(tmp_path / "parsed"))
    fed = MetadataModel(models.sparse_words(tmp_path / "fed", "mean", weighted=False))
    assert parsed.columns == ("examples",)
    one = parsed.explain({"examples": EXAMPLES}, 2, **GL50)
    other = fed.explain({"words": [["good", "film"], []], "x": [[0.1, 0.2], [1.0, -1.0]]}, 2, **GL50)
    for name in ("words", "x"):
        assert one.attributions[name] == pytest.approx(other.attributions[name], abs=1e-6)
        assert one.inputs[name].tolist() == other.inputs[name].tolist()
    assert np.count_nonzero(one.attributions["words"]) == 2
    assert completes(one)


def test_baselines_of_parsed_words_are_words(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"input_baselines": [["bad", "the"]]}
    parsed = MetadataModel(models.examples(tmp_path / "parsed", **keys)).explain({"examples": EXAMPLES}, 2, **GL50)
    fed = MetadataModel(models.sparse_words(tmp_path / "fed", "mean", weighted=False, **keys))
    other = fed.explain({"words": [["good", "film"], []], "x": [[0.1, 0.2], [1.0, -1.0]]}, 2, **GL50)
    assert parsed.baseline_values == pytest.approx(other.baseline_values)
    assert parsed.attributions["words"] == pytest.approx(other.attributions["words"], abs=1e-6)
    assert parsed.baselines["words"][0].tolist() == ["bad", "the"]


def test_a_parsed_tensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    place = models.examples(tmp_path / "m", indices_tensor_name="word_indices:0")
    with pytest.raises(InputError, match=r"(?s)inputs\.words\.indices_tensor_name: no tensor.*near: words_indices:0"):
        MetadataModel(place)
    place = models.examples(tmp_path / "other", encoded_tensor_name=None, encoding="identity")
    with pytest.raises(
        InputError, match=r"inputs\.words\.encoded_tensor_name: expected the tensor, with a row per row"
    ):
        MetadataModel(place)
