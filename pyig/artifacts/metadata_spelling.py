"""Other spellings of the same keys: any case, camelCase, and those of Vertex Explainable AI, as the format's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pyig.artifacts.metadata_schema import (
    DOMAIN,
    VISUALIZATION,
    Embedding,
    Input,
    Metadata,
    Output,
    SigdefInput,
)

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PARTS: dict[str, Any] = {
    "inputs": Input,
    "outputs": Output,
    "embeddings": Embedding,
    "sigdef_inputs": SigdefInput,
}
KNOWN: dict[str, tuple[str, ...]] = {
    name: tuple(field.name for field in fields(kind) if field.name != "name") for name, kind in _PARTS.items()
}
KNOWN[""] = tuple(field.name for field in fields(Metadata))
KNOWN["domain"] = DOMAIN
KNOWN["visualization"] = tuple(dict.fromkeys([*VISUALIZATION["pixels"], *VISUALIZATION["outlines"]]))

_OTHER: dict[str, dict[str, str | None]] = {  # None: nothing here answers to it
    "": {"latent_space_source": None, "feature_attributions_schema_uri": None},
    "inputs": {"feature_value_domain": "domain", "input_tensor_type": "input_tensor_dtype"},
    "outputs": {
        "index_display_name_mapping": "index_name_mapping",
        "display_name_mapping_key": "index_name_mapping_key",
    },
    "domain": {"min_value": "min", "max_value": "max"},
    "visualization": {
        "clip_percent_upperbound": "clip_above_percentile",
        "clip_percent_lowerbound": "clip_below_percentile",
    },
}
_WORDS = {  # values that are names of a list, and so have no case
    "inputs": ("encoding", "modality"),
    "visualization": ("type", "polarity", "color_map", "overlay_type"),
}
_VERTEX_WORDS = re.compile(r"[A-Z]+(_[A-Z]+)*$")


def normal(part: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return one object of the file under the format's own keys; an unknown key stays, in lower case.

    Parameters
    ----------
    part : str
        Which object: ``""`` for the file itself, ``"inputs"`` for one input, ``"domain"``, ...
    given : mapping
        As it was read.

    Examples
    --------
    >>> normal("inputs", {"inputTensorName": "x", "featureValueDomain": {"minValue": 0, "maxValue": 1}})
    {'input_tensor_name': 'x', 'domain': {'min': 0, 'max': 1}}
    """
    found: dict[str, Any] = {}
    for key, value in given.items():
        name = _key(part, str(key))
        if name is None or (name in found and name != str(key).lower()):
            continue  # the format's own key counts, where both are there
        found[name] = _value(part, name, value)
    return found


def _key(part: str, key: str) -> str | None:
    other = _OTHER.get(part, {})
    for name in (key.lower(), _HUMP.sub("_", key).lower()):
        if name in KNOWN[part]:
            return name
        if name in other:
            return other[name]
    return key.lower()


def _value(part: str, name: str, value: Any) -> Any:
    if name in ("domain", "visualization") and isinstance(value, Mapping):
        return normal(name, value)
    if name in _WORDS.get(part, ()) and isinstance(value, str):
        if value.upper().endswith("_UNSPECIFIED"):
            return None
        return value.lower() if part == "visualization" or _VERTEX_WORDS.match(value) else value
    return value
