"""Which embedding of a Keras model consumes the ids of an input: seen in one call, not guessed from names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyig.structure.keras_replay import patched
from pyig.structure.keras_tools import inside


def embeddings(model: Any, ids: Sequence[Any], call: Callable[[], Any]) -> list[list[Any]]:
    """Return, for each tensor of ids, the embedding layers that it goes into; parameters as for torch."""
    layers = [layer for layer in inside(model) if any(cls.__name__ == "Embedding" for cls in type(layer).__mro__)]
    wanted = [np.asarray(tensor).reshape(-1) for tensor in ids]
    found: list[list[Any]] = [[] for _ in ids]

    def note(layer: Any, given: Any) -> None:
        values = np.asarray(given).reshape(-1)
        for place, these in enumerate(wanted):
            if layer not in found[place] and values.shape == these.shape and bool((values == these).all()):
                found[place].append(layer)

    if not layers:  # the model may not even run on whole numbers
        return found
    with patched([(layer, _watching(layer, note)) for layer in layers]):
        call()
    if len(ids) == 1 and not found[0]:  # the ids were shifted or clipped on their way
        found[0] = layers
    return found


def _watching(layer: Any, note: Callable[[Any, Any], None]) -> Callable[..., Any]:
    """Return the layer's call, which lets `note` see what it is given."""
    call = layer.call

    def run(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        note(layer, inputs)
        return call(inputs, *args, **kwargs)

    return run
