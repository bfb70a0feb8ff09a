"""From the text of an ``explanation_metadata.json`` to its content, with every fault named by its key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyig.artifacts.artifact import Problem
from pyig.artifacts.metadata_json import loads
from pyig.artifacts.metadata_rules import broken
from pyig.artifacts.metadata_schema import FILE_NAME, FRAMEWORKS, Embedding, Input, Metadata, Output, SigdefInput
from pyig.artifacts.metadata_spelling import KNOWN, normal
from pyig.errors import InputError, unknown

_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[-0-9A-Za-z_]+)?$")
_LISTS = ("input_baselines", "encoded_baselines", "index_feature_mapping", "index_name_mapping", "tags")
_OBJECTS = ("domain", "visualization", "gradient_tensor_names", "gradient_tensor_dtypes")
_PARTS: dict[str, Any] = {
    "inputs": Input,
    "outputs": Output,
    "embeddings": Embedding,
    "sigdef_inputs": SigdefInput,
}


def read(path: str | os.PathLike[str]) -> Metadata:
    """Read a file, or the ``explanation_metadata.json`` of a directory.

    Raises
    ------
    InputError
        With every key that is at fault, and what to do about it.
    """
    place = Path(path)
    place = place / FILE_NAME if place.is_dir() else place
    if not place.exists():
        raise InputError(
            f"expected a metadata file at {str(place)!r}; there is none. `pyig metadata init` writes a first one"
        )
    try:
        text = place.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"expected {place.name} in UTF-8, as JSON is; {error}. Save it so") from error
    return parse(text, place.name)


def parse(text: str, source: str = FILE_NAME) -> Metadata:
    """Read the text of a metadata file.

    Parameters
    ----------
    text : str
        JSON; keys in any case, Vertex spellings and trailing commas are accepted.
    source : str
        Name of the file, for messages.

    Examples
    --------
    >>> m = parse('{"inputs": {"x": {"inputTensorName": "in", "modality": "CATEGORICAL"}}, "outputs": {"y": {}}}')
    >>> m.inputs[0].input_tensor_name, m.inputs[0].modality
    ('in', 'categorical')
    """
    return from_dict(loads(text, source), source)


def from_dict(data: Any, source: str = FILE_NAME) -> Metadata:
    """Read what `json.loads` gave of such a file."""
    if not isinstance(data, Mapping):
        raise InputError(f"{source}: expected an object with inputs and outputs; got {_kind(data)}")
    top = normal("", data)
    faults = [*_top_faults(top)]
    parts: dict[str, Any] = {name: tuple(_items(name, top.get(name, {}), faults)) for name in _PARTS}
    if not faults:
        rest = {key: top[key] for key in ("preparer_version", "serving_sigdef_key") if key in top}
        framework = top["framework"].lower() if top.get("framework") else None
        metadata = Metadata(**parts, framework=framework, tags=tuple(top.get("tags") or ()), **rest)
        faults += broken(metadata)
    if faults:
        raise InputError("\n".join([f"{source} cannot be used:", *(f"- {_said(fault)}" for fault in faults)]))
    return metadata


def _top_faults(top: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _unknown("", "", top)
    framework = top.get("framework")
    if "framework" in top and (not isinstance(framework, str) or framework.lower() not in FRAMEWORKS):
        yield _fault("framework", f"expected one of {', '.join(FRAMEWORKS)}; got {framework!r}", "Correct its spelling")
    version = top.get("preparer_version")
    if "preparer_version" in top and not (isinstance(version, str) and _VERSION.match(version)):
        yield _fault("preparer_version", f'expected a version such as "1.2.3"; got {version!r}', "Leave the key out")
    yield from _types("", {key: top[key] for key in ("serving_sigdef_key", "tags") if key in top})


def _items(part: str, given: Any, faults: list[Problem]) -> Iterator[Any]:
    if not isinstance(given, Mapping):
        faults.append(_fault(part, f"expected an object, one entry per name; got {_kind(given)}", 'Write {"name": {}}'))
        return
    for name, entry in given.items():
        where = f"{part}.{name}"
        if not isinstance(entry, Mapping):
            faults.append(_fault(where, f"expected an object; got {_kind(entry)}", "Write {} for an empty one"))
            continue
        every = normal(part, entry)
        keys = {key: value for key, value in every.items() if value is not None}
        found = [*_unknown(part, where, keys), *_types(where, keys), *_range_without_encoding(where, every)]
        if part == "embeddings" and "embedding_tensor_name" not in keys:
            found.append(_fault(where, "expected the key embedding_tensor_name", "Name the tensor"))
        faults += found
        if not found:
            frozen = {key: tuple(value) if key in _LISTS else value for key, value in keys.items()}
            yield _PARTS[part](name=name, **frozen)


def _range_without_encoding(where: str, keys: Mapping[str, Any]) -> Iterator[Problem]:
    """A null stands for the default, but for the format's own parser where a range asks for the encoding."""
    domain = keys.get("domain")
    if keys.get("encoding", "") is None and isinstance(domain, Mapping) and {"min", "max"} & set(domain):
        what = "expected encoding 'identity' beside a range; got null"
        yield _fault(_join(where, "encoding"), what, 'Leave the key out, or write "identity"')


def _unknown(part: str, where: str, keys: Mapping[str, Any]) -> Iterator[Problem]:
    for key in keys:
        if key not in KNOWN[part]:
            hint = str(unknown("key", key, KNOWN[part])).partition("Known:")[0].rstrip("; ")
            yield _fault(_join(where, key), hint, "The keys are those of the format, docs/artifacts.md lists them")


def _types(where: str, keys: Mapping[str, Any]) -> Iterator[Problem]:
    for key, value in keys.items():
        known = key in _LISTS or key in _OBJECTS or key == "is_sequential"
        kind: Any = list if key in _LISTS else Mapping if key in _OBJECTS else bool if known else str
        word = {list: "a list", Mapping: "an object", bool: "true or false", str: "text"}[kind]
        if value is not None and not isinstance(value, kind):
            yield _fault(_join(where, key), f"expected {word}; got {_kind(value)} {_short(value)}", f"Write {word}")
        elif key in _OBJECTS and isinstance(value, Mapping) and key != "domain":
            texts = {"type": value.get("type", "")} if key == "visualization" else value
            yield from _texts(_join(where, key), texts)


def _texts(where: str, given: Mapping[str, Any]) -> Iterator[Problem]:
    for name, text in given.items():
        if not isinstance(text, str):
            yield _fault(f"{where}.{name}", f"expected text; got {_short(text)}", "Write text")


def _said(fault: Problem) -> str:
    return str(fault).removeprefix(f"{fault.level}: ")


def _fault(where: str, what: str, cure: str) -> Problem:
    return Problem("error", where, what, cure)


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
