"""The content of an ``explanation_metadata.json``: what the inputs and outputs of a model are called, and mean.

Google's AI Explanations defined the format; its open SDK (explainable_ai_sdk 1.3.3) is the reference for what is valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FILE_NAME = "explanation_metadata.json"
MOST_BASELINES = 10

TENSORFLOW = ("tensorflow", "tensorflow2")
"""Tensors are named as the graph names them (``x:0``) in the first, by the keys of a signature in the second."""
FRAMEWORKS = (*TENSORFLOW, "xgboost", "scikit_learn", "pytorch", "custom_container")

NAMED = ("bag_of_features", "bag_of_features_sparse", "indicator")
"""Encodings in which each entry of the last axis is a feature with a name."""
EMBEDDED = ("combined_embedding", "concat_embedding")
"""Encodings of what has no gradient: words, categories."""
ENCODINGS = ("identity", *NAMED, *EMBEDDED)
MODALITIES = ("numeric", "image", "text", "structured", "categorical")

DOMAIN = ("min", "max", "original_mean", "original_stddev")
ANY_VISUALIZATION = (
    "type", "polarity", "color_map", "clip_above_percentile", "clip_below_percentile", "overlay_type",
    "overlay_multiplier", "output_format", "resized_shape", "translate",
)  # fmt: skip
VISUALIZATION = {
    "pixels": (*ANY_VISUALIZATION, "blur_sigma"),
    "outlines": (*ANY_VISUALIZATION, "shade_within_outlines"),
}
OVERLAYS = ("none", "original", "grayscale", "mask_black")


@dataclass(frozen=True, kw_only=True)
class Input:
    """One feature of the model, or several in one tensor.

    Attributes
    ----------
    name : str
        What the user calls it.
    input_tensor_name : str, optional
        The tensor that is fed: a key of the signature, or a name in the graph.
    encoded_tensor_name : str, optional
        The tensor that is explained, where the fed one has no gradient.
    indices_tensor_name, dense_shape_tensor_name : str, optional
        With `input_tensor_name` as the values, the three parts of a sparse tensor.
    weight_values_name, weight_indices_name, weight_dense_shape_name : str, optional
        The same for the weights of the values.
    input_baselines, encoded_baselines : tuple, optional
        Up to 10 values of one or the other tensor, without the batch axis; a number stands for the whole tensor.
    encoding : str
        One of `ENCODINGS`.
    index_feature_mapping : tuple, optional
        A name for each entry of the last axis.
    domain : mapping, optional
        ``min`` and ``max`` of the values, ``original_mean`` and ``original_stddev`` before they were normalised.
    visualization : mapping, optional
        How to draw an image: ``type`` and the keys of `VISUALIZATION`.
    group_name : str, optional
        Inputs of one group are one feature: their attributions are summed.
    gradient_tensor_names, gradient_tensor_dtypes : mapping, optional
        Written by the hosted service; read and kept, not used.
    """

    name: str
    input_tensor_name: str | None = None
    input_tensor_dtype: str | None = None
    encoding: str = "identity"
    modality: str = "numeric"
    index_feature_mapping: tuple[Any, ...] | None = None
    input_baselines: tuple[Any, ...] | None = None
    encoded_tensor_name: str | None = None
    encoded_tensor_dtype: str | None = None
    encoded_baselines: tuple[Any, ...] | None = None
    indices_tensor_name: str | None = None
    indices_tensor_dtype: str | None = None
    dense_shape_tensor_name: str | None = None
    dense_shape_tensor_dtype: str | None = None
    weight_values_name: str | None = None
    weight_values_dtype: str | None = None
    weight_indices_name: str | None = None
    weight_indices_dtype: str | None = None
    weight_dense_shape_name: str | None = None
    weight_dense_shape_dtype: str | None = None
    domain: Mapping[str, Any] | None = None
    visualization: Mapping[str, Any] | None = None
    group_name: str | None = None
    is_sequential: bool = False
    gradient_tensor_names: Mapping[str, str] | None = None
    gradient_tensor_dtypes: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Output:
    """An output of the model.

    Attributes
    ----------
    name : str
        What the user calls it.
    output_tensor_name : str, optional
        A key of the signature, or a name in the graph.
    index_name_mapping : tuple, optional
        A label for each column.
    index_name_mapping_key : str, optional
        Instead: the output that holds the labels, row by row.
    """

    name: str
    output_tensor_name: str | None = None
    output_tensor_dtype: str | None = None
    index_name_mapping: tuple[Any, ...] | None = None
    index_name_mapping_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A tensor that represents an example as a whole; read and kept, not used."""

    name: str
    embedding_tensor_name: str
    embedding_tensor_dtype: str | None = None


@dataclass(frozen=True, kw_only=True)
class SigdefInput:
    """What the service is fed to get to the inputs, such as the bytes of an image; written by the hosted service."""

    name: str
    sigdef_input_tensor_name: str | None = None
    sigdef_input_tensor_dtype: str | None = None


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Everything in one file; the order of inputs and outputs is that of the file.

    Examples
    --------
    >>> Metadata(framework="tensorflow2", inputs=(Input(name="celsius", input_tensor_name="x"),)).inputs[0].encoding
    'identity'
    """

    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    sigdef_inputs: tuple[SigdefInput, ...] = ()
    framework: str | None = None
    preparer_version: str | None = None
    serving_sigdef_key: str | None = None
    tags: tuple[str, ...] = field(default=())
