"""Exported and scripted programs as modules that take their inputs in order, and any number of rows."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import torch

from pyig.artifacts.signatures import Tensor
from pyig.errors import ModelError


class Program(torch.nn.Module):
    """An exported program; rows are padded to the number that it was exported for.

    Parameters
    ----------
    inner : torch.fx.GraphModule
        The program's module.
    keywords : tuple of str
        Names of the inputs that go by keyword; the others go by position, before them.
    rows : int or None
        The number of rows of every call; None for any number from `least` on.
    least : int
        The smallest number of rows.
    """

    def __init__(self, inner: Any, keywords: tuple[str, ...], rows: int | None, least: int) -> None:
        super().__init__()
        self.inner = inner
        self._keywords, self._rows, self._least = keywords, rows, least
        for (
            module
        ) in self.modules():  # exported modules refuse eval(), and run as they were exported whatever this says
            module.training = False

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Return the program's outputs for rows of the inputs."""
        count = inputs[0].shape[0]
        if self._rows is None and count >= self._least:
            return self._call(inputs)
        size = self._rows or self._least
        found = []
        for first in range(0, count, size):
            part = [tensor[first : first + size] for tensor in inputs]
            short = size - part[0].shape[0]
            if short:  # the last row again: any other value might be one where the model is not defined
                part = [torch.cat([tensor, tensor[-1:].expand(short, *tensor.shape[1:])]) for tensor in part]
            found.append(_cut(self._call(tuple(part)), size - short))
        return _joined(found)

    def _call(self, inputs: tuple[torch.Tensor, ...]) -> Any:
        first = len(inputs) - len(self._keywords)
        return self.inner(*inputs[:first], **dict(zip(self._keywords, inputs[first:], strict=True)))


def exported(path: Path) -> tuple[Program, dict[str, Tensor], dict[str, Any]]:
    """Load an exported program that was checked before: its module, its inputs, and what to say of it."""
    try:
        program: Any = torch.export.load(str(path))
        # Guards are Python text in the file, evaluated when the module is made; the number of rows is seen to here.
        options = {"check_guards": False} if "check_guards" in inspect.signature(program.module).parameters else {}
        inner = program.module(**options)
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(
            f"expected a program that torch {torch.__version__} can load; {str(path)!r} cannot be: {said}. Export it "
            "again with this version: torch.export.save(torch.export.export(model, inputs), path)"
        ) from error
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    names = [str(name) for name in program.graph_signature.user_inputs]
    args, keywords = program.call_spec.in_spec.children() if _has_children(program) else _older(program)
    values = [nodes[name].meta.get("val") for name in names if name in nodes]
    if len(values) != len(names) or args.num_leaves + keywords.num_leaves != len(names) or _nested(args, keywords):
        raise ModelError(f"expected a program whose inputs are tensors, not structures; got {', '.join(names)}")
    if not all(isinstance(value, torch.Tensor) and value.ndim for value in values):
        raise ModelError(f"expected a program whose inputs are tensors with a batch axis; got {', '.join(names)}")
    inputs = {name: _place(name, value) for name, value in zip(names, values, strict=True)}
    firsts = [value.shape[0] for value in values]
    fixed = {size for size in firsts if isinstance(size, int)}
    if len(fixed) > 1:
        raise ModelError(f"expected inputs with one number of rows; the program takes {sorted(fixed)}")
    rows = next(iter(fixed), None)
    symbols = {str(size) for size in firsts}
    lows = [int(bounds.lower) for symbol, bounds in program.range_constraints.items() if str(symbol) in symbols]
    about = {
        "rows_per_call": rows,
        "outputs_of_the_model": [str(name) for name in program.graph_signature.user_outputs],
    }
    by_key = tuple(str(key) for key in keywords.context or ())
    return Program(inner, by_key, rows, max([1, *lows])), inputs, about


def scripted(path: Path) -> tuple[torch.nn.Module, list[str]]:
    """Load a TorchScript program that was checked before, and the names of its inputs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit itself: the user can only re-export
            module: torch.nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"expected a TorchScript program; {str(path)!r} cannot be loaded: {said}") from error
    arguments = module.forward.schema.arguments[1:]  # type: ignore[attr-defined]
    strange = [f"{argument.name}: {argument.type}" for argument in arguments if str(argument.type) != "Tensor"]
    needed = [argument for argument in arguments if not argument.has_default_value()]
    if any(str(argument.type) != "Tensor" for argument in needed):
        raise ModelError(f"expected a program whose inputs are tensors; got {', '.join(strange)}")
    return module.eval(), [str(argument.name) for argument in needed]


def _place(name: str, value: Any) -> Tensor:
    axes = tuple(size if isinstance(size, int) else None for size in value.shape[1:])
    return Tensor(name, name, str(value.dtype).removeprefix("torch."), (None, *axes))


def _has_children(program: Any) -> bool:
    return callable(getattr(program.call_spec.in_spec, "children", None))


def _older(program: Any) -> Any:
    return program.call_spec.in_spec.children_specs


def _nested(args: Any, keywords: Any) -> bool:
    return any(spec.num_children != spec.num_leaves for spec in (args, keywords))


def _cut(found: Any, rows: int) -> Any:
    if isinstance(found, torch.Tensor):
        return found[:rows]
    return {k: _cut(v, rows) for k, v in found.items()} if isinstance(found, dict) else [_cut(v, rows) for v in found]


def _joined(found: list[Any]) -> Any:
    if len(found) == 1:
        return found[0]
    if isinstance(found[0], torch.Tensor):
        return torch.cat(found)
    if isinstance(found[0], dict):
        return {key: _joined([one[key] for one in found]) for key in found[0]}
    return [_joined(list(parts)) for parts in zip(*found, strict=True)]
