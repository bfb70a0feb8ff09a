"""A model whose path begins at several places at once: behind its embeddings, and at its floats.

Nothing comes before such a cut but the look-ups, so there is nothing to record: in `after` the whole model runs, with
points in the place of its floats and of what the embeddings give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyig import tree
from pyig.contracts import Backend, Tensor
from pyig.errors import ModelError
from pyig.structure.embedding import LookUp, Tables
from pyig.structure.keras_tools import no_gradient


class _Reached(BaseException):
    """Ends a run behind the last look-up; no Exception, which a model might catch."""


class LookingUp:
    """See `pyig.contracts.Split`. Equal ones compare equal, so that what a backend traced for one serves the next.

    Parameters
    ----------
    found : sequence of LookUp
        What moves behind embeddings.
    floats : tuple of int
        Leaves of the input that move themselves; their values come first.
    names : sequence of str
        One for each value.
    """

    note: str | None = None

    def __init__(
        self, backend: Backend, held: Tables, found: Sequence[LookUp], floats: tuple[int, ...], names: Sequence[str]
    ) -> None:
        self.spec = tree.Spec("dict", keys=tuple(names), children=(tree.LEAF,) * len(names))
        self._backend, self._held, self._floats = backend, held, floats
        self._places = {(id(each.layer), each.turn): place for place, each in enumerate(found)}
        self._keep = [each.layer for each in found]  # alive as long as their identities
        self._input: tuple[tree.Spec, list[str], dict[str, Any]] = (tree.LEAF, [], {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LookingUp) and other._key() == self._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return (id(self._backend), id(self._held), self._floats, tuple(self._places))

    def before(self, x: Any, batched: dict[str, Any], shared: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the floats and what the embeddings give; as context x and the keyword tensors."""
        leaves, spec = tree.flatten(x)
        self._input = (spec, list(batched), shared)
        found: dict[int, Tensor] = {}

        def keep(place: int | None, call: Callable[[], Any]) -> Any:
            out = call()
            if place is not None:
                # Taken, which copies: the model may work in place on it before the last of them is reached.
                found[place] = self._backend.take(out, np.arange(int(out.shape[0])))
                if len(found) == len(self._places):
                    raise _Reached
            return out

        with no_gradient(self._backend), self._watching(keep):
            try:
                self._backend.call(x, batched | shared)
            except _Reached:
                pass
            else:
                raise ModelError(
                    "expected the model to look up the same inputs for all samples; for some it does not. Explain "
                    "those apart, or pass layer= (pyig.text_layers lists them)"
                )
        values = [found[place] for place in range(len(self._places))]
        return [*(leaves[i] for i in self._floats), *values], [*leaves, *batched.values()]

    def after(self, points: Sequence[Tensor], context: Sequence[Tensor]) -> Any:
        """Run the model with the points in their places."""
        spec, names, shared = self._input
        count = len(self._floats)
        leaves, rest = list(context[: len(context) - len(names)]), context[len(context) - len(names) :]
        for place, point in zip(self._floats, points[:count], strict=True):
            leaves[place] = point
        given = points[count:]

        def give(place: int | None, call: Callable[[], Any]) -> Any:
            return call() if place is None else given[place]

        with self._watching(give):
            return self._backend.call(tree.unflatten(spec, leaves), dict(zip(names, rest, strict=True)) | shared)

    def _watching(self, act: Callable[[int | None, Callable[[], Any]], Any]) -> Any:
        turns: dict[int, int] = {}

        def each(layer: Any, ids: Any, call: Callable[[], Any]) -> Any:
            turn = turns[id(layer)] = turns.get(id(layer), -1) + 1
            return act(self._places.get((id(layer), turn)), call)

        return self._held.watching(each)
