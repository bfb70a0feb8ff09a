"""Inputs that are looked up in tables: the path runs behind them, and each id gets the sum over what it stands for."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import tree
from pyig.calling import call_spec
from pyig.contracts import Backend, Ints, Tensor
from pyig.errors import InputError, PyigError
from pyig.explanation import Explanation
from pyig.integrate.inputs import Inputs
from pyig.structure.embedding import LookUp, Tables, look_ups, reads, tables
from pyig.structure.looking_up import LookingUp

_LOOKED_AT = 8  # samples: their values are known to be ids of the model
_FLAG = 1  # a mask holds no larger number


@dataclass(frozen=True)
class Routed:
    """Which entries of the input go through an embedding.

    Attributes
    ----------
    held : Tables
    found : tuple of LookUp
        What moves behind embeddings; ids are numbered over the leaves of `whole`.
    whole : tuple of int
        Leaves that may hold ids, as positions in the input: those of whole numbers, and floats that the model rounds.
    floats : tuple of int
        Leaves that move themselves.
    shapes : tuple
        Of the samples of `whole`.
    """

    held: Tables
    found: tuple[LookUp, ...]
    whole: tuple[int, ...]
    floats: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def layers(self) -> list[Any]:
        """The embedding layers, each once."""
        return list({id(each.layer): each.layer for each in self.found}.values())

    @property
    def places(self) -> tuple[int, ...]:
        """The leaves with entries that go into an embedding."""
        return tuple(sorted({leaf for each in self.found for leaf in self._read_by(each)}))

    def _read_by(self, each: LookUp) -> list[int]:
        """Return the leaves that a look-up has its ids from."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        return [self.whole[i] for i in np.unique(np.searchsorted(ends, each.entries[each.entries >= 0], side="right"))]

    def moved(self) -> dict[int, NDArray[np.bool_]]:
        """Return which entries of each leaf of `whole` go into an embedding, in the shape of a sample."""
        ranges = _ranges(self.shapes)
        flat = np.zeros(sum(map(len, ranges)), dtype=bool)
        for each in self.found:
            flat[each.entries[each.entries >= 0]] = True
        return {
            leaf: flat[own].reshape(shape) for leaf, own, shape in zip(self.whole, ranges, self.shapes, strict=True)
        }

    @property
    def rounded(self) -> bool:
        """Whether an input of floats holds nothing but ids: that there is no gradient at it is then no mistake."""
        return any(moved.all() for leaf, moved in self.moved().items() if leaf in self.floats)

    def cut(self, inputs: Inputs) -> LookingUp:
        """Return the model cut where the path begins."""
        names = [inputs.names[leaf] for leaf in self.floats]
        for place, each in enumerate(self.found):
            read = ", ".join(inputs.names[leaf] for leaf in self._read_by(each)) or "the input"
            names.append(f"{_label(each.layer)} {place} of {read}")
        return LookingUp(inputs.backend, self.held, self.found, self.floats, names)

    def starts(self, inputs: Inputs) -> Any:
        """Return the baseline by default: the padding that a table names, else id 0; zero for floats."""
        items: list[Any] = [None] * len(inputs.leaves)
        for leaf in self.places:
            known = {getattr(each.layer, "padding_idx", None) for each in self.found if self._read_by(each) == [leaf]}
            items[leaf] = known.pop() if len(known) == 1 else None
        if inputs.spec.kind in ("leaf", "frame"):
            return items[0]
        plain = all(child.kind == "leaf" for child in inputs.spec.children)
        return tree.unflatten(inputs.spec, items) if plain else None

    def for_shapes(self, shapes: tuple[tuple[int, ...], ...]) -> Routed | None:
        """Return the same for samples of other shapes, where leaves are looked up as they are; else None."""
        mine, others = _ranges(self.shapes), _ranges(shapes)
        found = []
        for each in self.found:
            same = [other for own, other in zip(mine, others, strict=True) if np.array_equal(own, each.entries)]
            if shapes != self.shapes and not same:
                return None
            found.append(replace(each, entries=same[0]) if same else each)
        return replace(self, found=tuple(found), shapes=shapes)


def route(backend: Backend, model: Any, inputs: Inputs, memory: MutableMapping[Any, Any]) -> Routed | None:
    """Find the embeddings of an input that holds whole numbers; the first call looks, later ones know.

    None where no input goes into one: the numbers are then meant as numbers.
    """
    key = ("embedding", tuple(inputs.names), inputs.floating, tuple(inputs.batched))
    known: Routed | None = memory.get(key)
    if key in memory and known is None:
        return None
    shapes = _shapes(inputs, () if known is None else known.whole)
    with backend.session():  # not around what is known: most calls have no ids, and would open two
        memory[key] = (known and known.for_shapes(shapes)) or _looked(backend, model, inputs)
    found: Routed | None = memory[key]
    return found


def _looked(backend: Backend, model: Any, inputs: Inputs) -> Routed | None:
    held = tables(backend, model)
    if held is None:
        return None
    few = np.arange(min(_LOOKED_AT, inputs.samples))
    samples = [np.array(backend.to_numpy(backend.take(leaf, few))) for leaf in inputs.leaves]

    def run(places: Sequence[int], changed: Sequence[Any], rows: int) -> Any:
        same = np.zeros(rows, dtype=np.int64)
        leaves = [backend.take(leaf, same) for leaf in inputs.leaves]
        for i, array in zip(places, changed, strict=True):
            leaves[i] = backend.cast_like(backend.from_numpy(np.ascontiguousarray(array), leaves[i]), leaves[i])
        kwargs = {name: backend.take(value, same) for name, value in inputs.batched.items()} | inputs.shared
        try:
            return backend.call(tree.unflatten(call_spec(inputs.spec), leaves), kwargs)
        except Exception as error:
            if inputs.spec.kind != "leaf" or len(leaves[0].shape) > 1 or isinstance(error, PyigError):
                raise
            shape = tuple(inputs.leaves[0].shape)
            raise InputError(
                f"expected ids of shape (N, T), or (N,) for a model of one column; the model does not take {shape}: "
                f"{error}. Pass x[None] to explain one text"
            ) from error

    def asked(question: Any, places: tuple[int, ...]) -> Any:
        return question(backend, held, [samples[i] for i in places], partial(run, places))

    floats = inputs.floating
    whole = tuple(i for i in range(len(samples)) if i not in floats or asked(reads, (i,)))
    found = asked(look_ups, whole) if whole else []
    return Routed(held, tuple(found), whole, floats, _shapes(inputs, whole)) if found else None


def _shapes(inputs: Inputs, places: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(map(int, inputs.leaves[i].shape[1:])) for i in places)


def per_id(explanation: Explanation, routed: Routed, inputs: Inputs, baselines: list[list[Tensor]]) -> Explanation:
    """Return the explanation in the structure of the input: sums over the elements of what each id stands for."""
    backend = inputs.backend
    stop = [np.array(backend.to_numpy(leaf)) for leaf in inputs.leaves]
    start = [np.array(backend.to_numpy(leaf)) for leaf in baselines[0]]
    for leaf in routed.floats if len(baselines) > 1 else ():
        every = np.broadcast_arrays(*(backend.to_numpy(each[leaf]) for each in baselines))
        start[leaf] = np.mean(every, axis=0, dtype=np.float64).astype(stop[leaf].dtype)
    for leaf, moved in routed.moved().items():  # what no embedding takes, such as a mask, stays as it is
        if not moved.all() and leaf not in routed.floats:
            start[leaf] = np.where(moved, start[leaf], stop[leaf])
    phi, _ = tree.flatten(explanation.attributions)
    notes = [*explanation.meta["notes"], *_unmoved(routed, inputs, stop)]
    if len(baselines) > 1:
        notes.append("the baseline shown is the first of several; ids have no mean")
    return replace(
        explanation,
        attributions=tree.unflatten(inputs.spec, ids_alone(phi, False, routed, inputs, explanation.values.shape)),
        inputs=tree.unflatten(inputs.spec, stop),
        baselines=tree.unflatten(tree.take_rows(inputs.spec, [0]) if len(start[0]) == 1 else inputs.spec, start),
        standard_error=None,
        meta=explanation.meta | {"notes": notes, "summed": True},
    )


def _unmoved(routed: Routed, inputs: Inputs, stop: Sequence[NDArray[Any]]) -> list[str]:
    """Name the leaves that stay as they are although they hold more than flags."""
    fixed = [leaf for leaf in routed.whole if leaf not in (*routed.places, *routed.floats)]
    still = [inputs.names[leaf] for leaf in fixed if stop[leaf].max(initial=0) > _FLAG]
    rounded = [inputs.names[leaf] or "the input" for leaf in routed.places if leaf in routed.floats]
    notes = []
    if still:
        notes.append(
            f"whole numbers that go into no embedding are held fixed: {', '.join(still)}. Pass them as floats to "
            "explain them as numbers"
        )
    if rounded:
        notes.append(f"some floats of {', '.join(rounded)} are looked up in an embedding; the path runs behind it")
    return notes


def ids_alone(
    attributions: list[Any], native: bool, routed: Routed, inputs: Inputs, lead: tuple[int, ...]
) -> list[Any]:
    """Return one array, or tensor on the device, per leaf of the input; `lead` is (N,), or (N, K)."""
    backend, rows = inputs.backend, math.prod(lead)
    own = len(routed.floats)
    out = dict(zip(routed.floats, attributions[:own], strict=True))
    like = attributions[-1]
    ranges = _ranges(routed.shapes)
    count = sum(map(len, ranges))
    sums = np.zeros((rows, count)) if not native else backend.wide_zeros((rows * count,), like)
    for each, phi in zip(routed.found, attributions[own:], strict=True):
        places = np.flatnonzero(each.entries >= 0)
        if not native:
            wide = phi.reshape(rows, len(each.entries), -1).sum(axis=-1, dtype=np.float64)
            np.add.at(sums.T, each.entries[places], wide[:, places].T)
            continue
        wide = backend.row_sum(backend.reshape(phi, (rows * len(each.entries), -1)))
        steps = np.arange(rows)[:, None]
        read = backend.take(wide, (steps * len(each.entries) + places).reshape(-1))
        slots = backend.from_numpy((steps * count + each.entries[places]).reshape(-1), read)
        sums = backend.scatter_add(sums, slots, backend.cast_like(read, sums))
    for leaf, entries, shape in zip(routed.whole, ranges, routed.shapes, strict=True):
        if native:
            chosen = backend.take(sums, (np.arange(rows)[:, None] * count + entries).reshape(-1))
            own_sum = backend.cast_like(backend.reshape(chosen, (*lead, *shape)), like)
        else:
            own_sum = sums[:, entries].reshape(*lead, *shape).astype(like.dtype)
        out[leaf] = out[leaf] + own_sum if leaf in out else own_sum
    return [out[leaf] for leaf in range(len(inputs.leaves))]


def _ranges(shapes: Sequence[tuple[int, ...]]) -> list[Ints]:
    """Return the entries of each leaf, numbered over all of them."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    return [np.arange(end - math.prod(shape), end) for end, shape in zip(ends, shapes, strict=True)]


def _label(layer: Any) -> str:
    return str(getattr(layer, "name", None) or type(layer).__qualname__)
