"""What the peer's results are made of: the keys of ``meta`` and ``data``, and how ``meta`` names a layer."""

from __future__ import annotations

from enum import Enum
from typing import Any

DEFAULT_META_INTGRAD: dict[str, Any] = {
    "name": None,
    "type": ["whitebox"],
    "explanations": ["local"],
    "params": {},
    "version": None,
}
DEFAULT_DATA_INTGRAD: dict[str, Any] = {
    "attributions": None,
    "X": None,
    "forward_kwargs": None,
    "baselines": None,
    "predictions": None,
    "deltas": None,
}


class LayerState(str, Enum):
    """How ``meta["params"]["layer"]`` says which layer it is, where that is no position in the model."""

    CALLABLE = "callable"
    NON_SERIALIZABLE = "non-serializable"
    UNSPECIFIED = "unspecified"


class Unchosen(int):
    """A batch size that nobody chose: it prints as the peer's default, and the engine finds the one that pays."""


BATCH = Unchosen(100)
