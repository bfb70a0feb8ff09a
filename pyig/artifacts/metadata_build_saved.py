"""A first metadata file from the signature of a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyig.artifacts import saved_model_file
from pyig.artifacts.metadata_build import Known, encoding, framework
from pyig.artifacts.metadata_schema import Input, Metadata
from pyig.artifacts.saved_model import SavedModel
from pyig.artifacts.signatures import Signature, Tensor
from pyig.errors import InputError, unknown

_LOOKUPS = ("GatherV2", "ResourceGather", "Gather", "SparseSegmentMean", "SparseSegmentSum", "SparseSegmentSqrtN")
_ROWS = 3  # of what is tried: a number that no axis has by chance


def from_saved_model(model: Any, known: Known, key: str | None, output: str | None, trust: bool = False) -> Metadata:
    """Build metadata by the names of a signature; see `metadata_build.build`."""
    opened = model if isinstance(model, SavedModel) else _open(model, key, trust)
    signature = opened.signature(key or opened.key)
    chosen = _output(signature, output)
    flat = opened.description.flat
    inputs = tuple(_input(opened, signature, name, signature.outputs[chosen], known) for name in signature.inputs)
    tensor = signature.outputs[chosen].tensor_name if flat else chosen
    return Metadata(
        framework=framework(flat),
        inputs=inputs,
        outputs=(known.output(chosen, output_tensor_name=tensor),),
        serving_sigdef_key=None if signature.key == "serving_default" else signature.key,
    )


def _open(path: Any, key: str | None, trust: bool) -> SavedModel:
    known = saved_model_file.read(Path(path)).signatures
    return SavedModel.load(path, key or ("xai_model" if "xai_model" in known else None), trust=trust)


def _output(signature: Signature, output: str | None) -> str:
    floats = [name for name, tensor in signature.outputs.items() if tensor.floating]
    if output is not None:
        if output not in signature.outputs:
            raise unknown("output", output, signature.outputs)
        return output
    if len(floats) != 1:
        raise InputError(f"expected output= as one of {', '.join(floats) or 'none, as none is of floats'}; got none")
    return floats[0]


def _input(model: SavedModel, signature: Signature, name: str, end: Tensor, known: Known) -> Input:
    source = signature.inputs[name]
    keys: dict[str, Any] = {
        "input_tensor_name": source.tensor_name if model.description.flat else name,
        "input_tensor_dtype": source.dtype,
    }
    if source.floating:
        return known.input(name, **keys)
    keys["modality"] = "text" if source.dtype == "string" and len(source.shape or ()) > 1 else "categorical"
    found = _encoded(model, signature, source, end)
    if found is not None:
        encoded, shape, fed = found
        keys |= {"encoded_tensor_name": encoded.tensor_name, "encoded_tensor_dtype": encoded.dtype}
        cast = source.dtype != "string" and shape == fed
        keys["encoding"] = "identity" if cast else encoding(len(fed), len(shape))
    return known.input(name, **keys)


def _encoded(
    model: SavedModel, signature: Signature, source: Tensor, end: Tensor
) -> tuple[Tensor, tuple[int, ...], tuple[int, ...]] | None:
    """Return the float tensor nearest to an input that has a row per row of it; what looks a table up comes first.

    With it, its shape for invented rows, and the shape of these.
    """
    graph = model.graph(signature.key)
    near = [graph.by_name[name] for name in graph.between([source.tensor_name], end.tensor_name)]
    near.sort(key=lambda tensor: tensor.op.type not in _LOOKUPS)  # stable: from front to back otherwise
    rows = {name: _mock(place) for name, place in signature.inputs.items()}
    for tensor in near:
        if tensor.name == end.tensor_name:
            continue
        shape = _tried(graph, signature, rows, tensor.name)
        if shape and shape[0] == _ROWS:
            return Tensor(source.name, tensor.name, tensor.dtype.name, None), shape, rows[source.name].shape
    return None


def _tried(graph: Any, signature: Signature, rows: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    """Return the shape of a tensor for invented rows; None where the model refuses them."""
    from pyig.artifacts.saved_model_cut import as_tensor

    places = list(signature.inputs.values())
    try:
        program = graph.program([place.tensor_name for place in places], [name])
        found = program(*[as_tensor(rows[place.name], place) for place in places])[0]
        return tuple(int(n) for n in found.shape)
    except Exception:  # in one of the many ways that TensorFlow has
        return None


def _mock(place: Tensor) -> Any:
    shape = tuple((_ROWS if i == 0 else 2) if n is None else n for i, n in enumerate(place.shape or (_ROWS,)))
    return np.full(shape, "a") if place.dtype == "string" else np.zeros(shape, place.dtype)
