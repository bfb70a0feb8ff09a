"""explanation_metadata.json: read, written, spelled otherwise, malformed; the open SDK's parser is the judge."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata_files import CELSIUS, GOOD, MALFORMED, SPARSE, ZIP_CODES, changed, mutants, sdk_parse

from pyig.artifacts import metadata as md
from pyig.errors import InputError, InputTypeError


# --- round trip -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_a_file_is_read_and_written_without_loss(data: dict[str, Any], tmp_path: Path) -> None:
    read = md.parse(json.dumps(data))
    path = md.write(read, tmp_path)
    assert path == tmp_path / "explanation_metadata.json"
    assert md.read(tmp_path) == md.read(path) == read
    written = json.loads(path.read_text(encoding="utf-8"))
    for part in ("inputs", "outputs"):
        assert list(written[part]) == list(data[part])
        for name, entry in data[part].items():
            shown = (
                {"visualization": {**entry["visualization"], "type": "outlines"}} if "visualization" in entry else {}
            )
            assert {**written[part][name], **entry, **shown} == written[part][name]


names = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",)), min_size=1, max_size=8)
numbers = st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6)
values = numbers | st.lists(numbers, max_size=3) | st.lists(names, min_size=1, max_size=2)


@st.composite
def inputs(draw: st.DrawFn, name: str, count: int) -> md.Input:
    """Draw one valid input of a TensorFlow model."""
    encoding = draw(st.sampled_from(md.ENCODINGS))
    maybe = st.none() | names
    encoded = draw(names) if encoding.endswith("embedding") else draw(maybe)
    baselines = draw(st.none() | st.tuples(*[values] * count)) if count else None
    low, high = sorted(draw(st.tuples(numbers, numbers)))
    sparse, weighted = draw(st.booleans()), draw(st.booleans())
    key = "encoded_baselines" if encoded and draw(st.booleans()) else "input_baselines"
    mapping = tuple(draw(st.lists(names, unique=True, max_size=3)))
    return md.Input(
        name=name,
        input_tensor_name=draw(names),
        input_tensor_dtype=draw(maybe),
        encoding=encoding,
        modality=draw(st.sampled_from(md.MODALITIES)),
        index_feature_mapping=mapping if encoding in md.NAMED or draw(st.booleans()) else None,
        encoded_tensor_name=encoded,
        indices_tensor_name=draw(names) if sparse else None,
        dense_shape_tensor_name=draw(names) if sparse else None,
        weight_values_name=draw(names) if weighted else None,
        weight_indices_name=draw(names) if weighted else None,
        weight_dense_shape_name=draw(names) if weighted else None,
        domain={"min": low, "max": high} if encoding == "identity" and draw(st.booleans()) else None,
        group_name=draw(maybe),
        is_sequential=draw(st.booleans()),
        **{key: baselines},
    )


@st.composite
def metadata(draw: st.DrawFn) -> md.Metadata:
    """Draw valid metadata of a TensorFlow model."""
    count = draw(st.integers(0, 3))
    labels = draw(st.lists(names, unique=True, max_size=4))
    output = md.Output(name=draw(names), output_tensor_name=draw(st.none() | names), index_name_mapping=tuple(labels))
    return md.Metadata(
        framework=draw(st.sampled_from(["tensorflow", "tensorflow2"])),
        inputs=tuple(draw(inputs(name, count)) for name in draw(st.lists(names, unique=True, min_size=1, max_size=3))),
        outputs=(output,),
        tags=tuple(draw(st.lists(names, max_size=2))),
        preparer_version=draw(st.none() | st.just("0.1.2")),
    )


@given(metadata())
def test_what_is_written_is_read_again(made: md.Metadata) -> None:
    assert md.parse(md.to_json(made)) == made


@given(metadata())
def test_the_sdk_accepts_what_is_written(made: md.Metadata) -> None:
    text = md.to_json(made)
    theirs = sdk_parse(text)
    assert [item.name for item in theirs.inputs] == [item.name for item in made.inputs]
    assert [item.encoding for item in theirs.inputs] == [item.encoding for item in made.inputs]
    assert theirs.framework == made.framework
    assert md.parse(theirs.to_json()).framework == made.framework  # and what it writes is read here


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_the_sdk_accepts_the_good_files_as_they_are_and_as_written_here(data: dict[str, Any]) -> None:
    for text in (json.dumps(data), md.to_json(md.parse(json.dumps(data)))):
        theirs = sdk_parse(text).to_dict()
        assert theirs["inputs"].keys() == data["inputs"].keys()


def test_numpy_is_written_as_numbers() -> None:
    made = md.Input(name="a", input_tensor_name="x", input_baselines=(np.float32(0.5), np.array([1, 2])))
    text = md.to_json(md.Metadata(inputs=(made,)))
    assert md.parse(text).inputs[0].input_baselines == (0.5, [1, 2])


@pytest.mark.parametrize(
    ("made", "error", "words"),
    [
        (md.Input(name="a", encoding="onehot"), InputError, "inputs.a.encoding"),
        (md.Input(name="a", input_tensor_name="x", input_baselines=(object(),)), InputTypeError, "inputs.a.input_base"),
    ],
)
def test_nothing_invalid_is_written(made: md.Input, error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        md.write(md.Metadata(inputs=(made,)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_inputs_of_one_name_are_not_written_as_one() -> None:
    with pytest.raises(InputError, match="names that differ"):
        md.to_json(md.Metadata(inputs=(md.Input(name="a"), md.Input(name="a"))))


# --- malformed --------------------------------------------------------------------------------------------------------
def test_there_are_enough_malformed_files() -> None:
    assert len(MALFORMED) >= 20


@pytest.mark.parametrize(("text", "words"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_refused_as_the_sdk_does(text: str, words: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - the SDK raises whatever its Python runs into
        sdk_parse(text)
    with pytest.raises(InputError) as caught:
        md.parse(text)
    assert words in str(caught.value)


@settings(max_examples=300)
@given(st.composite(mutants)())
def test_what_the_sdk_refuses_is_refused_and_what_is_read_can_be_written(data: dict[str, Any]) -> None:
    try:
        found = md.from_dict(data)
    except InputError:
        return  # the parser passes some of it: an empty text for an object, an embedding without its tensor
    assert sdk_parse(json.dumps(data))
    assert md.parse(md.to_json(found)) == found
    assert sdk_parse(md.to_json(found))


def test_every_fault_is_named_at_once() -> None:
    data = json.loads(changed(CELSIUS, "inputs", "degrees_celsius", encodng="identity", input_baselines=3))
    with pytest.raises(InputError, match=r"(?s)encodng.*'encoding'\? The keys.*\n.*input_baselines: expected a list"):
        md.from_dict(data)


def test_an_embedding_without_its_tensor_is_refused_although_the_sdk_takes_it() -> None:
    text = changed(ZIP_CODES, "inputs", "zip_codes", encoded_tensor_name=None)
    assert sdk_parse(text).inputs[0].encoded_tensor_name is None
    with pytest.raises(InputError, match=r"inputs\.zip_codes\.encoded_tensor_name: expected encoded_tensor_name"):
        md.parse(text)


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"explanation_metadata\.json"):
        md.read(tmp_path)


# --- commas -----------------------------------------------------------------------------------------------------------
COMMAS = '{"inputs": {"a": {\n  "input_tensor_name": "x,]",\n  "input_baselines": [0, 1,],\n},},\n"outputs": {}}'


def test_trailing_commas_are_read_over_and_their_lines_are_named() -> None:
    with pytest.warns(md.MetadataWarning, match=r"lines 3, 4 is"):
        found = md.parse(COMMAS)
    assert found.inputs[0].input_tensor_name == "x,]"
    assert found.inputs[0].input_baselines == (0, 1)
    with pytest.raises(json.JSONDecodeError):
        sdk_parse(COMMAS)


def test_one_trailing_comma_of_one_line_is_named_as_such() -> None:
    with pytest.warns(md.MetadataWarning, match="on line 1 is not JSON"):
        md.parse('{"inputs": {},}')


def test_a_comma_in_a_text_is_no_trailing_comma() -> None:
    assert md.parse('{"inputs": {"a,}": {"group_name": ",]"}}}').inputs[0].group_name == ",]"


def test_other_faults_keep_their_line_and_column_beside_a_trailing_comma() -> None:
    with pytest.warns(md.MetadataWarning), pytest.raises(InputError, match="line 2, column 11"):
        md.parse('{"a": [1,],\n"inputs": oops}')


def test_a_key_that_is_there_twice_is_said() -> None:
    with pytest.warns(md.MetadataWarning, match="'a' is there twice"):
        found = md.parse('{"inputs": {"a": {"group_name": "g"}, "a": {"group_name": "h"}}}')
    assert found.inputs[0].group_name == "h"


# --- other spellings --------------------------------------------------------------------------------------------------
VERTEX = {
    "inputs": {
        "Image": {
            "inputTensorName": "px",
            "encoding": "IDENTITY",
            "modality": "image",
            "featureValueDomain": {"minValue": 0, "maxValue": 1, "originalMean": 0.5, "originalStddev": 0.25},
            "visualization": {
                "type": "PIXELS",
                "polarity": "POSITIVE",
                "colorMap": "PINK_GREEN",
                "clipPercentUpperbound": 99.9,
                "clipPercentLowerbound": 62,
                "overlayType": "NONE",
            },
            "groupName": "g",
        },
        "words": {"input_tensor_name": "ids", "encoded_tensor_name": "e", "encoding": "COMBINED_EMBEDDING"},
    },
    "outputs": {"p": {"outputTensorName": "y", "indexDisplayNameMapping": ["no", "yes"]}, "q": {}},
    "latentSpaceSource": "",
}


def test_vertex_spellings_are_read_and_written_as_the_format_has_them() -> None:
    found = md.parse(json.dumps(VERTEX))
    image = found.inputs[0]
    assert image.name == "Image"
    assert image.domain == {"min": 0, "max": 1, "original_mean": 0.5, "original_stddev": 0.25}
    assert image.visualization == {
        "type": "pixels",
        "polarity": "positive",
        "color_map": "pink_green",
        "clip_above_percentile": 99.9,
        "clip_below_percentile": 62,
        "overlay_type": "none",
    }
    assert (image.group_name, found.inputs[1].encoding) == ("g", "combined_embedding")
    assert found.outputs[0].index_name_mapping == ("no", "yes")
    assert sdk_parse(md.to_json(found)).inputs[0].domain == image.domain
    with pytest.raises(ValueError, match="Unexpected"):
        sdk_parse(json.dumps(VERTEX))


def test_snake_case_of_vertex_is_read_too() -> None:
    domain = {"min_value": -1, "max_value": 1}
    text = changed(CELSIUS, "inputs", "degrees_celsius", feature_value_domain=domain)
    assert md.parse(text).inputs[0].domain == {"min": -1, "max": 1}
    with pytest.raises(ValueError, match="feature_value_domain"):
        sdk_parse(text)


def test_the_key_of_the_format_counts_beside_its_other_spelling() -> None:
    for given_ in (
        {"domain": {"min": 1, "max": 2}, "featureValueDomain": {}},
        {"featureValueDomain": {}, "domain": {}},
    ):
        text = changed(CELSIUS, "inputs", "degrees_celsius", **given_)
        assert md.parse(text).inputs[0].domain == given_["domain"]


def test_keys_have_no_case_and_names_have() -> None:
    found = md.parse('{"Inputs": {"Age": {"INPUT_TENSOR_NAME": "x", "Index_Feature_Mapping": ["Y"]}}, "OUTPUTS": {}}')
    assert found.inputs[0] == md.Input(name="Age", input_tensor_name="x", index_feature_mapping=("Y",))


def test_the_deprecated_type_is_the_dtype() -> None:
    text = changed(CELSIUS, "inputs", "degrees_celsius", input_tensor_type="float32")
    assert md.parse(text).inputs[0].input_tensor_dtype == "float32"
    assert sdk_parse(text).inputs[0].name == "degrees_celsius"


def test_a_byte_order_mark_is_read_over() -> None:
    assert md.parse("\ufeff{}") == md.Metadata()


def test_a_file_in_another_coding_is_told(tmp_path: Path) -> None:
    path = tmp_path / md.FILE_NAME
    path.write_text(json.dumps(CELSIUS), encoding="utf-16")
    with pytest.raises(InputError, match=r"expected explanation_metadata\.json in UTF-8"):
        md.read(tmp_path)
    path.write_text(json.dumps(CELSIUS), encoding="utf-8")
    assert md.read(tmp_path).inputs


# --- what the service checked before it ran ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({"visualization": {"type": "pixels"}}, "inputs.degrees_celsius.visualization"),
        ({"modality": "image", "visualization": {"type": "bars"}}, "inputs.degrees_celsius.visualization.type"),
        ({"modality": "image", "visualization": {"type": "outlines", "blur_sigma": 1}}, "visualization.blur_sigma"),
        ({"modality": "image", "visualization": {"type": "pixels", "overlay_type": "mask"}}, "overlay_type"),
        (
            {"modality": "image", "visualization": {"type": "pixels", "clip_below_percentile": 101}},
            "inputs.degrees_celsius.visualization",
        ),
        (
            {
                "modality": "image",
                "visualization": {"type": "pixels", "clip_below_percentile": 9, "clip_above_percentile": 8},
            },
            "inputs.degrees_celsius.visualization",
        ),
        ({"indices_tensor_name": "i", "dense_shape_tensor_name": "s"}, "inputs.degrees_celsius"),
    ],
)
def test_what_the_service_refused_to_explain_is_named(keys: dict[str, Any], where: str) -> None:
    from explainable_ai_sdk.common import explain_metadata

    text = changed(CELSIUS, "inputs", "degrees_celsius", **keys)
    with pytest.raises(ValueError, match=r"."):
        explain_metadata.validate_integrated_gradients(sdk_parse(text))
    found = md.unexplainable(md.parse(text))
    assert len(found) == 1
    assert found[0].where.endswith(where)


@pytest.mark.parametrize("name", ["zip codes", "celsius", "image"])
def test_what_the_service_explained_has_no_problem(name: str) -> None:
    from explainable_ai_sdk.common import explain_metadata

    text = json.dumps(GOOD[name])
    explain_metadata.explain_metadata_instance_check(sdk_parse(text))
    explain_metadata.validate_integrated_gradients(sdk_parse(text))
    assert md.unexplainable(md.parse(text)) == []


def test_two_outputs_and_a_sequence_are_named() -> None:
    data = {**SPARSE, "outputs": {"y": {}, "z": {}}}
    found = md.unexplainable(md.parse(json.dumps(data)))
    assert [problem.where for problem in found] == ["outputs", "inputs.tags.is_sequential"]
    assert [problem.where for problem in md.unexplainable(md.Metadata())] == ["inputs"]


def test_infinite_domains_survive() -> None:
    text = changed(CELSIUS, "inputs", "degrees_celsius", domain={"min": -math.inf, "max": math.inf})
    assert md.parse(text).inputs[0].domain == {"min": -math.inf, "max": math.inf}


def test_nothing_here_imports_a_framework_before_a_model_is_opened() -> None:
    code = "import sys, pyig.artifacts.metadata, pyig.artifacts.metadata_model; print('tensorflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
