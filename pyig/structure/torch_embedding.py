"""The embedding layers of a torch model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pyig.held import modules_of
from pyig.structure.torch_patching import patched

_KINDS = (torch.nn.Embedding, torch.nn.EmbeddingBag)


class Tables:
    """See `pyig.structure.embedding.Tables`."""

    def __init__(self, model: Any) -> None:
        roots = modules_of(model)
        own = getattr(model, "get_input_embeddings", None)
        named = [own()] if own is not None else []  # one of a kind of its own, or around an ordinary one
        plain = [module for root in roots for module in root.modules() if isinstance(module, _KINDS)]
        self.layers = [module for module in dict.fromkeys([*named, *plain]) if isinstance(module, torch.nn.Module)]
        self._lock = [*roots, *self.layers][:1]

    @contextmanager
    def watching(self, act: Callable[[Any, Any, Callable[[], Any]], Any]) -> Iterator[None]:
        """Let a function answer for the layers; what happens inside one of them is its own affair."""
        inside = False

        def around(layer: torch.nn.Module) -> Callable[..., Any]:
            forward = layer.forward

            def run(*args: Any, **kwargs: Any) -> Any:
                nonlocal inside
                ids = next((value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)), None)
                if inside or ids is None:
                    return forward(*args, **kwargs)
                inside = True
                try:
                    return act(layer, ids, lambda: forward(*args, **kwargs))
                finally:
                    inside = False

            return run

        with patched(self._lock[0], {layer: around(layer) for layer in self.layers}):
            yield
