"""Cuts of a model at a layer: what comes before runs once per sample, what comes after once per node."""

from __future__ import annotations

from typing import Any

from pyig.contracts import Backend, Split
from pyig.errors import InputTypeError
from pyig.registry import Registry

SPLITS = Registry("structure", {"torch": "pyig.structure.torch:split", "keras": "pyig.structure.keras:split"})


def split(backend: Backend, model: Any, layer: Any, to_inputs: bool) -> Split:
    """Cut a model at a layer.

    Parameters
    ----------
    layer : layer object, str, or callable
        The layer itself, its name, or ``callable(model) -> layer``.
    to_inputs : bool
        Whether the path runs at the layer's inputs rather than at its outputs.

    Raises
    ------
    InputTypeError
        The framework of this model has no layers to cut at.
    """
    # Keras' models on torch are torch modules as well, but their layers do not go through torch's own call.
    kind = "keras" if hasattr(model, "compute_output_shape") or backend.name == "tensorflow" else backend.name
    if kind not in SPLITS:
        raise InputTypeError(
            f"expected a torch module or a Keras model for layer=; got a model of backend {backend.name!r}"
        )
    found: Split = SPLITS[kind](backend, model, layer, to_inputs)
    return found
