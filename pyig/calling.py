"""The model as a function of the path's points, and the one tensor of its answer that is explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from pyig.contracts import Backend, Prefix, Split, Tensor
from pyig.errors import InputError, ModelError, RowsError
from pyig.tree import LEAF, Spec, unflatten


class static:  # noqa: N801 - read at the call site like a keyword: forward_kwargs={"edge_index": pyig.static(edges)}
    """Mark a `forward_kwargs` entry as shared by all samples, whatever its first axis looks like.

    Examples
    --------
    >>> static([1, 2]).value
    [1, 2]
    """

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True)
class InputForward:
    """The whole model, with some leaves of its input on the path and the rest held fixed.

    Attributes
    ----------
    moving : tuple of int
        Positions of the leaves on the path; the other leaves come first in `fixed`, in order.
    batched : tuple of str
        Names of the keyword arguments that have one row per sample; they follow in `fixed`.
    shared : tuple of (str, object)
        Keyword arguments passed through as they are.
    """

    backend: Backend
    spec: Spec
    moving: tuple[int, ...]
    batched: tuple[str, ...] = ()
    shared: tuple[tuple[str, Any], ...] = ()
    output: str | int | None = None

    def __call__(self, points: Sequence[Tensor], fixed: Sequence[Tensor]) -> Tensor:
        """Return the explained output, one row per row of the points."""
        x, kwargs = self.arguments(points, fixed)
        return row_by_row(select_output(self.backend.call(x, kwargs), self.output, self.backend), points)

    def arguments(self, points: Sequence[Tensor], fixed: Sequence[Tensor]) -> tuple[Any, dict[str, Any]]:
        """Return the input structure and the keyword arguments of one model call."""
        still = len(fixed) - len(self.batched)
        held = iter(fixed[:still])
        moving = iter(points)
        leaves = [next(moving) if i in self.moving else next(held) for i in range(len(points) + still)]
        kwargs = dict(zip(self.batched, fixed[still:], strict=True)) | dict(self.shared)
        return unflatten(call_spec(self.spec), leaves), kwargs


@dataclass(frozen=True)
class LayerForward:
    """The part of the model behind a layer, as a function of the layer's values."""

    backend: Backend
    split: Split
    moving: tuple[int, ...]
    output: str | int | None = None

    def __call__(self, points: Sequence[Tensor], fixed: Sequence[Tensor]) -> Tensor:
        """Return the explained output; `fixed` holds the layer's integer values, then the context of the cut."""
        still = sum(1 for i in range(_leaf_count(self.split.spec)) if i not in self.moving)
        held, moving = iter(fixed[:still]), iter(points)
        leaves = [next(moving) if i in self.moving else next(held) for i in range(len(points) + still)]
        return row_by_row(select_output(self.split.after(leaves, fixed[still:]), self.output, self.backend), points)


@dataclass(frozen=True, eq=False)
class PrefixForward:
    """The part of the model behind its affine prefix, as a function of the frontier.

    Equal only for the very same prefix: what a backend traced for one serves the next call that is given it again.
    """

    prefix: Prefix

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrefixForward) and other.prefix is self.prefix

    def __hash__(self) -> int:
        return id(self.prefix)

    def __call__(self, points: Sequence[Tensor], fixed: Sequence[Tensor]) -> Tensor:
        """Return the explained output; `points` is the frontier alone."""
        return self.prefix.suffix(points[0], fixed)


def call_spec(spec: Spec) -> Spec:
    """Return the structure as the model sees it: a DataFrame is a plain table of numbers there."""
    return LEAF if spec.kind == "frame" else Spec(spec.kind, spec.keys, (), tuple(call_spec(c) for c in spec.children))


def _leaf_count(spec: Spec) -> int:
    return 1 if spec.kind in ("leaf", "frame") else sum(_leaf_count(child) for child in spec.children)


def row_by_row(outputs: Tensor, points: Sequence[Tensor]) -> Tensor:
    """Return outputs that have one row per row of the points, or no batch axis at all; everything else is an error."""
    rows, shape = points[0].shape[0], tuple(outputs.shape)
    if shape and None not in (shape[0], rows) and int(shape[0]) != int(rows):
        raise RowsError(
            f"expected one output row per input row ({int(rows)}); got outputs of shape {shape}. A model that reshapes "
            "or reduces its batch cannot be explained row by row: give one row per sample, or choose another output="
        )
    return outputs


def select_output(raw: Any, name: str | int | None, backend: Backend) -> Tensor:
    """Take the tensor to explain out of whatever the model returned.

    A tensor is taken as it is. From a dict, dataclass, named tuple or `ModelOutput`: `name`, else ``logits``, else the
    only tensor. From a tuple or list: `name` as a position, else the only tensor.
    """
    if backend.is_tensor(raw):
        return raw
    found = {key: value for key, value in _items(raw).items() if backend.is_tensor(value)}
    if name is not None:
        if name not in found:
            raise InputError(f"output={name!r} is not among the tensors that the model returns: {_choices(found)}")
        return found[name]
    if "logits" in found:
        return found["logits"]
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise ModelError(f"expected the model to return a tensor; got {type(raw).__qualname__} without one in it")
    raise InputError(f"the model returns several tensors; choose one with output=: {_choices(found)}")


def _items(raw: Any) -> dict[Any, Any]:
    if isinstance(raw, Mapping):
        return dict(raw)
    if is_dataclass(raw):
        return {field.name: getattr(raw, field.name) for field in fields(raw)}
    if isinstance(raw, tuple) and hasattr(raw, "_asdict"):
        return dict(raw._asdict())
    if isinstance(raw, (list, tuple)):
        return dict(enumerate(raw))
    return {}


def _choices(found: Mapping[Any, Tensor]) -> str:
    return ", ".join(f"{key!r} {tuple(value.shape)}" for key, value in found.items()) or "none"
