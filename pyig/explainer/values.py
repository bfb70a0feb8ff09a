"""F itself, row by row: what is explained, without a gradient."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pyig import backends, tree
from pyig.calling import call_spec, row_by_row, select_output
from pyig.contracts import Floats
from pyig.heads import CustomHead, TargetHead
from pyig.integrate.batching import Sizer
from pyig.integrate.inputs import read_inputs
from pyig.rows import row_floats
from pyig.targets import fetched, parse


def values(
    model: Any,
    x: Any,
    target: Any = None,
    *,
    output: str | int | None = None,
    gradient: Any = None,
    forward_kwargs: dict[str, Any] | None = None,
    batch_size: int | str = "auto",
) -> Floats:
    """Return F(x), float64 (N,).

    Parameters
    ----------
    model, output, gradient
        As for `IntegratedGradients`.
    x, target, forward_kwargs, batch_size
        As for `IntegratedGradients.attribute`; one target per sample. Inputs may be whole numbers.

    Raises
    ------
    InputError, InputTypeError, ModelError
        Each says what was expected, what came, and what to do.

    Examples
    --------
    >>> values(lambda x: x**2, np.array([[1.0, 3.0]]), target=1, gradient=lambda x: 2 * x)
    array([9.])
    """
    leaves, _ = tree.flatten(x)
    backend = backends.choose(model, leaves, None, gradient)
    inputs = read_inputs(backend, x, forward_kwargs, finite=False)
    parsed = None if callable(target) else parse(fetched(backend, target), inputs.samples)
    host = all(backend.on_host(leaf) for leaf in inputs.leaves)
    sizer = Sizer(batch_size, 4 * max(1, row_floats(inputs.leaves)), host)
    found = np.empty(inputs.samples)
    done = 0

    def forward(points: Any, fixed: Any) -> Any:
        kwargs = dict(zip(inputs.batched, fixed, strict=True)) | inputs.shared
        raw = backend.call(tree.unflatten(call_spec(inputs.spec), list(points)), kwargs)
        return row_by_row(select_output(raw, output, backend), points)

    with backend.session():
        while done < inputs.samples:
            here = done

            def call(rows: int, here: int = here) -> Any:
                part = np.arange(here, min(here + rows, inputs.samples))
                sizer.trying(len(part))
                points = [backend.take(leaf, part) for leaf in inputs.leaves]
                fixed = [backend.take(value, part) for value in inputs.batched.values()]
                return part, backend.value(forward, points, fixed)

            part, outputs = sizer.attempt(backend, call)
            if not outputs.shape and len(part) > 1:
                sizer.only(1)
                continue
            if parsed is None:
                number, _ = CustomHead(target)(backend, outputs, [])
            else:
                shape = tuple(int(size) for size in outputs.shape) or (1,)
                flat = parsed.resolve(part, shape, partial(backend.to_numpy, outputs))
                index = backend.from_numpy(np.ascontiguousarray(flat[:, 0]), outputs)
                number, _ = TargetHead()(backend, outputs, [index])
            found[part] = np.asarray(backend.to_numpy(number), dtype=np.float64).reshape(-1)
            done += len(part)
    return found
