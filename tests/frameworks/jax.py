"""A zoo entry as a function of JAX arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from tape import Step

OPS: dict[str, Any] = {
    "dense": lambda x, w, b: x @ w + b,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "square": jnp.square,
    "mul": jnp.multiply,
    "add": jnp.add,
    "sum": lambda x: x.reshape(x.shape[0], -1).sum(1),
    "conv": lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "VALID"),
    "embed": lambda tokens, table: table[tokens],
}


def play(steps: Sequence[Step], keys: tuple[str, ...], weights: Sequence[Any], *leaves: Any, **named: Any) -> Any:
    """Play the steps; the weights are an argument, as JAX has it."""
    tape, left = list(leaves or (named[key] for key in keys)), iter(weights)
    for step in steps:
        args = [tape[i] for i in step.args]
        if step.op == "reshape":
            tape.append(args[0].reshape(-1, *step.shape))
        else:
            tape.append(OPS[step.op](*args, *[next(left) for _ in step.weights]))
    return tape[-1]


def build(steps: Sequence[Step], keys: tuple[str, ...], dtype: Any) -> Any:
    """Bind the weights, in float64 too, without a switch that others would see."""
    with jax.enable_x64(True):
        return partial(play, steps, keys, [jnp.asarray(w.astype(dtype)) for step in steps for w in step.weights])


def tensor(array: Any) -> Any:
    with jax.enable_x64(np.asarray(array).dtype == np.float64):
        return jnp.asarray(array)
