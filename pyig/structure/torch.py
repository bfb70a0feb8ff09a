"""A torch module cut at a layer, by recording what runs before it and playing that back.

No tracing and no graph: the model's own Python runs, so control flow, keyword calls and dynamic shapes stay as they
are. In `before`, every module call that is complete when the layer is reached is recorded, and the run stops there. In
`after`, those calls return their recording, gathered for the rows of the batch, and the layer returns the points.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pyig import tree
from pyig.contracts import Backend
from pyig.errors import InputError, InputTypeError, ModelError, PyigError, unknown

_ABSENT = object()


class _Reached(Exception):  # noqa: N818 - a signal, not an error
    """Ends the recording run at the layer."""


@dataclass(frozen=True)
class Record:
    """The output of one module call that was complete before the layer began."""

    module: torch.nn.Module
    leaves: list[Any]
    spec: Any


def split(backend: Backend, model: Any, layer: Any, to_inputs: bool) -> TorchSplit:
    """Find the layer and return the cut."""
    if not isinstance(model, torch.nn.Module):
        raise InputTypeError(f"expected a torch.nn.Module for layer=; got {type(model).__qualname__}")
    return TorchSplit(backend, model, find_layer(model, layer), to_inputs)


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

    def __init__(self, backend: Backend, model: torch.nn.Module, layer: torch.nn.Module, to_inputs: bool) -> None:
        self.spec = tree.LEAF
        self.note: str | None = None
        self._backend, self._model, self._layer, self._to_inputs = backend, model, layer, to_inputs
        self._plan: list[Record] = []  # shared leaves stay in the record; an absent one is filled from the context
        self._rows: list[tuple[torch.nn.Module, list[bool]]] | None = None  # per record: which leaves have rows
        self._replays = True
        self._layer_rest: tuple[Any, ...] = ()
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
            kept = [_ABSENT if flag else leaf for leaf, flag in zip(record.leaves, rows, strict=True)]
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
            filled = [next(rest) if leaf is _ABSENT else leaf for leaf in record.leaves]
            queues.setdefault(record.module, deque()).append(_pack(record.spec, filled))
        calls = Counter[str]()
        patches: dict[torch.nn.Module, Callable[..., Any]] = {
            module: _player(queue, module.forward) for module, queue in queues.items()
        }
        patches[self._layer] = self._stand_in(points, calls, self._layer.forward)
        with _patched(self._model, patches):
            out = self._backend.call(x, kwargs)
        if not calls["layer"]:
            raise ModelError("expected the layer to be called as in the first run; it was not")
        return out

    def _stand_in(
        self, points: Sequence[torch.Tensor], calls: Counter[str], forward: Callable[..., Any]
    ) -> Callable[..., Any]:
        def stand_in(*args: Any, **kwargs: Any) -> Any:
            calls["layer"] += 1
            if calls["layer"] > 1:
                raise ModelError(
                    f"expected the layer to be called once in a forward; {type(self._layer).__qualname__} is called "
                    "again. Choose a layer that is called once, or give the model one instance per call"
                )
            if not self._to_inputs:
                return _pack(self._layer_rest[0], list(points))
            fresh = iter(points)
            swapped = [next(fresh) if isinstance(a, torch.Tensor) else a for a in args]
            named = {k: next(fresh) if isinstance(v, torch.Tensor) else v for k, v in kwargs.items()}
            return forward(*swapped, **named)

        return stand_in

    def _record(self, x: Any, kwargs: dict[str, Any]) -> tuple[list[torch.Tensor], list[Record]]:
        """Run up to the layer; return its values and the outermost calls that were complete by then."""
        done: list[tuple[int, Record]] = []
        depth = 0
        found: list[torch.Tensor] = []

        def wrap(module: torch.nn.Module) -> Callable[..., Any]:
            forward = module.forward

            def run(*args: Any, **kw: Any) -> Any:
                nonlocal depth
                if module is self._layer and self._to_inputs:
                    found.extend(t for t in (*args, *kw.values()) if isinstance(t, torch.Tensor))
                    raise _Reached
                depth += 1
                out = forward(*args, **kw)
                depth -= 1
                leaves, spec = _unpack(out)
                if module is self._layer:
                    found.extend(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))
                    self._layer_rest = (spec,)
                    self.spec = spec if all(isinstance(leaf, torch.Tensor) for leaf in leaves) else tree.LEAF
                    raise _Reached
                while done and done[-1][0] > depth:  # calls inside this one are covered by its own output
                    done.pop()
                kept = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
                done.append((depth, Record(module, kept, spec)))
                return out

            return run

        with torch.no_grad(), _patched(self._model, {module: wrap(module) for module in self._model.modules()}):
            try:
                self._backend.call(x, kwargs)
            except _Reached:
                pass
            else:
                raise ModelError(
                    f"expected the layer {type(self._layer).__qualname__} to be called by the model; it was not"
                )
        if self._to_inputs:
            self.spec = tree.LEAF if len(found) == 1 else tree.Spec("tuple", children=(tree.LEAF,) * len(found))
        if not found:
            raise ModelError("expected the layer to give or take tensors; got none")
        return found, [record for _, record in done]

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


_guard = threading.Lock()
_locks: weakref.WeakKeyDictionary[torch.nn.Module, threading.RLock] = weakref.WeakKeyDictionary()


@contextmanager
def _patched(model: torch.nn.Module, forwards: dict[torch.nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Set `forward` on module instances for this thread, and put back whatever was there.

    Cuts of one model take turns; a thread that only calls the model meets the original.
    """
    with _guard:
        lock = _locks.setdefault(model, threading.RLock())
    with lock:
        saved = {module: module.__dict__.get("forward", _ABSENT) for module in forwards}
        try:
            for module, forward in forwards.items():
                module.__dict__["forward"] = _for_this_thread(forward, module.forward)
            yield
        finally:
            for module, old in saved.items():
                if old is _ABSENT:
                    module.__dict__.pop("forward", None)
                else:
                    module.__dict__["forward"] = old


def _for_this_thread(forward: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    owner = threading.get_ident()

    def run(*args: Any, **kwargs: Any) -> Any:
        return (forward if threading.get_ident() == owner else original)(*args, **kwargs)

    return run


def _unpack(out: Any) -> tuple[list[Any], Any]:
    """Take a module's output apart, keeping what is no tensor as a leaf of its own."""
    if isinstance(out, (list, tuple)) and type(out) in (list, tuple):
        parts = [_unpack(item) for item in out]
        kind = "tuple" if isinstance(out, tuple) else "list"
        return [leaf for leaves, _ in parts for leaf in leaves], tree.Spec(kind, children=tuple(s for _, s in parts))
    if type(out) is dict:
        parts = [_unpack(item) for item in out.values()]
        spec = tree.Spec("dict", keys=tuple(out), children=tuple(s for _, s in parts))
        return [leaf for leaves, _ in parts for leaf in leaves], spec
    return [out], tree.LEAF


def _pack(spec: tree.Spec, leaves: list[Any]) -> Any:
    return tree.unflatten(spec, leaves)
