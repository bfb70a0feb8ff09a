"""The layers of a model of text at which a path may begin, and what an attribution there means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig import tree
from pyig.calling import call_spec
from pyig.errors import InputError
from pyig.explainer import IntegratedGradients
from pyig.integrate.inputs import read_inputs
from pyig.structure.embedding import Seen, tables

_MEANS = {
    "table": "the vector of each id by itself",
    "sum": "words with their places and types, as the first block reads them; what scales them is not on the path",
    "block": "what the first block makes of them; each place knows of the others, and its share is no longer a word's",
}
_DEFAULT = "recommended, and what is taken without layer="
_NORMS = ("norm", "dropout")


@dataclass(frozen=True)
class TextLayer:
    """One place where a path may begin.

    Attributes
    ----------
    name : str
        As ``layer=`` takes it.
    layer : object
        The layer itself, which ``layer=`` takes as well.
    kind : {"table", "sum", "block"}
    shape : tuple of int
        Of its values for the first sample.
    recommended : bool
    """

    name: str
    layer: Any
    kind: str
    shape: tuple[int, ...]
    recommended: bool

    def __repr__(self) -> str:
        advice = f" ({_DEFAULT})" if self.recommended else ""
        return f"layer={self.name!r} {self.shape}: {_MEANS[self.kind]}{advice}"


class TextLayers(tuple[TextLayer, ...]):
    """What `text_layers` found, one to a line."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "no layer is seen to look anything up"


def text_layers(model: Any, x: Any, forward_kwargs: dict[str, Any] | None = None) -> TextLayers:
    """List the layers of a model of text at which a path may begin.

    Parameters
    ----------
    model : torch.nn.Module, or Keras model
    x : integer array (N, T), or structure
        Token ids, as the model takes them.
    forward_kwargs : dict, optional
        What the model takes beside them, such as ``attention_mask``.

    Returns
    -------
    TextLayers
        In the order of the model: its tables, the sum of words, places and types where a layer gives it, and the first
        block. Each goes to ``layer=`` of `explain_text` and `IntegratedGradients.explain`; with several tables leave
        ``layer`` away, then they move together.

    Raises
    ------
    InputError
        The model has no embedding layers, or none is seen to look anything up.

    Examples
    --------
    >>> pyig.text_layers(model, tokenizer("A dull film", return_tensors="pt"))  # doctest: +SKIP
    layer='bert.embeddings.word_embeddings' (1, 5, 32): the vector of each id by itself (recommended, ...)
    layer='bert.embeddings' (1, 5, 32): words with their places and types, as the first block reads them; ...
    layer='bert.encoder.layer.0' (1, 5, 32): what the first block makes of them; ...
    """
    explainer = IntegratedGradients(model)
    backend = explainer.backend_for(x)
    inputs = read_inputs(backend, x, forward_kwargs)
    held = tables(backend, model)
    read = explainer.embeddings(x, forward_kwargs) if held else []
    with backend.session():
        one = np.zeros(1, dtype=np.int64)
        first = tree.unflatten(call_spec(inputs.spec), [backend.take(leaf, one) for leaf in inputs.leaves])
        kwargs = {name: backend.take(value, one) for name, value in inputs.batched.items()} | inputs.shared
        if held is None or not read:
            backend.call(first, kwargs)  # may say itself what is wrong
            raise InputError(
                "expected a torch or Keras model that looks whole numbers of its input up in embedding layers; none "
                "was seen to. Pass layer= to explain, the layer whose output is the first of floating dtype"
            )
        calls = held.calls(backend, lambda: backend.call(first, kwargs))
        given = {id(call.layer): call for call in calls if _among(call.layer, read)}
        behind = _behind(calls, read, lambda a, b: np.array_equal(backend.to_numpy(a), backend.to_numpy(b)))
    return TextLayers([*(_layer(call, "table", True) for call in given.values()), *behind])


def _behind(calls: Sequence[Seen], read: Sequence[Any], same: Callable[[Any, Any], bool]) -> list[TextLayer]:
    """Return the last layer in front of the first block, and the block."""
    first = next(i for i, call in enumerate(calls) if _among(call.layer, read))
    table, shape = calls[first], _shape(calls[first])
    after = [call for call in calls[first + 1 :] if len(_shape(call)) == 3 and _shape(call)[:2] == shape[:2]]
    free = [call for call in after if not _among(call.layer, table.inside) and not _plain(call, read)]
    inner = next((call for call in free if call.listed), next((call for call in free if call.weights), None))
    if inner is None:
        return []
    # The outermost: a block may hold rows of its own.
    around = [call for call in free if call.listed == inner.listed and _among(call.layer, inner.inside)]
    block = min(around, key=lambda call: len(call.inside), default=inner)
    out = []
    for call in after:
        if _among(block.layer, (call.layer, *call.inside)):
            break
        if not _among(call.layer, read) and _shape(call) == shape and not same(call.value, table.value):
            out = [_layer(call, "sum", False)]
    return [*out, _layer(block, "block", False)]


def _shape(call: Seen) -> tuple[int, ...]:
    return () if call.value is None else tuple(map(int, call.value.shape))


def _plain(call: Seen, read: Sequence[Any]) -> bool:
    """Tell whether a layer belongs to the tables: one of them, or a norm of their sum."""
    kind = type(call.layer).__name__.lower()
    return "embedding" in kind or any(sign in kind for sign in _NORMS) or _among(call.layer, read)


def _among(layer: Any, layers: Sequence[Any]) -> bool:
    return any(layer is other for other in layers)


def _layer(call: Seen, kind: str, recommended: bool) -> TextLayer:
    return TextLayer(call.name, call.layer, kind, _shape(call), recommended)
