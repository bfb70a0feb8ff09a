"""A Keras model cut at a layer: Keras 3 on TensorFlow or torch, and tf-keras.

Two ways, the first that fits. A Sequential or Functional model is a graph: `keras_graph` computes what enters the
layer and what bypasses it, and runs the rest. Any other model is a Python program: `keras_replay` records the layers
before the cut and plays them back. Neither is trusted: what comes out is compared once with the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from pyig import tree
from pyig.contracts import Backend, Split
from pyig.errors import InputError, InputTypeError, ModelError, unknown
from pyig.structure.keras_graph import GraphCut
from pyig.structure.keras_replay import ReplayCut
from pyig.structure.keras_tools import CutError, describe, inside, nest, no_gradient

_AGAIN = "the layers before the cut run again for every node"


class _Cut(Protocol):
    spec: tree.Spec

    def before(self, x: Any, batched: dict[str, Any], shared: dict[str, Any]) -> tuple[list[Any], list[Any]]: ...

    def after(self, points: Sequence[Any], context: Sequence[Any]) -> Any: ...


def split(backend: Backend, model: Any, layer: Any, to_inputs: bool) -> Split:
    """Find the layer and return the cut.

    Parameters
    ----------
    layer : Keras layer, str, int, or callable
        The layer itself; its name, with the names of the models around it where it is nested (``"block/conv"``); its
        attribute (``"encoder.conv"``); its position in ``model.layers``; or ``callable(model) -> layer``.
    to_inputs : bool
        Whether the path runs at the layer's inputs rather than at its outputs.
    """
    return KerasSplit(backend, model, find_layer(model, layer), to_inputs)


class KerasSplit:
    """See `pyig.contracts.Split`. Equal cuts compare equal, so that what a backend traced for one serves the next."""

    def __init__(self, backend: Backend, model: Any, layer: Any, to_inputs: bool) -> None:
        self.spec = tree.LEAF  # known once `before` has run
        self.note: str | None = None
        self._what = (backend, model, layer, to_inputs)
        self._cut: _Cut | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KerasSplit) and all(a is b for a, b in zip(self._what, other._what, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(map(id, self._what)))

    def before(self, x: Any, batched: dict[str, Any], shared: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """Return the layer's values and what bypasses the layer, one row per sample."""
        with no_gradient(self._what[0]):
            try:
                if self._cut is not None:
                    return self._cut.before(x, batched, shared)
            except CutError:
                pass  # what fitted the first samples does not fit these
            self._cut = self._choose(x, batched, shared)
            return self._cut.before(x, batched, shared)

    def after(self, points: Sequence[Any], context: Sequence[Any]) -> Any:
        """Run the rest of the model."""
        if self._cut is None:
            raise ModelError("expected before() to run first; it chooses how the model is cut")
        return self._cut.after(points, context)

    def _choose(self, x: Any, batched: dict[str, Any], shared: dict[str, Any]) -> _Cut:
        """Return the first way whose two halves give what the model gives."""
        backend, model, layer, to_inputs = self._what
        wanted = backend.call(x, batched | shared)
        ways: list[tuple[Callable[[], _Cut], str | None]] = [
            (lambda: GraphCut(model, layer, to_inputs), None),
            (lambda: ReplayCut(backend, model, layer, to_inputs, record=True), None),
            (lambda: ReplayCut(backend, model, layer, to_inputs, record=False), _AGAIN),
        ]
        why = ""
        for way, note in ways:
            try:
                cut = way()
                found = cut.after(*cut.before(x, batched, shared))
            except CutError as reason:
                why = str(reason)
                continue
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                # Keras shows its graph in parts that may change; the model itself has just run, so try another way.
                why = f"{type(error).__name__}: {error}"
                continue
            if self._same(found, wanted):
                self.spec, self.note = cut.spec, f"{note}: {why}" if note else None
                return cut
            why = "what was recorded does not give the model's outputs again"
        raise ModelError(
            f"expected a model whose outputs follow from the values of {describe(layer)}; {why}. Is the model "
            "random, or does it keep state between calls?"
        )

    def _same(self, found: Any, wanted: Any) -> bool:
        backend = self._what[0]
        a, b = nest(self._what[1]).flatten(found), nest(self._what[1]).flatten(wanted)
        if len(a) != len(b):
            return False
        pairs = [(p, q) for p, q in zip(a, b, strict=True) if backend.is_tensor(q)]
        return all(_close(backend.to_numpy(p), backend.to_numpy(q)) for p, q in pairs if backend.is_floating(q))


def find_layer(model: Any, layer: Any) -> Any:
    """Return the layer that is meant, or say which there are."""
    table = list(_table(model))
    if not table and isinstance(layer, (str, int, np.integer)):
        raise InputTypeError(
            f"expected layer= as the layer object itself, for a {type(model).__qualname__} does not list its layers; "
            f"got {layer!r}"
        )
    if isinstance(layer, (int, np.integer)) and not isinstance(layer, bool):
        layers = getattr(model, "layers", [])
        if not -len(layers) <= layer < len(layers):
            raise InputError(f"expected layer= from {-len(layers)} to {len(layers) - 1}; got {layer}")
        return layers[layer]
    if isinstance(layer, str):
        return _named(model, table, layer)
    if not _is_layer(layer) and callable(layer):
        layer = layer(model)
    if not _is_layer(layer):
        raise InputTypeError(
            "expected layer= as a Keras layer, its name, its position, or callable(model); "
            f"got {type(layer).__qualname__}"
        )
    if table and all(known is not layer for _, known in table):
        raise InputError(f"expected a layer of the model; got {describe(layer)}, which is not part of it")
    return layer


def _named(model: Any, table: list[tuple[str, Any]], name: str) -> Any:
    paths: dict[int, tuple[str, Any]] = {}
    for path, layer in table:
        if path == name:
            return layer
        if path.endswith("/" + name):
            paths.setdefault(id(layer), (path, layer))
    if not paths:
        found = (
            model  # a subclassed model seldom names its layers: ``self.encoder.attention`` is how its author knows them
        )
        for part in name.split("."):
            found = getattr(found, part, None)
        if any(known is found for _, known in table):
            return found
        raise unknown("layer", name, dict(table))
    if len(paths) > 1:
        raise InputError(f"several layers are named {name!r}; choose one of: {', '.join(p for p, _ in paths.values())}")
    return next(iter(paths.values()))[1]


def _table(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and layer (in a Functional model also an operation such as ``add``), the outer ones first."""
    found = list(getattr(model, "operations", None) or inside(model, deep=False))
    yield from ((prefix + layer.name, layer) for layer in found)
    for layer in found:
        yield from _table(layer, f"{prefix}{layer.name}/")


def _is_layer(thing: Any) -> bool:
    return hasattr(thing, "_inbound_nodes") and hasattr(thing, "call")


def _close(found: Any, wanted: Any) -> bool:
    if found.shape != wanted.shape:
        return False
    tolerance = 1e-9 if wanted.dtype == np.float64 else 1e-4
    scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
    return bool(np.allclose(found, wanted, rtol=tolerance, atol=tolerance * scale, equal_nan=True))
