"""The embedding layers of a Keras model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyig.structure.keras_replay import patched
from pyig.structure.keras_tools import inside


class Tables:
    """See `pyig.structure.embedding.Tables`."""

    def __init__(self, model: Any) -> None:
        layers = [model, *inside(model)]
        self.layers = [layer for layer in layers if any(cls.__name__ == "Embedding" for cls in type(layer).__mro__)]

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
