"""What a SavedModel says of its inputs and outputs, without its framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_FLOATS = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Attributes
    ----------
    name : str
        What the signature calls it; inside the graph, the name without ``:0``.
    tensor_name : str
        Its full name in the graph: ``"dense/Softmax:0"``.
    dtype : str
        ``"float32"``, ``"int64"``, ``"bool"``, ``"string"``.
    shape : tuple, optional
        None for an axis of any length; None instead of the tuple for any rank.
    """

    name: str
    tensor_name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    @property
    def floating(self) -> bool:
        """Whether gradients can flow to it."""
        return self.dtype in _FLOATS

    def data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        shape = None if self.shape is None else list(self.shape)
        return {"tensor": self.tensor_name, "dtype": self.dtype, "shape": shape}

    def __str__(self) -> str:
        axes = "?" if self.shape is None else ", ".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.name} {self.dtype} ({axes})"


@dataclass(frozen=True)
class Signature:
    """A named way to call a SavedModel.

    Attributes
    ----------
    key : str
        ``"serving_default"``.
    inputs, outputs : dict of Tensor
        By the names that the signature gives them.
    defaults : dict
        Values of inputs that may be left out.
    """

    key: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "inputs": {name: tensor.data() for name, tensor in self.inputs.items()},
            "outputs": {name: tensor.data() for name, tensor in self.outputs.items()},
        }
