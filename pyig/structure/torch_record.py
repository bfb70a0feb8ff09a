"""A torch model as the list of operations that it runs.

The model runs twice, on two rows and on three, on real tensors, while a `TorchFunctionMode` writes down every torch
operation. An integer that differs between the runs follows the number of rows. `torch.fx` runs the user's Python on
proxies: it stops at most questions about a shape, leaves proxies in whatever the model stores, and patches
`torch.nn.Module` for all threads. Here the model sees tensors, as in any other call, and the mode is the thread's own.

What cannot be written down is refused: values that are read into Python, tensors of unknown origin (scripted modules,
custom autograd functions, hooks on gradients), parts without gradients, tensors of the model that are written to.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pyig.contracts import Forward
from pyig.structure.refusal import Refusal
from pyig.structure.torch_costs import functions, multiply_adds
from pyig.structure.torch_merge import Run, Unrecordable, merge
from pyig.structure.torch_recording import Recording, Step, Var

PLAIN: tuple[type, ...] = (torch.Tensor, torch.nn.Parameter)
_PROBE_ROWS = (2, 3)


def record(
    model: Any,
    forward: Forward,
    points: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor] = (),
    mark: torch.nn.Module | None = None,
) -> Recording | Refusal:
    """Write down what the model does between the points and its output; five rows of a forward.

    Parameters
    ----------
    model : object
        The module, for its training mode; anything else passes.
    forward : callable
        ``forward(points, fixed) -> tensor``: the model as the engine calls it.
    points, starts : sequence of tensor (N, ...), (1 or N, ...)
        Inputs and baselines on the path: one run on rows of the first, one on rows of the second.
    fixed : sequence of tensor (N, ...)
        Tensors that do not move.
    mark : module, optional
        A module whose results are to be found again, in ``Recording.marked``.

    Returns
    -------
    Recording or Refusal
    """
    reason = _unfit(model)
    if reason:
        return Refusal(reason)
    runs = []
    for rows, leaves in zip(_PROBE_ROWS, (points, starts), strict=True):
        if not all(type(leaf) in PLAIN for leaf in (*leaves, *fixed)):
            return Refusal("an input is a tensor subclass, which may do more than its operations show")
        given, held = ([_first_rows(leaf, rows) for leaf in part] for part in (leaves, fixed))
        try:
            runs.append(_run(forward, given, held, mark))
        except Unrecordable as error:
            return Refusal(str(error))
        except Exception as error:  # the model may raise anything on rows that it does not like
            return Refusal(f"the model does not run on {rows} rows ({type(error).__name__}: {error})")
    try:
        return merge(*runs)
    except Exception as error:  # tensors of transforms that have ended cannot be looked at any more
        return Refusal(f"the model's operations cannot be compared ({type(error).__name__}: {error})")


def recorded(
    kept: MutableMapping[str, Any] | None,
    model: Any,
    forward: Forward,
    points: Sequence[torch.Tensor],
    starts: Sequence[torch.Tensor],
    fixed: Sequence[torch.Tensor],
) -> Recording | Refusal:
    """Return what `record` does; kept for the other searches of one call, which are given the same."""
    kept = {} if kept is None else kept
    if "recording" not in kept:
        kept["recording"] = record(model, forward, points, starts, fixed)
    found: Recording | Refusal = kept["recording"]
    return found


def _unfit(model: Any) -> str | None:
    if hasattr(model, "_orig_mod"):
        return "the model is compiled, and would lose that"
    for module in model.modules() if isinstance(model, torch.nn.Module) else ():
        if module.training and _changes_in_training(module):
            return f"a {type(module).__name__} is in training mode"
    return None


def _changes_in_training(module: torch.nn.Module) -> bool:
    name = type(module).__name__
    if "BatchNorm" in name or "InstanceNorm" in name or "RReLU" in name:
        return True
    dropout = getattr(module, "p", 0.0) if "Dropout" in name else getattr(module, "dropout", 0.0)
    return isinstance(dropout, float) and dropout > 0


def _first_rows(leaf: torch.Tensor, rows: int) -> torch.Tensor:
    index = torch.arange(rows, device=leaf.device) % leaf.shape[0]
    return leaf.detach().index_select(0, index)


def _run(forward: Forward, points: list[torch.Tensor], fixed: list[torch.Tensor], mark: torch.nn.Module | None) -> Run:
    run = Run()
    with torch.enable_grad():
        # As in the engine: a clone is no leaf, so that an in-place first operation is allowed.
        points = [leaf.requires_grad_().clone() for leaf in points]
        run.points = tuple(run.new(leaf) for leaf in points)
        run.fixed = tuple(run.new(leaf) for leaf in fixed)
        run.moving.update(run.points)
        run.held.update(run.fixed)
        with _marked(mark, run), _Recorder(run):
            out = forward(points, fixed)
    if run.refused:
        raise Unrecordable(run.refused)
    if id(out) not in run.number:
        raise Unrecordable("the output comes from an operation that torch does not show")
    run.output = run.number[id(out)]
    return run


@contextmanager
def _marked(module: torch.nn.Module | None, run: Run) -> Iterator[None]:
    """Note what a module returns, by a hook that is gone afterwards."""
    if module is None:
        yield
        return
    thread = threading.get_ident()

    def note(_module: Any, _args: Any, out: Any) -> None:
        if threading.get_ident() == thread:  # others may be using the model
            run.marked.append(run.number.get(id(out), -1))

    handle = module.register_forward_hook(note)
    try:
        yield
    finally:
        handle.remove()


class _Recorder(TorchFunctionMode):
    """Writes every torch operation of this thread into a run."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        run, kwargs = self._run, kwargs or {}
        found: list[int] = []
        template, named = run.template(args, found), run.template(kwargs, found)
        tensors = [run.tensors[v] for v in found]
        versions = [t._version for t in tensors]
        out = func(*args, **kwargs)
        written = tuple(
            place
            for place, v in enumerate(found)
            if tensors[place]._version != versions[place] and v not in found[:place]
        )
        results = tensors_in(out)
        if not results and not written:
            self._question(func, found)
            return out
        self._check(func, found, written)
        outputs = tuple(run.new(t) for t in (*results, *(tensors[place] for place in written)))
        shape_only = func in _SHAPED_LIKE
        for kind in (run.moving, run.held):
            if not shape_only and kind.intersection(found):
                kind.update(outputs)
        first = frozenset(_vars(template[:1] or tuple(named.values())[:1]))
        cost = multiply_adds(func, tensors, results[0]) / run.rows if results else 0.0
        run.steps.append(Step(func, template, named, tuple(found), first, outputs, written, shape_only, cost))
        return out

    def _question(self, func: Any, found: list[int]) -> None:
        """Let questions about shapes pass; an answer that depends on values would be frozen into the recording."""
        if func not in _SHAPE_QUESTIONS and (self._run.moving | self._run.held).intersection(found):
            self._refuse(f"the model reads values of its input into Python ({_name(func)}), perhaps to branch on them")

    def _check(self, func: Any, found: list[int], written: tuple[int, ...]) -> None:
        run = self._run
        if (run.constants | set(run.fixed)).intersection(found[place] for place in written):
            self._refuse(f"the model writes to its own tensors ({_name(func)})")
        if not torch.is_grad_enabled() and run.moving.intersection(found):
            self._refuse("a part of the model runs without gradients")

    def _refuse(self, reason: str) -> None:
        self._run.refused = self._run.refused or reason  # kept: the model may catch what is raised here
        raise Unrecordable(reason)


def _name(func: Any) -> str:
    owner = getattr(func, "__self__", None) if getattr(func, "__name__", "") == "__get__" else func
    return str(getattr(owner, "__name__", type(func).__name__))


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Return the tensors of a nested result, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for part in value for leaf in tensors_in(part)] if isinstance(value, (tuple, list)) else []


def _vars(template: Any) -> list[int]:
    if isinstance(template, Var):
        return [template.number]
    if isinstance(template, dict):
        template = list(template.values())
    return [v for part in template for v in _vars(part)] if isinstance(template, (tuple, list)) else []


_SHAPED_LIKE = {
    *functions(torch, "zeros_like ones_like empty_like full_like"),
    *functions(torch.Tensor, "new_zeros new_ones new_empty new_full"),
}
_SHAPE_QUESTIONS = {
    *functions(
        torch.Tensor,
        "shape size dim ndim ndimension dtype device layout numel nelement stride is_contiguous storage_offset __len__ "
        "requires_grad is_floating_point is_complex is_signed is_cuda is_cpu is_mps is_sparse is_sparse_csr is_meta "
        "is_quantized is_mkldnn is_nested is_leaf is_xpu is_xla get_device element_size itemsize nbytes is_inference "
        "is_conj is_neg has_names names is_same_size __hash__ __repr__ __format__ __str__",
    ),
    *functions(torch, "is_tensor is_floating_point is_complex numel is_same_size result_type"),
}
