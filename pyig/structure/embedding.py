"""The embedding layer behind token ids: where the path of a model of text begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyig.contracts import Backend
from pyig.errors import InputError, InputTypeError
from pyig.registry import Registry

EMBEDDINGS = Registry(
    "embedding",
    {
        "torch": "pyig.structure.torch_embedding:embeddings",
        "tensorflow": "pyig.structure.keras_embedding:embeddings",
    },
)


def find_embeddings(
    backend: Backend, model: Any, ids: Sequence[Any], names: Sequence[str], call: Callable[[], Any]
) -> list[Any]:
    """Return the embedding layer that each tensor of ids goes into, None where it goes into none.

    Parameters
    ----------
    ids : sequence of integer tensor
        The inputs in question.
    names : sequence of str
        What they are called, for messages.
    call : callable
        Runs the model on them once.

    Raises
    ------
    InputError
        Where ids go into several embeddings.
    """
    if backend.name not in EMBEDDINGS:
        raise InputTypeError(
            f"expected layer= for inputs of whole numbers; embeddings are not looked for in models of backend "
            f"{backend.name!r}"
        )
    found = EMBEDDINGS[backend.name](model, ids, call)
    for name, layers in zip(names, found, strict=True):
        if len(layers) > 1:
            raise InputError(
                f"expected {name or 'the input'} to go into one embedding layer; it goes into {len(layers)}: "
                f"{', '.join(str(getattr(layer, 'name', layer)) for layer in layers)}. Choose with layer="
            )
    return [layers[0] if layers else None for layers in found]
