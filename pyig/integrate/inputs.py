"""What the user passed, checked at the door and made ready for the loop: leaves, keyword arguments, baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig import tree
from pyig.baselines import baseline_leaf, several
from pyig.calling import static
from pyig.contracts import Backend, Tensor
from pyig.errors import InputError, InputTypeError


@dataclass(frozen=True)
class Inputs:
    """The input of one call.

    Attributes
    ----------
    leaves : list of tensor
        Every leaf of x, on the device of the model, N rows each.
    spec : Spec
        Structure of x.
    names : list of str
        Name of each leaf.
    batched, shared : dict
        Keyword arguments with one row per sample, and those passed through.
    samples : int
        N.
    """

    backend: Backend
    leaves: list[Tensor]
    spec: tree.Spec
    names: list[str]
    batched: dict[str, Tensor]
    shared: dict[str, Any]
    samples: int

    @property
    def floating(self) -> tuple[int, ...]:
        """Positions of the leaves that gradients can flow to."""
        return tuple(i for i, leaf in enumerate(self.leaves) if self.backend.is_floating(leaf))


def read_inputs(backend: Backend, x: Any, forward_kwargs: dict[str, Any] | None, finite: bool = True) -> Inputs:
    """Flatten x and sort the keyword arguments into those that have a row per sample and the rest.

    What is not finite is an error, or let in.
    """
    raw, spec = tree.flatten(x)
    if not raw:
        raise InputError("expected at least one array in the input; got an empty structure")
    names = tree.names(spec)
    leaves = [backend.asarray(_plain(leaf, name)) for leaf, name in zip(raw, names, strict=True)]
    samples = _count(leaves, names)
    if samples == 0:
        raise InputError(
            f"expected at least one sample; got {names[0] or 'an input'} of shape {tuple(leaves[0].shape)}"
        )
    for leaf, name in zip(leaves, names, strict=True) if finite else ():
        _check_finite(backend, leaf, name)
    batched: dict[str, Tensor] = {}
    shared: dict[str, Any] = {}
    for key, value in (forward_kwargs or {}).items():
        if isinstance(value, static):
            shared[key] = _as_tensor(backend, value.value)
        else:
            value = _as_tensor(backend, value)
            rows = backend.is_tensor(value) and len(value.shape) > 0 and value.shape[0] == samples
            (batched if rows else shared)[key] = value
    return Inputs(backend, leaves, spec, names, batched, shared, samples)


def read_baselines(
    inputs: Inputs, given: Any, rng: np.random.Generator, positions: Sequence[int]
) -> list[list[Tensor]]:
    """Return the baselines, each as one tensor per leaf; leaves outside `positions` are their own baseline.

    Several baselines come as `pyig.several`, as a list beside a lone array, or as an array whose number of rows is
    neither 1 nor N.
    """
    return [_one(inputs, item, rng, positions) for item in _several(inputs, given)]


def _several(inputs: Inputs, given: Any) -> Sequence[Any]:
    if isinstance(given, several):
        return given.items
    alone = inputs.spec.kind in ("leaf", "frame")
    if alone and isinstance(given, (list, tuple)) and not _is_row(given, inputs):
        return several(given).items
    if (
        alone
        and hasattr(given, "shape")
        and len(given.shape) == len(inputs.leaves[0].shape)
        and not tree.is_frame(given)
    ):
        rows = given.shape[0]
        if rows not in (1, inputs.samples) and tuple(given.shape[1:]) == tuple(inputs.leaves[0].shape[1:]):
            return several(given).items
    return [given]


def _is_row(given: Sequence[Any], inputs: Inputs) -> bool:
    """Tell whether a list is one baseline spelled in numbers, as many as the leaf has features."""
    try:
        found = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        return False
    shape = tuple(inputs.leaves[0].shape)
    return found.shape in (shape, shape[1:])


def _one(inputs: Inputs, given: Any, rng: np.random.Generator, positions: Sequence[int]) -> list[Tensor]:
    backend = inputs.backend
    if inputs.spec.kind in ("leaf", "frame"):
        items = [_in_order(given, inputs.spec.keys)]
    elif given is None or isinstance(given, (str, int, float, np.number)) or callable(given):
        items = [given] * len(inputs.leaves)
    else:
        items = _match(inputs, given)
    out = []
    for i, (leaf, item) in enumerate(zip(inputs.leaves, items, strict=True)):
        if i not in positions:
            out.append(leaf)
            continue
        item = backend.to_numpy(item) if backend.is_tensor(item) and not isinstance(item, (int, float)) else item
        computed = isinstance(item, str) or callable(item)
        x = backend.to_numpy(leaf) if computed else _outline(backend, leaf)
        array = baseline_leaf(item, x, rng, inputs.names[i])
        out.append(backend.cast_like(backend.from_numpy(array, leaf), leaf))
    return out


def _outline(backend: Backend, leaf: Tensor) -> np.ndarray[Any, Any]:
    """Return the shape and dtype of a leaf as numpy, without its values: on a device they are far away."""
    shape = tuple(int(n) for n in leaf.shape)
    dtype = backend.to_numpy(leaf[:0]).dtype
    return np.ndarray(shape, dtype, np.zeros(1, dtype), strides=(0,) * len(shape))


def _in_order(given: Any, columns: Sequence[Any]) -> Any:
    """Take a DataFrame or Series in the order of the input's columns: another order is no other baseline."""
    if tree.is_frame(given):
        missing = [column for column in columns if column not in given.columns]
        if missing or (columns and len(given.columns) != len(columns)):
            raise InputError(
                f"expected a baseline with the input's columns {', '.join(map(str, columns))}; "
                f"got {', '.join(map(str, given.columns))}"
            )
        return tree.flatten(given[list(columns)] if columns else given)[0][0]
    labels: Any = getattr(given, "index", None)
    if columns and hasattr(labels, "isin") and set(labels) == set(columns):
        return given[list(columns)]
    return given


def _match(inputs: Inputs, given: Any) -> list[Any]:
    """Lay a baseline structure over the input's: one entry per leaf, dict entries by key, missing keys zero."""
    spec = inputs.spec
    if spec.kind == "dict" and hasattr(given, "keys") and all(c.kind == "leaf" for c in spec.children):
        strange = [key for key in given if key not in spec.keys]
        if strange:
            known = ", ".join(map(str, spec.keys))
            raise InputError(f"expected baselines for the inputs {known}; got one for {strange[0]!r}")
        return [dict(given).get(key) for key in spec.keys]
    if isinstance(given, (list, tuple)) and len(given) == len(inputs.leaves):
        return list(given)
    try:
        items, found = tree.flatten(given)
    except InputTypeError:
        items, found = [], tree.LEAF
    if len(items) != len(inputs.leaves):
        raise InputError(
            f"expected a baseline structured like the input ({len(inputs.leaves)} arrays: {', '.join(inputs.names)}); "
            f"got {type(given).__qualname__} with {len(tree.names(found))}. "
            "For several baselines of structured inputs pass pyig.several([...])"
        )
    return items


def _as_tensor(backend: Backend, value: Any) -> Any:
    return backend.asarray(_plain(value)) if isinstance(value, np.ndarray) else value


def _plain(leaf: Any, name: str = "") -> Any:
    """Return numpy in the order of rows and bytes that every framework and the core can read; else the leaf itself."""
    if not isinstance(leaf, np.ndarray):
        return leaf
    if np.any(getattr(leaf, "mask", False)):
        raise InputError(f"expected {name or 'the input'} without masked entries. Fill or drop missing values first")
    return np.require(leaf, leaf.dtype.newbyteorder("="), ["C", "A", "E"])


def _count(leaves: Sequence[Tensor], names: Sequence[str]) -> int:
    rows = []
    for leaf, name in zip(leaves, names, strict=True):
        if len(leaf.shape) == 0:
            raise InputError(
                f"expected {name or 'the input'} with a batch axis, shape (N, ...); got a single number. "
                "Pass x[None] to explain one sample"
            )
        rows.append(int(leaf.shape[0]))
    if len(set(rows)) > 1:
        shapes = ", ".join(f"{n}: {tuple(leaf.shape)}" for n, leaf in zip(names, leaves, strict=True))
        raise InputError(f"expected inputs with the same number of rows; got {shapes}")
    return rows[0]


def _check_finite(backend: Backend, leaf: Tensor, name: str) -> None:
    if not backend.is_floating(leaf) or not backend.on_host(leaf):
        return
    values = backend.to_numpy(leaf)
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise InputError(
            f"expected finite numbers in {name or 'the input'}; got {values[where]} at index {where}. "
            "Fill or drop missing values first"
        )
