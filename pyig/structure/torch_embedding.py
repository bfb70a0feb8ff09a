"""Which embedding of a torch model consumes the ids of an input: seen in one call, not guessed from names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from pyig.errors import InputError
from pyig.held import modules_of


def embeddings(model: Any, ids: Sequence[Any], call: Callable[[], Any]) -> list[list[Any]]:
    """Return, for each tensor of ids, the embedding layers that it goes into.

    Parameters
    ----------
    ids : sequence of integer tensor
        The inputs in question.
    call : callable
        Runs the model on them.
    """
    found: list[list[Any]] = [[] for _ in ids]
    every: list[torch.nn.Module] = []

    def note(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
        if given and module not in every:
            every.append(module)
        # The tensor itself settles it; one that was cast or moved is known by its values, which others may share.
        mine = [place for place, tensor in enumerate(ids) if any(a.data_ptr() == tensor.data_ptr() for a in given)]
        alike = [place for place, tensor in enumerate(ids) if any(_equal(a, tensor) for a in given)]
        for place in mine or alike:
            if module not in found[place]:
                found[place].append(module)

    kinds = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    layers = [m for outer in modules_of(model) for m in outer.modules() if isinstance(m, kinds)]
    own = getattr(model, "get_input_embeddings", None)
    if not layers and own is None:  # the model may not even run on whole numbers
        return found
    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in dict.fromkeys(layers)]
    try:
        with torch.no_grad():
            call()
    finally:
        for handle in handles:
            handle.remove()
    if len(ids) == 1 and not found[0]:  # the ids were shifted or clipped on their way
        found[0] = [own()] if own is not None else every
    _refuse_tied([layer for layers in found for layer in layers], every)
    if any(isinstance(layer, torch.nn.EmbeddingBag) for layers in found for layer in layers):
        raise InputError(
            "expected an embedding with one vector for each id; the model adds them up in an EmbeddingBag, and nothing "
            "is left to give to a single id. Use Embedding and a sum, which is the same model, or pass layer= to "
            "explain what comes out of the bag"
        )
    return found


def _refuse_tied(found: list[Any], every: list[torch.nn.Module]) -> None:
    """Refuse a model that looks other ids up in the same table: a decoder reads the text again, shifted by one."""
    for other in every:
        if other not in found and any(other.weight is layer.weight for layer in found):
            raise InputError(
                "expected ids that are looked up once; a second layer of the same table, such as a decoder's, is given "
                "others, which would stay as they are while the first move. Pass layer= if that is meant"
            )


def _equal(given: torch.Tensor, ids: torch.Tensor) -> bool:
    if given.is_floating_point() or given.numel() != ids.numel():
        return False
    return bool((given.reshape(-1) == ids.reshape(-1).to(given.device)).all())
