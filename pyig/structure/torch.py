"""A torch module cut at a layer, by recording what runs before it and playing that back.

No tracing and no graph: the model's own Python runs, so control flow, keyword calls and dynamic shapes stay as they
are. In `before`, every module call that is complete when the layer is reached is recorded, and the run stops there. In
`after`, those calls return their recording, gathered for the rows of the batch, and the layer returns the points.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pyig import tree
from pyig.contracts import Backend
from pyig.errors import InputError, InputTypeError, ModelError, PyigError, unknown
from pyig.structure.torch_patching import ABSENT, Reached, pack, patched, swapped, tensors_of, twice, unpack


@dataclass(frozen=True)
class Record:
    """The output of one module call that was complete before the layer began."""

    module: torch.nn.Module
    leaves: list[Any]
    spec: Any


@dataclass
class _Cut:
    """What one layer gave in the last run up to it: its tensors, and the rest of its output around them."""

    layer: torch.nn.Module
    found: list[torch.Tensor] | None = None
    rest: list[Any] = field(default_factory=list)
    spec: tree.Spec = tree.LEAF


def split(backend: Backend, model: Any, layer: Any, to_inputs: bool) -> TorchSplit:
    """Find the layer, or the layers of a list, and return the cut."""
    several = isinstance(layer, list)
    if several and not layer:
        raise InputError("expected at least one layer; got none")
    roots, layers = find_layers(backend, model, layer if several else [layer])
    if len(set(layers)) < len(layers):
        raise InputError("expected each layer once in the list of layers; got one twice")
    return TorchSplit(backend, roots, layers, several, to_inputs)


def find_layers(
    backend: Backend, model: Any, layers: Sequence[Any]
) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
    """Return the model's module, or the modules that a function is seen to use, and the layers in them."""
    roots = [model] if isinstance(model, torch.nn.Module) else list(getattr(backend, "modules", []))
    return roots, [_find(model, roots, layer) for layer in layers]


def _find(model: Any, roots: list[torch.nn.Module], layer: Any) -> torch.nn.Module:
    """Return the layer; one that a function was not seen to use is taken as it is."""
    if isinstance(model, torch.nn.Module):
        return find_layer(model, layer)
    if isinstance(layer, torch.nn.Module):
        return layer
    if len(roots) != 1:
        raise InputTypeError(
            f"expected a torch.nn.Module as the model, or layer= as a module itself; got {type(model).__qualname__} "
            f"and {type(layer).__qualname__}"
        )
    return find_layer(roots[0], layer)


def find_layer(model: torch.nn.Module, layer: Any) -> torch.nn.Module:
    """Return the module that a name, a function of the model, or the module itself stands for."""
    if isinstance(layer, str):
        table = dict(model.named_modules())
        if layer not in table:
            raise unknown("layer", layer, [name for name in table if name])
        named: torch.nn.Module = table[layer]
        return named
    found: Any = layer if isinstance(layer, torch.nn.Module) else layer(model) if callable(layer) else None
    if not isinstance(found, torch.nn.Module):
        raise InputTypeError(
            f"expected layer= as a module, its name, or callable(model); got {type(layer).__qualname__}"
        )
    if all(module is not found for module in model.modules()):
        raise InputError(f"expected a layer of the model; got a {type(found).__qualname__} that is not part of it")
    return found


class TorchSplit:
    """See `pyig.contracts.Split`.

    A tensor has one row per sample when its first axis is 2 in a run with two rows and 3 in one with three; a tensor of
    the same shape in both belongs to all samples. Where neither holds, the layers before the cut run again for every
    node, and `note` says so.
    """

    def __init__(
        self,
        backend: Backend,
        roots: list[torch.nn.Module],
        layers: list[torch.nn.Module],
        several: bool,
        to_inputs: bool,
    ) -> None:
        self.spec = tree.LEAF
        self.note: str | None = None
        self._backend, self._several, self._to_inputs = backend, several, to_inputs
        self._cuts = [_Cut(layer) for layer in layers]
        known = {module: None for root in roots for module in root.modules()}
        self._modules = list(known | dict.fromkeys(layers))
        self._lock = next((root for root in roots if layers[0] in set(root.modules())), layers[0])
        self._plan: list[Record] = []  # shared leaves stay in the record; an absent one is filled from the context
        self._rows: list[tuple[torch.nn.Module, list[bool]]] | None = None  # per record: which leaves have rows
        self._replays = True
        self._inputs: tuple[tree.Spec, list[str], dict[str, Any]] = (tree.LEAF, [], {})

    def before(
        self, x: Any, batched: dict[str, Any], shared: dict[str, Any]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the layer's values and, as context, x, the keyword tensors and the recordings, one row per sample."""
        leaves, spec = tree.flatten(x)
        samples = int(leaves[0].shape[0])
        if self._rows is None:
            self._rows = self._look(leaves, spec, batched, shared)
        values, records = self._record(x, batched | shared)
        if self._replays and not self._as_seen(records, samples):
            self._give_up("the model does not call the same modules for all samples")
        self._inputs = (spec, list(batched), shared)
        context = [*leaves, *batched.values()]
        self._plan = []
        for record, (_, rows) in zip(records, self._rows, strict=True) if self._replays else ():
            context += [leaf for leaf, flag in zip(record.leaves, rows, strict=True) if flag]
            kept = [ABSENT if flag else leaf for leaf, flag in zip(record.leaves, rows, strict=True)]
            self._plan.append(Record(record.module, kept, record.spec))
        return values, context

    def after(self, points: Sequence[torch.Tensor], context: Sequence[torch.Tensor]) -> Any:
        """Run the model with the points in the layer's place."""
        spec, names, shared = self._inputs
        rest = iter(context)
        x = tree.unflatten(spec, [next(rest) for _ in tree.names(spec)])
        kwargs = {name: next(rest) for name in names} | shared
        queues: dict[torch.nn.Module, deque[Any]] = {}
        for record in self._plan:
            filled = [next(rest) if leaf is ABSENT else leaf for leaf in record.leaves]
            queues.setdefault(record.module, deque()).append(pack(record.spec, filled))
        calls = Counter[torch.nn.Module]()
        patches: dict[torch.nn.Module, Callable[..., Any]] = {
            module: _player(queue, module.forward) for module, queue in queues.items()
        }
        fresh = iter(points)
        for cut in self._cuts:
            own = [next(fresh) for _ in cut.found or ()]
            patches[cut.layer] = self._stand_in(cut, own, calls, cut.layer.forward)
        with patched(self._lock, patches):
            out = self._backend.call(x, kwargs)
        if len(calls) < len(self._cuts):
            raise ModelError("expected the layer to be called as in the first run; it was not")
        return out

    def _stand_in(
        self, cut: _Cut, points: list[torch.Tensor], calls: Counter[torch.nn.Module], forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            calls[cut.layer] += 1
            if calls[cut.layer] > 1:
                raise ModelError(twice(cut.layer))
            if not self._to_inputs:
                fresh = iter(points)
                return pack(cut.spec, [next(fresh) if leaf is ABSENT else leaf for leaf in cut.rest])
            positional, named = swapped(args, kwargs, points)
            return forward(*positional, **named)

        return stand_in

    def _record(self, x: Any, kwargs: dict[str, Any]) -> tuple[list[torch.Tensor], list[Record]]:
        """Run up to the last layer; return the values, and the outermost calls that were complete before the first."""
        done: list[tuple[int, Record]] = []
        depth = 0
        begun = False
        cuts = {cut.layer: cut for cut in self._cuts}
        for cut in self._cuts:
            cut.found = None

        def take(cut: _Cut, values: list[torch.Tensor]) -> None:
            if cut.found is None:  # a second call is refused where the values are put in
                cut.found = values
            if all(each.found is not None for each in self._cuts):
                raise Reached

        def wrap(module: torch.nn.Module) -> Callable[..., Any]:
            forward = module.forward

            def run(*args: Any, **kw: Any) -> Any:
                nonlocal depth, begun
                cut = cuts.get(module)
                begun = begun or cut is not None
                if cut is not None and self._to_inputs:
                    take(cut, [tensor.clone() for tensor in tensors_of(args, kw)])
                depth += 1
                out = forward(*args, **kw)
                depth -= 1
                leaves, spec = unpack(out)
                if cut is not None and not self._to_inputs:
                    if cut.found is None:
                        cut.spec = spec
                        cut.rest = [ABSENT if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
                    # A clone: what follows may work in place on it before the last layer is reached.
                    take(cut, [leaf.clone() for leaf in leaves if isinstance(leaf, torch.Tensor)])
                if begun:
                    return out
                while done and done[-1][0] > depth:  # calls inside this one are covered by its own output
                    done.pop()
                kept = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
                done.append((depth, Record(module, kept, spec)))
                return out

            return run

        with torch.no_grad(), patched(self._lock, {module: wrap(module) for module in self._modules}):
            try:
                self._backend.call(x, kwargs)
            except Reached:
                pass
            else:
                missed = next(cut.layer for cut in self._cuts if cut.found is None)
                raise ModelError(
                    f"expected the layer {type(missed).__qualname__} to be called by the model; it was not"
                )
        if any(not cut.found for cut in self._cuts):
            raise ModelError("expected the layer to give or take tensors; got none")
        specs = [self._spec_of(cut) for cut in self._cuts]
        self.spec = tree.Spec("list", children=tuple(specs)) if self._several else specs[0]
        return [leaf for cut in self._cuts for leaf in cut.found or ()], [record for _, record in done]

    def _spec_of(self, cut: _Cut) -> tree.Spec:
        """Return the structure of a layer's attributions: that of its output, where that is tensors alone."""
        count = len(cut.found or ())
        if not self._to_inputs and all(leaf is ABSENT for leaf in cut.rest):
            return cut.spec
        return tree.LEAF if count == 1 else tree.Spec("tuple", children=(tree.LEAF,) * count)

    def _look(
        self, leaves: list[torch.Tensor], spec: tree.Spec, batched: dict[str, Any], shared: dict[str, Any]
    ) -> list[tuple[torch.nn.Module, list[bool]]]:
        """Run with two rows and with three, and tell for every recorded leaf whether it follows them."""

        def run(rows: int) -> tuple[list[torch.Tensor], list[Record]]:
            def resized(value: torch.Tensor) -> torch.Tensor:
                return value.index_select(0, torch.zeros(rows, dtype=torch.long, device=value.device))

            x = tree.unflatten(spec, [resized(leaf) for leaf in leaves])
            return self._record(x, {key: resized(value) for key, value in batched.items()} | shared)

        try:
            (values, records), (others, again) = run(2), run(3)
        except Exception as error:
            if self._backend.is_out_of_memory(error) or isinstance(error, PyigError):
                raise
            self._give_up("the model does not run with two rows and with three")
            return []
        if any(not _follows(a, b) for a, b in zip(values, others, strict=True) if a.is_floating_point()):
            raise ModelError(
                f"expected layer values with one row per sample; got shape {tuple(values[0].shape)} for two samples. "
                "Choose a layer whose first axis is the batch"
            )
        if any(_is_opaque(leaf) for record in records for leaf in record.leaves):
            self._give_up("a module before it returns an object whose tensors cannot be told apart")
            return []
        pairs = list(zip(records, again, strict=False))
        same = len(records) == len(again) and all(a.module is b.module and a.spec == b.spec for a, b in pairs)
        if not same or not all(_alike(a, b) for r, o in pairs for a, b in zip(r.leaves, o.leaves, strict=True)):
            self._give_up("their outputs do not have one row per sample")
            return []
        return [(r.module, [_follows(a, b) for a, b in zip(r.leaves, o.leaves, strict=True)]) for r, o in pairs]

    def _as_seen(self, records: list[Record], samples: int) -> bool:
        """Tell whether a run recorded the same calls as the look, with rows where the look saw them."""
        seen = self._rows or []
        return len(records) == len(seen) and all(
            record.module is module
            and len(record.leaves) == len(rows)
            and all(_has_rows(leaf, samples) for leaf, flag in zip(record.leaves, rows, strict=True) if flag)
            for record, (module, rows) in zip(records, seen, strict=True)
        )

    def _give_up(self, why: str) -> None:
        self._replays = False
        self.note = f"the layers before the cut run again for every node: {why}"


def _follows(two: Any, three: Any) -> bool:
    """Tell whether a leaf has one row per sample."""
    return _has_rows(two, 2) and _has_rows(three, 3) and two.shape[1:] == three.shape[1:]


def _alike(two: Any, three: Any) -> bool:
    """Tell whether a leaf has one row per sample, or is the same for any number of them."""
    if isinstance(two, torch.Tensor) and isinstance(three, torch.Tensor):
        return _follows(two, three) or two.shape == three.shape
    return type(two) is type(three) and bool(two == three)


def _is_opaque(leaf: Any) -> bool:
    return not isinstance(leaf, (torch.Tensor, bool, int, float, str, torch.Size, torch.dtype, type(None)))


def _has_rows(value: Any, rows: int) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim > 0 and value.shape[0] == rows


def _player(queue: deque[Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return the recordings in the order of the calls, then the module itself again."""

    def play(*args: Any, **kwargs: Any) -> Any:
        return queue.popleft() if queue else forward(*args, **kwargs)

    return play
