"""When a small Keras model is looked at for exact integration over its linear regions."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

from pyig.contracts import Forward
from pyig.structure.curves import MOST_LAYERS
from pyig.structure.keras_check import compared
from pyig.structure.keras_piecewise import Piecewise, find_piecewise
from pyig.structure.keras_record import Recording, recorded, unchanged
from pyig.structure.keras_tools import inside
from pyig.structure.refusal import Refusal


def piecewise(
    model: Any,
    forward: Forward,
    points: Sequence[Any],
    starts: Sequence[Any],
    fixed: Sequence[Any],
    known: Piecewise | None = None,
    kept: MutableMapping[str, Any] | None = None,
) -> Piecewise | Refusal:
    """Walk the model's graph, find its kinks, and compare it; see `pyig.structure.piecewise_linear`."""
    try:
        if known is not None and unchanged(known.recording, model) and known.agrees(forward, points, starts, fixed):
            return known
    except Exception:  # a layer may be another than when it was recorded
        known = None
    if len(inside(model)) > MOST_LAYERS:
        return Refusal("the model has too many layers to count its linear regions")
    recording = recorded(kept, model, forward, points, fixed)
    if not isinstance(recording, Recording):
        return recording
    found = find_piecewise(recording)
    return found if isinstance(found, Refusal) else compared(found.verified, forward, points, starts, fixed)
