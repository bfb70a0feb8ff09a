"""Which layer a user means, how ``meta`` names it, and where it is in the model, so that another model's is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyig.compat.alibi.defaults import LayerState
from pyig.compat.alibi.failures import SerializationError
from pyig.structure.keras import find_layer
from pyig.structure.keras_tools import describe, inside


def resolve(model: Any, layer: Any) -> Any:
    """Return the layer; None where none is asked for."""
    return None if layer is None else find_layer(model, layer)


def is_function(layer: Any) -> bool:
    """Tell a callable that gives the layer from the layer itself."""
    return callable(layer) and not hasattr(layer, "_inbound_nodes")


def state(model: Any, layer: Any) -> Any:
    """Return the entry of ``meta``: a `LayerState` as text, a position or several that lead inside, or a name."""
    if layer is None:
        return LayerState.UNSPECIFIED.value
    if is_function(layer):
        return LayerState.CALLABLE.value
    if isinstance(layer, str):
        return layer
    found = location(model, resolve(model, layer))
    if found is None:
        return LayerState.NON_SERIALIZABLE.value
    return found[0] if len(found) == 1 else found


def location(model: Any, layer: Any) -> list[int] | None:
    """Return the positions that lead to a layer, model by model; None where no list of layers has it."""
    within = _within(model)
    for position, each in enumerate(within):
        if each is layer:
            return [position]
    for position, each in enumerate(within):
        rest = location(each, layer)
        if rest is not None:
            return [position, *rest]
    return None


def at(model: Any, positions: Sequence[int]) -> Any:
    """Return the layer at a location."""
    found = model
    for position in positions:
        within = _within(found)
        if not 0 <= position < len(within):
            raise SerializationError(
                f"expected a model with a layer at position {list(positions)}, as the one that the explainer was made "
                f"for; {describe(found)} has {len(within)} layers"
            )
        found = within[position]
    return found


def moved(old: Any, layer: Any, new: Any) -> Any:
    """Return what names the same layer in another model."""
    if layer is None or isinstance(layer, str) or is_function(layer):
        return layer
    positions = location(old, layer)
    if positions is None:
        raise SerializationError(
            f"expected layer= as a layer that model.layers leads to, a name, or callable(model); {describe(layer)} is "
            "none, so its twin in another model is not known"
        )
    return at(new, positions)


def _within(model: Any) -> list[Any]:
    """Return the layers of a model as ``model.layers`` counts them, without the inputs of a Sequential."""
    listed = getattr(model, "layers", None)
    return list(listed) if isinstance(listed, (list, tuple)) else inside(model, deep=False)
