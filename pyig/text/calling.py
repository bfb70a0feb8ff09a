"""How a model wants a batch of tokens: the ids alone, or with a mask and token types beside them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pyig.errors import InputError, InputTypeError
from pyig.text.batches import Batch

_MASKS, _KINDS = ("attention_mask", "mask", "input_mask"), ("token_type_ids", "segment_ids", "type_ids")


def inputs_of(
    model: Any, given: Callable[[Any, Batch], Any] | None
) -> Callable[[Any, Batch], tuple[Any, dict[str, Any]]]:
    """Return a function from ids and their batch to the model's input and its keyword arguments.

    Parameters
    ----------
    given : callable, optional
        The user's own: ``given(ids, batch)`` returns the input, or the input and keyword arguments.
    """
    if given is not None:
        return _checked(given)
    _refuse_writers(model)
    declared = getattr(model, "inputs", None)
    if any(type(layer).__name__ == "TextVectorization" for layer in _layers(model)):
        raise InputError(
            "expected a model of token ids; this one makes them of texts in a layer of its own. Pass the layers behind "
            "it as the model, keras.Sequential(model.layers[1:]), and that layer, model.layers[0], as the tokenizer"
        )
    if declared and hasattr(model, "layers"):  # Keras, functional or sequential
        return _named([str(tensor.name).partition(":")[0] for tensor in declared])
    return _by_signature(model)


def _layers(model: Any) -> list[Any]:
    found = getattr(model, "layers", ())
    return list(found) if isinstance(found, (list, tuple)) else []


def _refuse_writers(model: Any) -> None:
    """Refuse a model that reads a text and writes another: what it is to write is part of the question."""
    writes = getattr(model, "can_generate", None)
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False) and writes is not None and writes():
        raise InputError(
            f"expected a model that answers a text with numbers; {type(model).__qualname__} writes another text. Ask "
            "pyig.explain_next(model, text, tokenizer) for its first token, pyig.explain_generation(model, text, "
            "tokenizer, generated=...) for all, or pass inputs=lambda ids, batch: (ids, {'attention_mask': batch.mask, "
            "'decoder_input_ids': ...})"
        )


def _checked(given: Callable[[Any, Batch], Any]) -> Callable[[Any, Batch], tuple[Any, dict[str, Any]]]:
    def call(ids: Any, batch: Batch) -> tuple[Any, dict[str, Any]]:
        found = given(ids, batch)
        if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict):
            return found
        return found, {}

    return call


def _named(names: list[str]) -> Callable[[Any, Batch], tuple[Any, dict[str, Any]]]:
    """Give a Keras model its inputs by name; a lone one needs none."""

    def call(ids: Any, batch: Batch) -> tuple[Any, dict[str, Any]]:
        if len(names) == 1:
            return ids, {}
        parts = {name: _part(name, ids, batch) for name in names}
        if sum(part is ids for part in parts.values()) != 1:
            raise InputError(
                f"expected one input of token ids among {', '.join(names)}, and masks and token types beside it; pass "
                "inputs=, a function from the ids and their batch to the model's input"
            )
        return parts, {}

    return call


def _part(name: str, ids: Any, batch: Batch) -> Any:
    low = name.lower()
    if "mask" in low:
        return batch.mask
    if "type" in low or "segment" in low:
        return batch.mask * 0 if batch.segments is None else batch.segments
    return ids


def _by_signature(model: Any) -> Callable[[Any, Batch], tuple[Any, dict[str, Any]]]:
    function = getattr(model, "forward", None) or getattr(model, "call", None) or model
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise InputTypeError(
            f"expected a model whose arguments can be read; got {type(model).__qualname__}. Pass inputs=, a function "
            "from the ids and their batch to the model's input and keyword arguments"
        ) from error
    mask = next((name for name in _MASKS if name in known), None)
    kinds = next((name for name in _KINDS if name in known), None)

    def call(ids: Any, batch: Batch) -> tuple[Any, dict[str, Any]]:
        kwargs: dict[str, Any] = {} if mask is None else {mask: batch.mask}
        if kinds is not None and batch.segments is not None:
            kwargs[kinds] = batch.segments
        return ids, kwargs

    return call
