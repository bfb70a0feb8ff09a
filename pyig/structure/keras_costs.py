"""Multiply-adds of Keras layers: each matrix among the weights is used once at every position of the row.

An estimate, for the question which part of a model is the large one. It is exact for dense layers, convolutions and
recurrent layers; a layer that Keras did not write is taken to use its weights at every position of its input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

Shape = tuple[int, ...]


def multiply_adds(layer: Any, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> float:
    """Return the multiply-adds per row of one call.

    Parameters
    ----------
    layer : Keras layer or operation
        What is called.
    inputs, outputs : sequence of tuple of int
        Shapes of one row, behind the first axis.
    """
    if not inputs or not outputs:
        return 0.0
    name = type(layer).__name__
    if name in ("Matmul", "Dot", "Einsum", "Tensordot") and len(inputs) == 2:
        return math.sqrt(math.prod(inputs[0]) * math.prod(inputs[1]) * math.prod(outputs[0]))
    weights = [
        tuple(weight.shape)
        for weight in getattr(layer, "weights", ())
        if len(weight.shape) > 1 and "bias" not in weight.name
    ]
    if "Embedding" in name or not weights:
        return 0.0
    follows_output = "Transpose" not in name and ("Conv" in name or name == "Dense")
    where = outputs[0] if follows_output else inputs[0]
    positions = _positions(where, getattr(layer, "data_format", None) == "channels_first")
    attention = 2.0 * math.prod(inputs[0]) * positions if "Attention" in name else 0.0
    return float(positions * sum(math.prod(shape) for shape in weights)) + attention


def _positions(shape: Shape, channels_first: bool) -> int:
    return math.prod(shape[1:] if channels_first else shape[:-1])
