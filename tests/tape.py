"""A model as a list of steps on a tape of values, and its value and vector-Jacobian product in numpy, in float64.

The inputs come first on the tape; every step reads earlier values and appends one; the last value is the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One operation: its name, the tape positions that it reads, and its constants."""

    op: str
    args: tuple[int, ...]
    weights: tuple[Array, ...] = ()
    shape: tuple[int, ...] = ()


def _windows(x: Array, size: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))


def _conv(x: Array, w: Array) -> Array:
    """Correlate (N, C, H, W) with (O, C, k, k), no padding."""
    return np.einsum("nchwij,ocij->nohw", _windows(x, w.shape[-1]), w)


def _conv_back(c: Array, y: Array, x: Array, w: Array) -> Array:
    k = w.shape[-1]
    wide = np.pad(c, ((0, 0), (0, 0), (k - 1, k - 1), (k - 1, k - 1)))
    return np.einsum("nohwij,ocij->nchw", _windows(wide, k), w[:, :, ::-1, ::-1])


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _spread(c: Array, x: Array) -> Array:
    return np.broadcast_to(c.reshape(-1, *[1] * (x.ndim - 1)), x.shape)


FORWARD: dict[str, Callable[..., Array]] = {
    "dense": lambda x, w, b: x @ w + b,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _sigmoid,
    "square": np.square,
    "mul": lambda a, b: a * b,
    "add": lambda a, b: a + b,
    "sum": lambda x: x.reshape(len(x), -1).sum(1),
    "conv": _conv,
    "embed": lambda tokens, table: table[tokens],
}
BACKWARD: dict[str, Callable[..., Any]] = {  # (cotangent, output, inputs and weights...) -> one gradient per input
    "dense": lambda c, y, x, w, b: [c @ w.T],
    "tanh": lambda c, y, x: [c * (1 - y**2)],
    "softplus": lambda c, y, x: [c * _sigmoid(x)],
    "relu": lambda c, y, x: [c * (x > 0)],
    "sigmoid": lambda c, y, x: [c * y * (1 - y)],
    "square": lambda c, y, x: [2 * c * x],
    "mul": lambda c, y, a, b: [c * b, c * a],
    "add": lambda c, y, a, b: [c, c],
    "sum": lambda c, y, x: [_spread(c, x)],
    "conv": lambda *given: [_conv_back(*given)],
    "embed": lambda c, y, tokens, table: [None],
}


def play(steps: Sequence[Step], leaves: Sequence[Array]) -> list[Array]:
    """Return the whole tape."""
    tape = list(leaves)
    for step in steps:
        args = [tape[i] for i in step.args]
        if step.op == "reshape":
            tape.append(args[0].reshape(len(args[0]), *step.shape))
        else:
            tape.append(FORWARD[step.op](*args, *step.weights))
    return tape


def value(steps: Sequence[Step], leaves: Sequence[Array]) -> Array:
    """Return the outputs."""
    return play(steps, leaves)[-1]


def vjp(steps: Sequence[Step], leaves: Sequence[Array], cotangent: Array) -> list[Array | None]:
    """Return the gradient of (outputs * cotangent).sum() with respect to every floating leaf; None for the others."""
    tape = play(steps, leaves)
    grads: list[Array | None] = [None] * len(tape)
    grads[-1] = cotangent
    for k in reversed(range(len(steps))):
        step, mine = steps[k], grads[len(leaves) + k]
        if mine is None:
            continue
        args = [tape[i] for i in step.args]
        if step.op == "reshape":
            parts = [mine.reshape(args[0].shape)]
        else:
            parts = BACKWARD[step.op](mine, tape[len(leaves) + k], *args, *step.weights)
        for i, part in zip(step.args, parts, strict=True):
            if part is not None:
                grads[i] = part if grads[i] is None else grads[i] + part
    return [g if np.issubdtype(leaf.dtype, np.floating) else None for g, leaf in zip(grads, leaves, strict=False)]
