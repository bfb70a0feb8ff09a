"""Inputs of token ids: the path runs between their embeddings, and each id gets the sum over its own."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyig import tree
from pyig.contracts import Backend, Tensor
from pyig.errors import InputError, ModelError
from pyig.explanation import Explanation
from pyig.integrate.inputs import Inputs
from pyig.structure.embedding import find_embeddings

_LOOKED_AT = 8  # samples: inputs of one column each are told apart by their values


@dataclass(frozen=True)
class Routed:
    """Which leaves of the input go through an embedding.

    Attributes
    ----------
    layer : object
        The embedding layer, or a list of them.
    places : tuple of int
        The leaf that each goes with.
    """

    layer: Any
    places: tuple[int, ...]


def route(backend: Backend, model: Any, inputs: Inputs, memory: MutableMapping[Any, Any]) -> Routed | None:
    """Find the embeddings of an input that holds nothing but whole numbers; the first call looks, later ones know.

    None where no input goes into one: the numbers are then meant as numbers.
    """
    key = ("embedding", tuple(inputs.names), tuple(inputs.batched))
    if key not in memory:
        few = np.arange(min(_LOOKED_AT, inputs.samples))
        ids = [backend.take(leaf, few) for leaf in inputs.leaves]
        kwargs = {name: backend.take(value, few) for name, value in inputs.batched.items()} | inputs.shared
        x = tree.unflatten(tree.Spec("leaf") if inputs.spec.kind == "frame" else inputs.spec, ids)
        try:
            layers = find_embeddings(backend, model, ids, inputs.names, lambda: backend.call(x, kwargs))
        except ModelError:  # the model takes no whole numbers
            return None
        found = [(place, layer) for place, layer in enumerate(layers) if layer is not None]
        if len({id(layer) for _, layer in found}) < len(found):
            raise InputError("expected an embedding layer for each input; several go into one. Choose with layer=")
        if not found:
            return None
        places, chosen = zip(*found, strict=True)
        memory[key] = Routed(chosen[0] if len(chosen) == 1 else list(chosen), places)
    routed: Routed = memory[key]
    return routed


def per_id(explanation: Explanation, routed: Routed, inputs: Inputs, baselines: list[list[Tensor]]) -> Explanation:
    """Return the explanation in the structure of the ids: sums over the elements of each embedding."""
    backend = inputs.backend
    stop = [np.array(backend.to_numpy(leaf)) for leaf in inputs.leaves]
    given = [np.array(backend.to_numpy(leaf)) for leaf in baselines[0]]
    # What no embedding takes, such as a mask, stays as it is.
    start = [leaf if place in routed.places else stop[place] for place, leaf in enumerate(given)]
    lead = explanation.values.shape
    phi, _ = tree.flatten(explanation.attributions)
    notes = list(explanation.meta["notes"])
    if len(baselines) > 1:
        notes.append("the baseline shown is the first of several; ids have no mean")
    return replace(
        explanation,
        attributions=tree.unflatten(inputs.spec, _placed(phi, routed, stop, lead)),
        inputs=tree.unflatten(inputs.spec, stop),
        baselines=tree.unflatten(inputs.spec, start),
        standard_error=None,
        meta=explanation.meta | {"notes": notes, "summed": True},
    )


def ids_alone(
    attributions: list[Any], native: bool, routed: Routed, inputs: Inputs, lead: tuple[int, ...]
) -> list[Any]:
    """Return one array, or tensor on the device, per leaf of the ids."""
    if not native:
        return _placed(attributions, routed, inputs.leaves, lead)
    backend = inputs.backend
    out = []
    for place, leaf in enumerate(inputs.leaves):
        shape = (*lead, *map(int, leaf.shape[1:]))
        if place not in routed.places:
            like = attributions[0]
            out.append(backend.from_numpy(np.zeros(shape, dtype=np.float32), like))
            continue
        phi = attributions[routed.places.index(place)]
        rows = backend.reshape(phi, (math.prod(shape), -1))
        out.append(backend.reshape(backend.cast_like(backend.row_sum(rows), phi), shape))
    return out


def _placed(phi: list[Any], routed: Routed, ids: list[Any], lead: tuple[int, ...]) -> list[Any]:
    out = []
    for place, leaf in enumerate(ids):
        shape = (*lead, *leaf.shape[1:])
        if place not in routed.places:
            out.append(np.zeros(shape, dtype=phi[0].dtype))
            continue
        found = phi[routed.places.index(place)]
        summed = found.reshape(*shape, -1).sum(axis=-1, dtype=np.float64)
        out.append(summed.astype(found.dtype))
    return out
