"""From metadata to a file that the format's own parser accepts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from pyig.artifacts.metadata_rules import broken
from pyig.artifacts.metadata_schema import FILE_NAME, Metadata
from pyig.errors import InputError, InputTypeError
from pyig.explanation.savefile import replace

_PARTS = ("inputs", "outputs", "embeddings", "sigdef_inputs")


def to_dict(metadata: Metadata) -> dict[str, Any]:
    """Return the content as JSON data; what is not there is not written.

    Raises
    ------
    InputError
        When the content breaks a rule of the format.

    Examples
    --------
    >>> from pyig.artifacts.metadata_schema import Input, Output
    >>> to_dict(Metadata(inputs=(Input(name="c", input_tensor_name="x"),), outputs=(Output(name="f"),)))["inputs"]
    {'c': {'input_tensor_name': 'x', 'encoding': 'identity', 'modality': 'numeric'}}
    """
    faults = broken(metadata)
    if faults:
        raise InputError("\n".join(f"{fault.where}: {fault.what}. {fault.cure}" for fault in faults))
    out: dict[str, Any] = {}
    for key in ("framework", *_PARTS, "serving_sigdef_key", "preparer_version", "tags"):
        value = getattr(metadata, key)
        if key in _PARTS:
            value = {item.name: _entry(item) for item in value}
            if len(value) < len(getattr(metadata, key)):
                raise InputError(f"expected {key} with names that differ; got one twice")
        if key in ("inputs", "outputs") or value not in (None, (), {}):
            out[key] = _plain(value, key)
    return out


def to_json(metadata: Metadata) -> str:
    """Return the text of the file."""
    return json.dumps(to_dict(metadata), indent=2, ensure_ascii=False) + "\n"


def write(metadata: Metadata, path: str | os.PathLike[str]) -> Path:
    """Write a file, or the ``explanation_metadata.json`` of a directory, in one step.

    Returns
    -------
    Path
        The file.
    """
    place = Path(path)
    place = place / FILE_NAME if place.is_dir() else place
    text = to_json(metadata).encode()
    replace(place, lambda file: file.write(text))
    return place


def _entry(item: Any) -> dict[str, Any]:
    values = {field.name: getattr(item, field.name) for field in fields(item) if field.name != "name"}
    return {key: value for key, value in values.items() if value is not None and value is not False}


def _plain(value: Any, where: str) -> Any:
    """Return JSON data: lists for tuples and arrays, Python's numbers for numpy's."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise InputTypeError(f"{where}: expected numbers, text or lists of them; got {type(value).__qualname__}")
