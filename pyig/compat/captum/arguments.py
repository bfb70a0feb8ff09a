"""Captum's arguments in the engine's words: inputs, baselines, targets, and what else goes to the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pyig.backends.torch import TorchBackend
from pyig.calling import select_output, static
from pyig.compat.rows import check_rows
from pyig.errors import InputError, InputTypeError, RowsError
from pyig.targets import Target, parse

_LOOK = 256
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)


@dataclass(frozen=True)
class Positional:
    """The model with its additional arguments, behind the inputs and in their order.

    Attributes
    ----------
    others : tuple
        The arguments that are the same for all rows, None where a row-wise one goes: those come as keywords.
    """

    forward_func: Callable[..., Any]
    others: tuple[Any, ...]

    def __call__(self, *inputs: Any, **rowwise: Any) -> Any:
        """Call the model."""
        extra = [rowwise.get(f"arg{i}", other) for i, other in enumerate(self.others)]
        return self.forward_func(*inputs, *extra)


@dataclass(frozen=True)
class Whole:
    """A model whose rows depend on each other, with all of its rows as one sample: F is the sum over its outputs.

    Attributes
    ----------
    tied : bool
        Whether an argument could tie the rows together.
    """

    model: Callable[..., Any]
    target: Any
    output: Any
    tied: bool

    def __call__(self, *inputs: torch.Tensor, **rowwise: torch.Tensor) -> torch.Tensor:
        """Call the model on a single sample."""
        raw = self.model(*(leaf[0] for leaf in inputs), **{name: value[0] for name, value in rowwise.items()})
        outputs: torch.Tensor = select_output(raw, self.output, _Torch)  # type: ignore[arg-type]
        rows = inputs[0].shape[1]
        if not self.tied and outputs.ndim == 1 and len(outputs) not in (1, rows):  # classes, which are not to be added
            raise RowsError(
                f"expected one output row per input row ({rows}); got outputs of shape {tuple(outputs.shape)}. If the "
                f"input of shape {tuple(inputs[0].shape[1:])} is one sample, give it a batch axis: x[None]. If all "
                "outputs are meant together, let forward_func return their sum"
            )
        return picked(outputs, self.target).sum()[None]


class _Torch:
    """As much of a backend as it takes to select an output."""

    @staticmethod
    def is_tensor(value: object) -> bool:
        return isinstance(value, torch.Tensor)


@dataclass(frozen=True)
class Call:
    """One call in the engine's words.

    Attributes
    ----------
    model : callable
        Takes the inputs by position and `kwargs` by name.
    x, baselines, target : object
        As the engine takes them.
    kwargs : dict of tensor
        Additional arguments with one row per sample.
    samples : int
        N.
    """

    model: Callable[..., Any]
    x: Any
    baselines: Any
    target: Any
    kwargs: dict[str, Any]
    samples: int
    output: Any = None

    @property
    def leaves(self) -> tuple[Any, ...]:
        """The inputs, one or several."""
        return tuple(self.x) if isinstance(self.x, (tuple, list)) else (self.x,)

    def as_one(self) -> Call:
        """Return the call with all rows as one sample."""
        if not all(isinstance(leaf, torch.Tensor) for leaf in self.leaves):
            raise InputTypeError(f"expected a tensor, or a tuple of tensors; got {type(self.x).__qualname__}")
        baselines = self.baselines
        if isinstance(baselines, (tuple, list)):
            baselines = tuple(_lone(item, leaf) for item, leaf in zip(baselines, self.leaves, strict=True))
        else:
            baselines = _lone(baselines, self.leaves[0])
        whole = tuple(leaf[None] for leaf in self.leaves)
        return replace(
            self,
            model=Whole(self.model, self.target, self.output, self._tied()),
            x=whole if isinstance(self.x, (tuple, list)) else whole[0],
            baselines=baselines,
            target=None,
            kwargs={name: value[None] for name, value in self.kwargs.items()},
            samples=1,
            output=None,
        )

    def mixes_rows(self) -> bool:
        """Tell whether the answer for a row depends on the other rows, where an argument could make it so."""
        if self.samples < 2 or not self._tied():
            return False
        count = min(self.samples, _LOOK)  # all rows of a graph are needed to run it; of a long table, a part will do
        half = -(-count // 2)
        with torch.no_grad(), TorchBackend(self.model).session():
            try:
                whole = self._first(count)
            except Exception:
                if count == self.samples:  # not for want of rows
                    raise
                return True
            try:
                part = self._first(half)
            except Exception:
                return True
        if not whole.shape or whole.shape[0] != count or part.shape != (half, *whole.shape[1:]):
            return True
        loose = 1e-4 if whole.dtype in (torch.float32, torch.float64) else 1e-1
        scale = float(whole.abs().max()) if whole.numel() else 0.0
        return not torch.allclose(part, whole[:half], rtol=loose, atol=loose * scale)

    def refuse_mixed_rows(self, what: str) -> None:
        """Raise where the answer for a row depends on other rows: `what` is made of rows by themselves."""
        if self.mixes_rows():
            raise InputError(
                f"expected a model whose rows do not depend on each other for {what}; an additional argument ties them "
                "together, as the edges of a graph do. Attribute to the inputs, or give the model one graph per row"
            )

    def outputs(self, leaves: Sequence[Any]) -> torch.Tensor:
        """Call the model on other inputs, with this call's additional arguments."""
        raw = self.model(*leaves, **self.kwargs)
        found: torch.Tensor = select_output(raw, self.output, _Torch)  # type: ignore[arg-type]
        return found

    def _tied(self) -> bool:
        others = self.model.others if isinstance(self.model, Positional) else ()
        return not all(isinstance(other, _PLAIN) for other in others)

    def _first(self, rows: int) -> torch.Tensor:
        part = replace(self, kwargs={name: value[:rows] for name, value in self.kwargs.items()})
        return part.outputs([leaf[:rows].clone() for leaf in self.leaves])


def read_call(
    forward_func: Callable[..., Any],
    inputs: Any,
    baselines: Any,
    target: Any,
    additional: Any,
    output: Any,
    floating: bool = True,
) -> Call:
    """Read Captum's arguments.

    Parameters
    ----------
    floating : bool
        Whether whole numbers in the inputs become floats, so that a path can move along them.
    """
    x = _inputs(inputs, floating)
    leaves = tuple(x) if isinstance(x, (tuple, list)) else (x,)
    samples = _samples(leaves)
    kwargs, others = _additional(additional, samples)
    model = Positional(forward_func, others) if others else forward_func
    return Call(model, x, _baselines(baselines, x), read_target(target, samples), kwargs, samples, output)


def read_target(target: Any, samples: int) -> Any:
    """Return a target as the engine takes it; without one, there has to be a single output."""
    if target is None:
        return Target("single")
    if isinstance(target, torch.Tensor):
        target = target.detach().cpu().numpy()
    if isinstance(target, (list, np.ndarray)) and np.size(target) == 1 and not isinstance(target, str):
        target = int(np.asarray(target).reshape(()).item())
    if isinstance(target, list) and target and isinstance(target[0], tuple):
        target = np.array(target)
    return target


def picked(outputs: torch.Tensor, target: Any) -> torch.Tensor:
    """Return the target's output of every row, differentiable."""
    if callable(target):
        found: torch.Tensor = target(outputs)
        return found
    rows = outputs.shape[0] if outputs.ndim else 1
    shape = tuple(outputs.shape) or (1,)
    flat = parse(target, rows).resolve(np.arange(rows), shape, lambda: outputs.detach().cpu().numpy())
    index = torch.from_numpy(np.ascontiguousarray(flat)).to(outputs.device)
    return outputs.reshape(rows, -1).gather(1, index)[:, 0]


def batch_size_of(internal_batch_size: Any) -> int | str:
    """Return the most rows of one model call."""
    if internal_batch_size is None:
        return "auto"
    whole = isinstance(internal_batch_size, (int, np.integer)) and not isinstance(internal_batch_size, bool)
    if not whole or internal_batch_size < 1:
        raise InputError(f"expected internal_batch_size= as a whole number of at least 1; got {internal_batch_size!r}")
    return int(internal_batch_size)


def grad_options(grad_kwargs: Any) -> tuple[bool, bool]:
    """Return whether unused values count as zero, and whether a graph is wanted, of arguments for `autograd.grad`."""
    given = dict(grad_kwargs or {})
    unused = bool(given.pop("allow_unused", False)) | bool(given.pop("materialize_grads", False))
    graph = bool(given.pop("create_graph", False))
    given.pop("retain_graph", None)  # nothing keeps a graph that could be used again
    if given:
        raise InputError(
            "expected grad_kwargs= among allow_unused, materialize_grads, create_graph and retain_graph; got "
            f"{', '.join(map(repr, given))}"
        )
    return unused, graph


def _inputs(inputs: Any, floating: bool) -> Any:
    if isinstance(inputs, (tuple, list)):
        if not inputs:
            raise InputError("expected at least one input tensor; got an empty tuple")
        return type(inputs)(_moving(leaf) if floating else leaf for leaf in inputs)
    return _moving(inputs) if floating else inputs


def _moving(leaf: Any) -> Any:
    if not isinstance(leaf, torch.Tensor) or leaf.is_floating_point() or leaf.dtype == torch.bool:
        return leaf
    if leaf.is_complex():
        raise InputTypeError(f"expected real numbers; got a tensor of dtype {leaf.dtype}")
    return leaf.to(torch.get_default_dtype())


def _samples(leaves: Sequence[Any]) -> int:
    shape = getattr(leaves[0], "shape", None)
    return int(shape[0]) if shape is not None and len(shape) else 1


def _baselines(baselines: Any, x: Any) -> Any:
    lone = not isinstance(x, (tuple, list, dict))
    if lone and isinstance(baselines, (tuple, list)) and len(baselines) == 1:
        baselines = baselines[0]
    check_rows(baselines, x)
    return baselines


def _additional(additional: Any, samples: int) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Sort the additional arguments into those with one row per sample, and the rest."""
    if additional is None:
        return {}, ()
    given = additional if isinstance(additional, tuple) else (additional,)
    rowwise: dict[str, Any] = {}
    others: list[Any] = []
    for i, value in enumerate(given):
        if isinstance(value, torch.Tensor) and value.ndim and value.shape[0] == samples:
            rowwise[f"arg{i}"] = value
            others.append(None)
        else:
            others.append(value.value if isinstance(value, static) else value)
    return rowwise, tuple(others)


def _lone(baseline: Any, leaf: torch.Tensor) -> Any:
    """Return a baseline for the sample that all rows are."""
    if isinstance(baseline, torch.Tensor) and baseline.ndim == leaf.ndim:
        return baseline.expand_as(leaf)[None]
    return baseline


def check_layer(layer: Any, several: bool = False) -> Any:
    """Return the layer, or list of layers, as modules."""
    if several and isinstance(layer, (list, tuple, torch.nn.ModuleList)):
        return [check_layer(one) for one in layer]
    if not isinstance(layer, torch.nn.Module):
        raise InputTypeError(f"expected layer= as a torch.nn.Module; got {type(layer).__qualname__}")
    return layer


def by_rows(call: Call, run: Callable[[Call], Any], joined: Callable[[Any], Any]) -> Any:
    """Run a call row by row; where rows of the model's output depend on others, as one sample.

    Parameters
    ----------
    run : callable
        ``run(call)``.
    joined : callable
        Takes the axis of that one sample off the result.
    """
    if not call.mixes_rows():
        try:
            return run(call)
        except RowsError:
            pass
    return joined(run(call.as_one()))


def first_row(found: Any) -> Any:
    """Take the first axis, of one sample, off a tensor or a tuple of them."""
    return type(found)(leaf[0] for leaf in found) if isinstance(found, (tuple, list)) else found[0]
