"""Metadata that do not fit their model are refused before it runs; what else is wrong is listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import metadata_models as models
import pytest
from metadata_runs import GL50, ROWS, completes

from pyig.artifacts.metadata_model import MetadataModel
from pyig.errors import InputError


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> MetadataModel:
    return MetadataModel(models.zip_codes(tmp_path_factory.mktemp("zip") / "m"))


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
