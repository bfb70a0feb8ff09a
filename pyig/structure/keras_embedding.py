"""The embedding layers of a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyig.contracts import Backend
from pyig.structure.embedding import Seen
from pyig.structure.keras_replay import patched
from pyig.structure.keras_tools import inside


class Tables:
    """See `pyig.structure.embedding.Tables`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        layers = [model, *inside(model)]
        self.layers = [layer for layer in layers if any(cls.__name__ == "Embedding" for cls in type(layer).__mro__)]
        self.padding = 0 if any(getattr(layer, "mask_zero", False) for layer in self.layers) else None

    @contextmanager
    def watching(self, act: Callable[[Any, Any, Callable[[], Any]], Any]) -> Iterator[None]:
        """Let a function answer for the layers; the masks that they hang on their values stay theirs."""

        def around(layer: Any) -> Callable[..., Any]:
            call = layer.call

            def run(inputs: Any, *args: Any, **kwargs: Any) -> Any:
                return act(layer, inputs, lambda: call(inputs, *args, **kwargs))

            return run

        with patched([(layer, around(layer)) for layer in self.layers]):
            yield

    def calls(self, backend: Backend, run: Callable[[], Any]) -> list[Seen]:
        """Return the calls of all layers in a run, in the order in which they end."""
        found: list[Seen] = []
        open_: list[Any] = []

        def around(layer: Any) -> Callable[..., Any]:
            call = layer.call

            def called(*args: Any, **kwargs: Any) -> Any:
                seen = Seen(str(layer.name), layer, tuple(open_), bool(layer.weights), False)
                open_.append(layer)
                out = call(*args, **kwargs)
                open_.pop()
                seen.value = out if backend.is_tensor(out) and backend.is_floating(out) else None
                found.append(seen)
                return out

            return called

        with patched([(layer, around(layer)) for layer in inside(self._model)]):
            run()
        return found
