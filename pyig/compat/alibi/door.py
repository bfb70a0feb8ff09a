"""What a call brings, made ready: the input as the engine takes it, baselines in full, and the model's predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import tree
from pyig.baselines import several
from pyig.calling import InputForward, call_spec
from pyig.compat.rows import check_rows
from pyig.contracts import Backend
from pyig.errors import InputTypeError
from pyig.integrate.batching import Sizer
from pyig.integrate.inputs import Inputs, read_baselines, read_inputs
from pyig.rows import row_floats
from pyig.streams import generator

Array = NDArray[Any]


@dataclass(frozen=True)
class Door:
    """One call, checked.

    Attributes
    ----------
    x : structure of arrays
        For the engine.
    dtypes : list of dtype or None
        Of each leaf as the user gave it; None where it was no float.
    baselines : object
        For the engine: drawn, if they are random.
    shown : array (N, ...), or list or dict of them
        The baselines in full, in the dtype of the user's input, for the report; the mean of several.
    inputs : Inputs
        The leaves as the engine reads them.
    """

    x: Any
    dtypes: list[Any]
    baselines: Any
    shown: Any
    inputs: Inputs


def open_door(
    backend: Backend, model: Any, X: Any, forward_kwargs: dict[str, Any] | None, baselines: Any, layered: bool
) -> Door:
    """Read the input and its baselines.

    Without a layer, an input that is all integers moves along the path as floats, as numbers of a table do; beside
    inputs of floats, integers are ids and masks and stay.
    """
    if forward_kwargs is not None and not isinstance(forward_kwargs, dict):
        raise InputTypeError(f"expected forward_kwargs= as a dict; got {type(forward_kwargs).__qualname__}")
    alone = _is_alone(model, X)
    if alone:
        X, baselines = X[0], baselines[0] if isinstance(baselines, (list, tuple)) else baselines
    raw, spec = tree.flatten(X)
    given = [np.asarray(backend.to_numpy(leaf) if backend.is_tensor(leaf) else leaf) for leaf in raw]
    floating = [leaf.dtype.kind == "f" for leaf in given]
    as_numbers = not layered and not any(floating)
    leaves = [leaf.astype(np.float64) if as_numbers and leaf.dtype.kind in "iub" else leaf for leaf in given]
    x = tree.unflatten(spec, leaves)
    inputs = read_inputs(backend, x, forward_kwargs)
    if spec.kind == "leaf":
        check_rows(baselines, given[0])
    starts = read_baselines(inputs, baselines, generator(None), range(len(leaves)) if layered else inputs.floating)
    drawn = [[np.asarray(backend.to_numpy(leaf)) for leaf in start] for start in starts]
    shown = []
    for i, leaf in enumerate(given):
        middle = drawn[0][i] if len(drawn) == 1 else sum(start[i] for start in drawn) / len(drawn)
        shown.append(np.broadcast_to(middle, leaf.shape).astype(leaf.dtype if floating[i] else drawn[0][i].dtype))
    built = [tree.unflatten(call_spec(spec), start) for start in drawn]
    return Door(
        x,
        [leaf.dtype if moves else None for leaf, moves in zip(given, floating, strict=True)],
        several(built) if len(built) > 1 else built[0],
        shown if alone else tree.unflatten(call_spec(spec), shown),
        inputs,
    )


def _is_alone(model: Any, X: Any) -> bool:
    """Tell a list of one array for a model of one input: Keras warns of a list where it expects a tensor."""
    one = isinstance(X, (list, tuple)) and len(X) == 1 and hasattr(X[0], "shape")
    return one and len(getattr(model, "inputs", None) or ()) == 1


def predict(backend: Backend, inputs: Inputs, output: Any, batch_size: int | str) -> tuple[Any, Array]:
    """Return the model's outputs for all samples, as the framework's tensor and as numpy."""
    moving = tuple(range(len(inputs.leaves)))
    forward = InputForward(
        backend, call_spec(inputs.spec), moving, tuple(inputs.batched), tuple(inputs.shared.items()), output
    )
    sizer = Sizer(batch_size, 4 * max(1, row_floats(inputs.leaves)), backend.on_host(inputs.leaves[0]))
    parts: list[Any] = []
    done = 0
    while done < inputs.samples:

        def call(rows: int, here: int = done) -> tuple[int, Any]:
            part = np.arange(here, min(here + rows, inputs.samples))
            points, fixed = ([backend.take(leaf, part) for leaf in some] for some in _tensors(inputs))
            return len(part), backend.value(forward, points, fixed)

        count, found = sizer.attempt(backend, call)
        parts.append(found)
        done += count
    whole = parts[0] if len(parts) == 1 else backend.concat(parts)
    return whole, np.array(backend.to_numpy(whole))


def _tensors(inputs: Inputs) -> tuple[list[Any], list[Any]]:
    return inputs.leaves, list(inputs.batched.values())
