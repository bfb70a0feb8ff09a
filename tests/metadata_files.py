"""Metadata files: good ones of every kind, and malformed ones with what is wrong in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pyig.artifacts.metadata_spelling import KNOWN

ZIP_CODES: dict[str, Any] = {
    "framework": "tensorflow",
    "inputs": {
        "zip_codes": {
            "input_tensor_name": "zip_codes:0",
            "encoded_tensor_name": "zip_codes_embedding:0",
            "encoding": "combined_embedding",
            "modality": "categorical",
        },
        "measurements": {
            "input_tensor_name": "x:0",
            "encoding": "bag_of_features",
            "index_feature_mapping": ["age", "height", "weight"],
            "input_baselines": [[40, 1.7, 70]],
        },
    },
    "outputs": {"probability": {"output_tensor_name": "dense/Softmax:0", "index_name_mapping": ["no", "yes"]}},
}
CELSIUS: dict[str, Any] = {
    "framework": "tensorflow2",
    "inputs": {"degrees_celsius": {"input_tensor_name": "celsius", "input_baselines": [0]}},
    "outputs": {"degrees_fahrenheit": {"output_tensor_name": "output_0"}},
}
IMAGE: dict[str, Any] = {
    "framework": "TensorFlow",
    "inputs": {
        "image": {
            "input_tensor_name": "input_pixels:0",
            "modality": "image",
            "domain": {"min": 0, "max": 1.0, "original_mean": 0.4, "original_stddev": 0.2},
            "input_baselines": [0, 1],
            "visualization": {
                "type": "Outlines",
                "polarity": "positive",
                "color_map": "pink_green",
                "clip_above_percentile": 99.9,
                "clip_below_percentile": 62,
                "overlay_type": "mask_black",
            },
        }
    },
    "outputs": {"label": {"output_tensor_name": "scores:0", "index_name_mapping_key": "classes"}},
    "tags": ["explainable_ai_sdk"],
    "serving_sigdef_key": "predict",
    "preparer_version": "1.0.12-beta",
}
SPARSE: dict[str, Any] = {
    "framework": "tensorflow",
    "inputs": {
        "words": {
            "input_tensor_name": "values:0",
            "indices_tensor_name": "indices:0",
            "dense_shape_tensor_name": "shape:0",
            "weight_values_name": "w:0",
            "weight_indices_name": "wi:0",
            "weight_dense_shape_name": "ws:0",
            "encoded_tensor_name": "encoded:0",
            "encoding": "combined_embedding",
            "encoded_baselines": [[0.1, 0.2], 0],
            "group_name": "text",
            "gradient_tensor_names": {"y": "grad:0"},
            "gradient_tensor_dtypes": {"y": "float32"},
        },
        "tags": {
            "input_tensor_name": "tags:0",
            "encoding": "indicator",
            "index_feature_mapping": ["a", "b"],
            "input_baselines": [0, [1, 1]],
            "is_sequential": True,
        },
    },
    "outputs": {"y": {"output_tensor_name": "y:0"}},
    "embeddings": {"example": {"embedding_tensor_name": "last:0", "embedding_tensor_dtype": "float32"}},
    "sigdef_inputs": {"bytes": {"sigdef_input_tensor_name": "bytes:0"}},
}
PLAIN: dict[str, Any] = {
    "framework": "xgboost",
    "inputs": {"table": {"encoding": "bag_of_features", "index_feature_mapping": ["a", "b"], "input_baselines": [0]}},
    "outputs": {"price": {}},
}
GOOD = {"zip codes": ZIP_CODES, "celsius": CELSIUS, "image": IMAGE, "sparse": SPARSE, "plain": PLAIN}


def changed(base: dict[str, Any], *path: str, **keys: Any) -> str:
    """Return the text of a file with some keys of one object set."""
    data = json.loads(json.dumps(base))
    place = data
    for key in path:
        place = place[key]
    place.update(keys)
    return json.dumps(data)


def sdk_parse(text: str) -> Any:
    """Parse as the open SDK does; a missing SDK is a failure, as `make test` installs it."""
    from explainable_ai_sdk.common import explain_metadata

    return explain_metadata.ExplainMetadata.from_json(text)


def mutants(draw: Callable[[SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """Draw a good file with some keys removed, added, or set to something else."""
    data = json.loads(json.dumps(draw(st.sampled_from(list(GOOD.values())))))
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(["", "inputs", "outputs", "embeddings", "sigdef_inputs"]))
        place = data if not part else data.get(part)
        if part and isinstance(place, dict) and place:
            place = place[draw(st.sampled_from(list(place)))]
        if not isinstance(place, dict):
            continue
        if place and draw(st.booleans()):
            place.pop(draw(st.sampled_from(list(place))))
        else:
            place[draw(st.sampled_from(KNOWN[part]))] = deepcopy(draw(st.sampled_from(ANYTHING)))
    return data


ANYTHING: list[Any] = [
    None, 0, 1.5, "x", "", [], [0], ["a", "a"], ["a", "b"], [[1]], {}, {"min": 0}, {"min": 0, "max": 1}, True, False,
    "identity", "indicator", "combined_embedding", "image", "1.2.3", {"type": "pixels"}, {"y": "g"}, [0] * 11,
    "tensorflow", "xgboost", "pytorch",
]  # fmt: skip

_ZIP, _AGES, _OUT = ("inputs", "zip_codes"), ("inputs", "measurements"), ("outputs", "probability")
_C = ("inputs", "degrees_celsius")
MALFORMED: dict[str, tuple[str, str]] = {  # what is wrong: the file, and the words that name the place
    "no json": ("inputs: x", "line 1"),
    "cut off": (json.dumps(CELSIUS)[:-3], "line 1"),
    "a list": ("[]", "expected an object"),
    "unknown top-level key": (changed(CELSIUS, parameters={}), "parameters"),
    "unknown framework": (changed(CELSIUS, framework="tensorflow3"), "framework"),
    "framework null": (changed(CELSIUS, framework=None), "framework"),
    "framework a number": (changed(CELSIUS, framework=2), "framework"),
    "inputs a list of names": (changed(CELSIUS, inputs=["x"]), "inputs"),
    "input a text": (changed(CELSIUS, "inputs", degrees_celsius="x"), "inputs.degrees_celsius"),
    "unknown input key": (changed(CELSIUS, *_C, input_baseline=[0]), "inputs.degrees_celsius.input_baseline"),
    "unknown output key": (changed(ZIP_CODES, *_OUT, labels=["a"]), "outputs.probability.labels"),
    "tensor name a number": (changed(CELSIUS, *_C, input_tensor_name=7), "inputs.degrees_celsius.input_tensor_name"),
    "baselines no list": (changed(CELSIUS, *_C, input_baselines=0), "inputs.degrees_celsius.input_baselines"),
    "baselines an object": (changed(CELSIUS, *_C, input_baselines={"0": 0}), "input_baselines"),
    "a range and a null for its encoding": (
        changed(CELSIUS, *_C, encoding=None, domain={"min": 0, "max": 1}),
        "inputs.degrees_celsius.encoding",
    ),
    "eleven baselines": (changed(CELSIUS, *_C, input_baselines=[0] * 11), "inputs.degrees_celsius.input_baselines"),
    "eleven encoded baselines": (
        changed(ZIP_CODES, *_ZIP, encoded_baselines=[0] * 11),
        "inputs.zip_codes.encoded_baselines",
    ),
    "both kinds of baselines": (
        changed(ZIP_CODES, *_ZIP, input_baselines=["0"], encoded_baselines=[0]),
        "inputs.zip_codes",
    ),
    "unequal counts": (changed(ZIP_CODES, *_ZIP, encoded_baselines=[0, 1]), "zip_codes: 2, measurements: 1"),
    "unknown encoding": (changed(CELSIUS, *_C, encoding="onehot"), "inputs.degrees_celsius.encoding"),
    "unknown modality": (changed(CELSIUS, *_C, modality="audio"), "inputs.degrees_celsius.modality"),
    "bag without names": (
        changed(CELSIUS, *_C, encoding="bag_of_features"),
        "inputs.degrees_celsius.index_feature_mapping",
    ),
    "sparse bag without names": (changed(CELSIUS, *_C, encoding="bag_of_features_sparse"), "index_feature_mapping"),
    "indicator without names": (changed(CELSIUS, *_C, encoding="indicator"), "index_feature_mapping"),
    "names no list": (changed(ZIP_CODES, *_AGES, index_feature_mapping="age"), "index_feature_mapping"),
    "a name twice": (
        changed(ZIP_CODES, *_AGES, index_feature_mapping=["age", "age", "weight"]),
        "inputs.measurements.index_feature_mapping",
    ),
    "a name that is a list": (changed(ZIP_CODES, *_AGES, index_feature_mapping=[["age"]]), "index_feature_mapping"),
    "domain with a strange key": (changed(CELSIUS, *_C, domain={"mean": 0}), "inputs.degrees_celsius.domain.mean"),
    "domain without max": (changed(CELSIUS, *_C, domain={"min": 0}), "inputs.degrees_celsius.domain"),
    "domain of text": (changed(CELSIUS, *_C, domain={"min": "0", "max": "1"}), "inputs.degrees_celsius.domain"),
    "domain upside down": (changed(CELSIUS, *_C, domain={"min": 1, "max": 0}), "inputs.degrees_celsius.domain"),
    "domain with a bag": (changed(ZIP_CODES, *_AGES, domain={"min": 0, "max": 1}), "inputs.measurements.domain"),
    "indices without a shape": (changed(CELSIUS, *_C, indices_tensor_name="i:0"), "dense_shape_tensor_name"),
    "a shape without indices": (changed(CELSIUS, *_C, dense_shape_tensor_name="s:0"), "indices_tensor_name"),
    "weights in part": (changed(CELSIUS, *_C, weight_values_name="w:0"), "weight_indices_name"),
    "gradients of other outputs": (
        changed(CELSIUS, *_C, gradient_tensor_names={"a": "g"}, gradient_tensor_dtypes={"b": "float32"}),
        "inputs.degrees_celsius.gradient_tensor_dtypes",
    ),
    "is_sequential a text": (changed(CELSIUS, *_C, is_sequential="yes"), "inputs.degrees_celsius.is_sequential"),
    "visualization a text": (changed(CELSIUS, *_C, visualization="pixels"), "inputs.degrees_celsius.visualization"),
    "a label twice": (changed(ZIP_CODES, *_OUT, index_name_mapping=["a", "a"]), "outputs.probability.index_name"),
    "labels and a key of labels": (
        changed(ZIP_CODES, *_OUT, index_name_mapping_key="classes"),
        "outputs.probability.index_name_mapping",
    ),
    "labels no list": (changed(ZIP_CODES, *_OUT, index_name_mapping="no"), "outputs.probability.index_name_mapping"),
    "no tensor at all": (changed(CELSIUS, inputs={"x": {}}), "input_tensor_name"),
    "no inputs": (changed(CELSIUS, inputs={}), "input_tensor_name"),
    "a tensor name in xgboost": (
        changed(PLAIN, "inputs", "table", input_tensor_name="x"),
        "inputs.table.input_tensor_name",
    ),
    "an output tensor in a container": (
        changed({**PLAIN, "framework": "custom_container"}, "outputs", "price", output_tensor_name="y"),
        "outputs.price.output_tensor_name",
    ),
    "a version without parts": (changed(CELSIUS, preparer_version="1.2"), "preparer_version"),
    "a version with zeros": (changed(CELSIUS, preparer_version="01.2.3"), "preparer_version"),
    "tags a text": (changed(CELSIUS, tags="mine"), "tags"),
    "a signature that is a number": (changed(CELSIUS, serving_sigdef_key=1), "serving_sigdef_key"),
    "an embedding without tensor": (changed(CELSIUS, embeddings={"e": {}}), "embeddings.e"),
    "unknown embedding key": (
        changed(CELSIUS, embeddings={"e": {"embedding_tensor_name": "e:0", "size": 3}}),
        "embeddings.e.size",
    ),
    "unknown sigdef key": (changed(CELSIUS, sigdef_inputs={"b": {"name": "b:0"}}), "sigdef_inputs.b.name"),
}
