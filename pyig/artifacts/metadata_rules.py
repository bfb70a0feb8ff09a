"""What has to hold between the keys of a metadata file.

`broken` finds what makes a file invalid: the rules of the format's own parser, and what that parser lets pass although
nothing could explain it. `unexplainable` finds what stands in the way of Integrated Gradients, as the hosted service
checked it before it ran.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from pyig.artifacts.artifact import Problem
from pyig.artifacts.metadata_schema import (
    DOMAIN,
    EMBEDDED,
    ENCODINGS,
    MODALITIES,
    MOST_BASELINES,
    NAMED,
    OVERLAYS,
    TENSORFLOW,
    VISUALIZATION,
    Input,
    Metadata,
    Output,
)
from pyig.errors import unknown

_PLAIN_OUTPUT = ("index_name_mapping", "index_name_mapping_key")
_PLAIN_INPUT = ("input_baselines", "modality", "group_name", "encoding", "index_feature_mapping")
_SPARSE = ("indices_tensor_name", "dense_shape_tensor_name")
_WEIGHTS = ("weight_values_name", "weight_indices_name", "weight_dense_shape_name")


def broken(metadata: Metadata) -> list[Problem]:
    """List what makes the content invalid; each problem names its key."""
    return [*_inputs(metadata), *_outputs(metadata), *_counts(metadata), *_framework(metadata)]


def unexplainable(metadata: Metadata) -> list[Problem]:
    """List what keeps valid content from being explained, and what will not be drawn as it says."""
    found = []
    if not metadata.inputs:
        found.append(_error("inputs", "expected at least one input; got none", "Name what is to be explained"))
    if len(metadata.outputs) > 1:
        names = ", ".join(output.name for output in metadata.outputs)
        found.append(_warning("outputs", f"expected one output; got {names}", "Keep one, or choose with output="))
    for item in metadata.inputs:
        found += _drawable(item)
        if item.indices_tensor_name and item.dense_shape_tensor_name and not item.encoded_tensor_name:
            cure = "Name it, unless the values are numbers: then the path runs through them, with 0 for what is absent"
            found.append(_warning(f"inputs.{item.name}", "expected encoded_tensor_name for a sparse input", cure))
        if item.is_sequential:
            what = "expected rows that stand for themselves; a batch is one sequence to this model"
            cure = "It is explained where it gives an output for each row"
            found.append(_warning(f"inputs.{item.name}.is_sequential", what, cure))
    return found


def _inputs(metadata: Metadata) -> Iterator[Problem]:
    for item in metadata.inputs:
        yield from _words(item)
        yield from _mapping(f"inputs.{item.name}.index_feature_mapping", item.index_feature_mapping)
        yield from _baselines(item)
        yield from _domain(item)
        yield from _tensors(item, metadata.framework)


def _words(item: Input) -> Iterator[Problem]:
    for key, known in (("encoding", ENCODINGS), ("modality", MODALITIES)):
        value = getattr(item, key)
        if value not in known:
            yield _error(f"inputs.{item.name}.{key}", str(unknown(key, value, known)), "Take one of these")
    if item.encoding in NAMED and item.index_feature_mapping is None:
        where = f"inputs.{item.name}.index_feature_mapping"
        what = f"expected a name for each entry with encoding {item.encoding!r}; got none"
        yield _error(where, what, "Add the names")


def _mapping(where: str, names: Sequence[Any] | None) -> Iterator[Problem]:
    if names is None:
        return
    strange = [name for name in names if not isinstance(name, Hashable)]
    if strange:
        yield _error(where, f"expected names; got {strange[0]!r} among them", "Write one name per entry")
    elif len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        yield _error(where, f"expected names that differ; {twice!r} is there twice", "Name each entry once")


def _baselines(item: Input) -> Iterator[Problem]:
    if item.input_baselines is not None and item.encoded_baselines is not None:
        what = "expected input_baselines or encoded_baselines; got both"
        yield _error(f"inputs.{item.name}", what, "Keep encoded_baselines for what the encoded tensor holds")
    for key in ("input_baselines", "encoded_baselines"):
        count = len(getattr(item, key) or ())
        if count > MOST_BASELINES:
            what = f"expected at most {MOST_BASELINES} baselines; got {count}"
            yield _error(f"inputs.{item.name}.{key}", what, "Choose the most different ones")


def _domain(item: Input) -> Iterator[Problem]:
    domain, where = item.domain, f"inputs.{item.name}.domain"
    if domain is None:
        return
    for key in domain:
        if key not in DOMAIN:
            yield _error(f"{where}.{key}", str(unknown("key", key, DOMAIN)), "Take one of these")
    if "min" not in domain and "max" not in domain:
        return
    low, high = domain.get("min"), domain.get("max")
    if "min" not in domain or "max" not in domain:
        yield _error(where, f"expected both min and max, or neither; got {dict(domain)}", "Add the other")
    elif not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        yield _error(where, f"expected min and max as numbers; got {low!r} and {high!r}", "Write numbers")
    elif low > high:
        yield _error(where, f"expected min <= max; got {low} and {high}", "Exchange them")
    elif item.encoding != "identity":
        what = f"expected a range only with encoding 'identity'; got it with {item.encoding!r}"
        yield _error(where, what, "Remove min and max")


def _tensors(item: Input, framework: str | None) -> Iterator[Problem]:
    where = f"inputs.{item.name}"
    fed = item.input_tensor_name or framework not in TENSORFLOW
    if fed and bool(item.indices_tensor_name) != bool(item.dense_shape_tensor_name):
        yield _error(where, f"expected both {' and '.join(_SPARSE)}, or neither; got one", "Name the other tensor too")
    given = [key for key in _WEIGHTS if getattr(item, key)]
    if given and len(given) < len(_WEIGHTS):
        cure = "Name the other tensors too"
        yield _error(where, f"expected all of {', '.join(_WEIGHTS)}, or none; got {', '.join(given)}", cure)
    names, dtypes = item.gradient_tensor_names, item.gradient_tensor_dtypes
    if names and dtypes is not None and set(names) != set(dtypes):
        yield _error(f"{where}.gradient_tensor_dtypes", "expected the keys of gradient_tensor_names", "Align the two")
    if framework in TENSORFLOW and item.encoding in EMBEDDED and not item.encoded_tensor_name:
        what = f"expected encoded_tensor_name with encoding {item.encoding!r}; got none"
        yield _error(f"{where}.encoded_tensor_name", what, "Name the tensor that holds the embedding")


def _outputs(metadata: Metadata) -> Iterator[Problem]:
    for item in metadata.outputs:
        where = f"outputs.{item.name}.index_name_mapping"
        yield from _mapping(where, item.index_name_mapping)
        if item.index_name_mapping is not None and item.index_name_mapping_key is not None:
            yield _error(where, "expected index_name_mapping or index_name_mapping_key; got both", "Keep one")


def _counts(metadata: Metadata) -> Iterator[Problem]:
    counts = {item.name: len(item.input_baselines or item.encoded_baselines or ()) for item in metadata.inputs}
    counts = {name: count for name, count in counts.items() if count}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name}: {count}" for name, count in counts.items())
        cure = "Give each the same number: the first of one goes with the first of the others"
        yield _error("inputs", f"expected as many baselines for every input that has some; got {said}", cure)


def _framework(metadata: Metadata) -> Iterator[Problem]:
    if metadata.framework in TENSORFLOW:
        if not any(item.input_tensor_name for item in metadata.inputs):
            what = f"expected input_tensor_name in at least one input with framework {metadata.framework!r}; got none"
            yield _error("inputs", what, "Name the tensor or the signature's key that each input is fed to")
        return
    if metadata.framework in (None, "pytorch"):  # the format's parser lets both have every key
        return
    plain: list[tuple[str, Input | Output, Sequence[str]]] = [
        *((f"inputs.{item.name}", item, _PLAIN_INPUT) for item in metadata.inputs),
        *((f"outputs.{item.name}", item, _PLAIN_OUTPUT) for item in metadata.outputs),
    ]
    for where, item, allowed in plain:
        for key, value in vars(item).items():
            if key not in ("name", *allowed) and value is not None and value is not False:
                what = f"expected {', '.join(allowed)} alone with framework {metadata.framework!r}; got {key}"
                yield _error(f"{where}.{key}", what, "Remove it, or correct the framework")


def _drawable(item: Input) -> Iterator[Problem]:
    shown, where = item.visualization, f"inputs.{item.name}.visualization"
    if shown is None:
        return
    if item.modality != "image":
        yield _warning(where, f"expected modality 'image' with it; got {item.modality!r}", "Remove it, or say image")
    kind = str(shown.get("type", "pixels"))
    if kind not in VISUALIZATION:
        yield _warning(f"{where}.type", str(unknown("type", kind, VISUALIZATION)), "Take one of these")
        return
    for key in shown:
        if key not in VISUALIZATION[kind]:
            yield _warning(f"{where}.{key}", str(unknown("key", key, VISUALIZATION[kind])), "It is not used")
    if shown.get("overlay_type", "none") not in OVERLAYS:
        what = str(unknown("overlay_type", shown["overlay_type"], OVERLAYS))
        yield _warning(f"{where}.overlay_type", what, "Take one of these")
    yield from _clips(where, shown)


def _clips(where: str, shown: Mapping[str, Any]) -> Iterator[Problem]:
    below, above = shown.get("clip_below_percentile", 0), shown.get("clip_above_percentile", 100)
    numbers = all(isinstance(value, (int, float)) for value in (below, above))
    if not numbers or not 0 <= below < above <= 100:
        what = f"expected 0 <= clip_below_percentile < clip_above_percentile <= 100; got {below!r} and {above!r}"
        yield _warning(where, what, "Correct the two")


def _error(where: str, what: str, cure: str) -> Problem:
    return Problem("error", where, what, cure)


def _warning(where: str, what: str, cure: str) -> Problem:
    return Problem("warning", where, what, cure)
