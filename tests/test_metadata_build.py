"""A first metadata file from a Keras model, from the signature of a SavedModel, and from a torch module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import metadata_models as models
import numpy as np
import pytest
import saved_models
import torch
from metadata_files import sdk_parse

from pyig.artifacts import metadata as md
from pyig.artifacts.metadata_model import MetadataModel
from pyig.errors import InputError, InputTypeError

QUICK = {"n_steps": 30, "progress": False}


def complete(path: Path, made: md.Metadata, rows: dict[str, Any], **options: Any) -> Any:
    """Write metadata beside a model, have the SDK read it, and explain rows with it."""
    md.write(made, path)
    sdk_parse((path / md.FILE_NAME).read_text(encoding="utf-8"))
    e = MetadataModel(path).explain(rows, **QUICK, **options)
    total = sum(part.reshape(len(part), -1).sum(axis=1) for part in e.attributions.values())
    assert total == pytest.approx(e.values - e.baseline_values, abs=1e-5)
    assert np.abs(e.values - e.baseline_values).max() > 1e-3
    return e


@pytest.mark.parametrize("name", ["embedding", "words", "mixed"])
def test_a_keras_model_proposes_its_encodings(name: str, tmp_path: Path) -> None:
    case = saved_models.CASES[name]()
    case.save(tmp_path)
    made = md.build(case.model)
    assert made.framework == "tensorflow2"
    encoded = {item.name: (item.encoded_tensor_name, item.encoding) for item in made.inputs if item.encoded_tensor_name}
    assert encoded == dict.fromkeys(case.encoded, ("emb", "concat_embedding"))
    if name == "mixed":
        with pytest.raises(InputError, match=r"inputs\.mask\.encoded_tensor_name"):
            complete(tmp_path, made, case.rows)
        made = md.Metadata(**{**vars(made), "inputs": tuple(i for i in made.inputs if i.name != "mask")})
    e = complete(tmp_path, made, case.rows)
    assert set(e.attributions) == {item.name for item in made.inputs}


@pytest.mark.parametrize("name", ["embedding", "words", "zip codes"])
def test_a_signature_proposes_tensors_that_can_be_explained(name: str, tmp_path: Path) -> None:
    case = saved_models.CASES[name]()
    case.save(tmp_path)
    made = md.build(tmp_path)
    (key,) = case.encoded
    item = next(item for item in made.inputs if item.name == key)
    assert item.encoded_tensor_name
    assert item.encoding == ("combined_embedding" if name == "zip codes" else "concat_embedding")
    assert made.framework == ("tensorflow" if name == "zip codes" else "tensorflow2")
    complete(tmp_path, made, case.rows)


def test_what_is_known_beforehand_is_written(tmp_path: Path) -> None:
    models.zip_codes(tmp_path)
    made = md.build(
        tmp_path,
        signature="both",
        output="logits",
        feature_names={"x": ["age", "height"]},
        baselines={"x": [[0.5, 1.5]]},
        labels=["no", "yes"],
    )
    assert made.serving_sigdef_key == "both"
    x = next(item for item in made.inputs if item.name == "x")
    assert (x.encoding, x.index_feature_mapping) == ("bag_of_features", ("age", "height"))
    e = complete(tmp_path, made, {"zip_codes": [["94043"]], "age": [1.0], "height": [2.0]}, target="yes")
    assert e.baselines["height"] == pytest.approx([1.5])
    assert MetadataModel(tmp_path).model.key == "both"


def test_an_exported_signature_has_the_names_of_the_sdks_own_builder(tmp_path: Path) -> None:
    from explainable_ai_sdk.metadata.tf.v2 import SavedModelMetadataBuilder

    models.celsius(tmp_path / "m")
    theirs = SavedModelMetadataBuilder(str(tmp_path / "m")).get_metadata()
    ours = md.to_dict(md.build(tmp_path / "m"))
    assert ours["framework"] == theirs["framework"]
    for part, key in (("inputs", "input_tensor_name"), ("outputs", "output_tensor_name")):
        assert {k: v[key] for k, v in ours[part].items()} == {k: v[key] for k, v in theirs[part].items()}
    ours_keras = md.to_dict(md.build(keras.Sequential([keras.Input((1,), name="celsius"), keras.layers.Dense(1)])))
    assert ours_keras["inputs"]["celsius"]["input_tensor_name"] == "celsius"
    assert ours_keras["outputs"] == ours["outputs"]


def test_several_outputs_of_a_keras_model(tmp_path: Path) -> None:
    x = keras.Input((2,), name="x")
    model = keras.Model(x, {"price": keras.layers.Dense(1)(x), "rank": keras.layers.Dense(3)(x)})
    with pytest.raises(InputError, match="expected output= as one of price, rank"):
        md.build(model)
    with pytest.raises(InputError, match="unknown output 'prize'; did you mean 'price'"):
        md.build(model, output="prize")
    model.export(str(tmp_path), verbose=False)
    complete(tmp_path, md.build(model, output="rank", labels=["a", "b", "c"]), {"x": [[1.0, 2.0]]}, target="c")
    with pytest.raises(InputError, match="expected output= as one of price, rank"):
        md.build(tmp_path)
    assert md.build(tmp_path, output="price").outputs[0].output_tensor_name == "price"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras, as it saves
def test_a_file_of_keras_is_as_good_as_the_model(tmp_path: Path) -> None:
    case = saved_models.embedding()
    case.model.save(tmp_path / "m.keras")
    assert md.build(tmp_path / "m.keras") == md.build(case.model)
    with pytest.raises(InputError, match=r"a SavedModel directory, or a \.keras or \.h5 file"):
        md.build(Path(__file__))


def test_tf_keras_outputs_are_named_by_their_layers() -> None:
    import tf_keras

    x = tf_keras.Input((2,), name="x")
    made = md.build(tf_keras.Model(x, tf_keras.layers.Dense(1, name="price")(x)))
    assert made.inputs[0].input_tensor_name == "x"
    assert made.outputs[0].output_tensor_name == "price"


class Two(torch.nn.Module):
    def forward(self, table: Any, scale: Any, mask: Any = None) -> Any:
        return table * scale


def test_a_torch_module_gets_the_keys_that_its_framework_may_have() -> None:
    made = md.build(Two(), feature_names={"table": ["a", "b"]}, baselines={"table": [0], "scale": [1]}, labels=["y"])
    text = md.to_json(made)
    assert [item.name for item in sdk_parse(text).inputs] == ["table", "scale"]
    written = md.to_dict(made)
    allowed = {"input_baselines", "modality", "group_name", "encoding", "index_feature_mapping"}
    assert all(entry.keys() <= allowed for entry in written["inputs"].values())
    assert written["outputs"] == {"output": {"index_name_mapping": ["y"]}}
    same = md.to_json(md.Metadata(**{**vars(made), "framework": "custom_container"}))
    assert sdk_parse(same).framework == "custom_container"  # whose keys the parser does check


@pytest.mark.parametrize(
    ("model", "options", "error", "words"),
    [
        (Two(), {"baselines": {"tables": [0]}}, InputError, "unknown input 'tables'; did you mean 'table'"),
        (Two(), {"baselines": {"table": [0] * 11}}, InputError, "at most 10 baselines"),
        (Two(), {"baselines": {"table": [0], "scale": [0, 1]}}, InputError, "as many baselines"),
        (Two(), {"feature_names": {"table": ["a", "a"]}}, InputError, "'a' is there twice"),
        (3, {}, InputTypeError, "expected a SavedModel directory"),
        (keras.Sequential([keras.layers.Dense(1)]), {}, InputError, "Export it, and build from the directory"),
    ],
)
def test_nothing_invalid_is_built(model: Any, options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        md.build(model, **options)
