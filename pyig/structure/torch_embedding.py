"""The embedding layers of a torch model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pyig.contracts import Backend
from pyig.held import modules_of
from pyig.structure.embedding import Seen
from pyig.structure.torch_patching import patched

_KINDS = (torch.nn.Embedding, torch.nn.EmbeddingBag)


class Tables:
    """See `pyig.structure.embedding.Tables`."""

    def __init__(self, model: Any) -> None:
        self._roots = roots = modules_of(model)
        named = [_named(model)]  # one of a kind of its own, or around an ordinary one
        plain = [module for root in roots for module in root.modules() if isinstance(module, _KINDS)]
        self.layers = [module for module in dict.fromkeys([*named, *plain]) if isinstance(module, torch.nn.Module)]
        pads = {getattr(layer, "padding_idx", None) for layer in self.layers} - {None}
        self.padding = pads.pop() if len(pads) == 1 else None
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
                if inside or ids is None or ids.is_floating_point():  # patches of a picture, say
                    return forward(*args, **kwargs)
                inside = True
                try:
                    return act(layer, ids, lambda: forward(*args, **kwargs))
                finally:
                    inside = False

            return run

        with patched(self._lock[0], {layer: around(layer) for layer in self.layers}):
            yield

    def calls(self, backend: Backend, run: Callable[[], Any]) -> list[Seen]:
        """Return the calls of all modules in a run, in the order in which they end."""
        names = {module: name for root in self._roots for name, module in root.named_modules() if name}
        rows = (torch.nn.ModuleList, torch.nn.Sequential)
        listed = {item for module in names if isinstance(module, rows) and len(module) > 1 for item in module}
        found: list[Seen] = []
        open_: list[torch.nn.Module] = []

        def around(module: torch.nn.Module) -> Callable[..., Any]:
            forward = module.forward

            def call(*args: Any, **kwargs: Any) -> Any:
                weights = any(True for _ in module.parameters())
                seen = Seen(names[module], module, tuple(open_), weights, module in listed)
                open_.append(module)
                out = forward(*args, **kwargs)
                open_.pop()
                value = out[0] if isinstance(out, tuple) and out else out
                seen.value = value if isinstance(value, torch.Tensor) and value.is_floating_point() else None
                found.append(seen)
                return out

            return call

        with torch.no_grad(), patched(self._lock[0], {module: around(module) for module in names}):
            run()
        return found


def _named(model: Any) -> Any:
    try:
        return model.get_input_embeddings()
    except (AttributeError, NotImplementedError):  # transformers has the name on models of pictures and sounds as well
        return None
