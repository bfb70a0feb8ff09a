"""When the affine prefix of a Keras model is looked for, and where the user says that it ends."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from typing import Any

from pyig.contracts import Backend, Forward
from pyig.structure.affine import search_pays
from pyig.structure.keras import find_layer
from pyig.structure.keras_check import compared
from pyig.structure.keras_prefix import Prefix, explicit_prefix, find_prefix
from pyig.structure.keras_record import record
from pyig.structure.refusal import DOES_NOT_PAY, NEVER_PAYS, Refusal


def hoisting(
    backend: Backend,
    model: Any,
    forward: Forward,
    points: Sequence[Any],
    starts: Sequence[Any],
    fixed: Sequence[Any],
    evaluations: float,
    explicit: Any = None,
    known: Prefix | None = None,
    kept: MutableMapping[str, Any] | None = None,
) -> Prefix | Refusal:
    """Walk the model's graph, find its affine prefix, and compare it; see `pyig.structure.find_prefix`."""
    del kept  # the recordings of the other searches cut every layer from its activation
    layer = None if explicit is None else find_layer(model, explicit)
    if layer is None and not (search_pays(evaluations) if known is None else known.pays(evaluations)):
        return DOES_NOT_PAY
    if known is not None:
        held = compared(known.still_holds, forward, points, starts, fixed)
        if held:
            return known
    recording = record(model, forward, points, fixed, mark=layer)
    if isinstance(recording, Refusal):
        return recording
    found = find_prefix(recording) if layer is None else explicit_prefix(recording, layer)
    if isinstance(found, Refusal):
        return found
    if layer is None and not found.pays(evaluations):
        return DOES_NOT_PAY if found.pays(math.inf) else NEVER_PAYS
    return compared(found.verified, forward, points, starts, fixed)
