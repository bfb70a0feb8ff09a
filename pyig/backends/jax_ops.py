"""The operations that heads and device rows need: in numpy on the host, where JAX would compile each for each shape.

Inside a trace, and on a device, they are JAX's own. Arrays of the host are views of JAX's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, wraps
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from pyig.backends.numpy_ops import NumpyOps
from pyig.contracts import Ints
from pyig.errors import ModelError

T = TypeVar("T")
_HOST = NumpyOps()


def x64() -> bool:
    """Tell whether 64-bit numbers are on, for this thread and moment."""
    return bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]


def scope(on: bool) -> AbstractContextManager[Any]:
    """Switch 64-bit numbers for this thread, until the scope is left."""
    if on == x64():
        return nullcontext()
    switch: Any = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # type: ignore[attr-defined]
    found: AbstractContextManager[Any] = switch(on)
    return found


def spec(shape: Sequence[int], dtype: Any) -> Any:
    """Return the outline of an array, to trace with."""
    return jax.ShapeDtypeStruct(tuple(shape), dtype)  # type: ignore[no-untyped-call]


@cache
def home() -> Any:
    """Return the device whose memory numpy can read; None where JAX was told to do without it."""
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:
        return None


def near(tensor: Any) -> bool:
    """Tell whether numpy can read the memory of a tensor."""
    if isinstance(tensor, np.ndarray):
        return True
    if not isinstance(tensor, jax.Array) or isinstance(tensor, jax.core.Tracer):
        return False
    return tensor.devices() == {home()} and not jnp.issubdtype(tensor.dtype, jax.dtypes.extended)


def _on_host(operation: Callable[..., T]) -> Callable[..., T]:
    """Let numpy do it where the first tensor is near; where it is far, in the tensor's own precision."""
    name = operation.__name__

    @wraps(operation)
    def chosen(self: Any, first: Any, *rest: Any) -> T:
        tensor = first[0] if isinstance(first, (list, tuple)) and name == "concat" else first
        if near(tensor):
            views = [_view(argument) for argument in (first, *rest)]
            with np.errstate(all="ignore"):
                found: T = getattr(_HOST, name)(*views)
            return found
        if isinstance(tensor, jax.core.Tracer):
            return operation(self, first, *rest)
        with scope(x64() or any(_wide(argument) for argument in (tensor, *rest))):
            return operation(self, first, *rest)

    return chosen


def _view(argument: Any) -> Any:
    if isinstance(argument, jax.Array):
        return np.asarray(argument)
    return [_view(each) for each in argument] if isinstance(argument, list) else argument


def _wide(tensor: Any) -> bool:
    return bool(getattr(tensor, "dtype", None) == np.float64)


class JaxOps:
    """A part of `pyig.backends.jax.JaxBackend`; tensors are `jax.Array`, or numpy on the host."""

    # --- operations for heads ----------------------------------------------------------------------------------------
    @_on_host
    def take(self, tensor: Any, rows: Ints) -> Any:
        """Return the given rows."""
        return jnp.take(tensor, jnp.asarray(rows), axis=0)

    @_on_host
    def flat(self, outputs: Any) -> Any:
        """Reshape to (R, C)."""
        return outputs.reshape(outputs.shape[0] if outputs.ndim else 1, -1)

    @_on_host
    def reshape_like(self, flat: Any, outputs: Any) -> Any:
        """Undo `flat`."""
        return flat.reshape(outputs.shape)

    @_on_host
    def pick(self, flat: Any, index: Any) -> Any:
        """Return ``flat[r, index[r]]``."""
        return jnp.take_along_axis(flat, jnp.asarray(index)[:, None], axis=1)[:, 0]

    def one_hot(self, index: Any, like: Any) -> Any:
        """Return zeros with a one at ``[r, index[r]]``."""
        if near(like):
            return _HOST.one_hot(np.asarray(index), np.asarray(like))
        return jax.nn.one_hot(index, like.shape[1], dtype=like.dtype)

    @_on_host
    def softmax(self, flat: Any) -> Any:
        """Softmax over the last axis."""
        return jax.nn.softmax(flat, axis=-1)

    @_on_host
    def logsumexp(self, flat: Any) -> Any:
        """Log-sum-exp over the last axis."""
        return jax.nn.logsumexp(flat, axis=-1)

    @_on_host
    def with_zero_column(self, flat: Any) -> Any:
        """Return ``[0, z]``."""
        return jnp.concatenate([jnp.zeros_like(flat), flat], axis=1)

    @_on_host
    def log(self, tensor: Any) -> Any:
        """Natural logarithm."""
        return jnp.log(tensor)

    def custom_head(self, function: Callable[[Any], Any], outputs: Any) -> tuple[Any, Any]:
        """Return ``function(outputs)`` (R,) and its gradient."""
        here = near(outputs)
        with scope(x64() or _wide(outputs)):
            outputs = jnp.asarray(outputs)
            values, pull = jax.vjp(function, outputs)
            rows = outputs.shape[0] if outputs.ndim else 1
            if not isinstance(values, jax.Array) or values.size != rows:
                got = tuple(values.shape) if isinstance(values, jax.Array) else type(values).__qualname__
                raise ModelError(
                    f"expected the target function to return one number per row, shape ({rows},); got {got}"
                )
            if not jnp.issubdtype(values.dtype, jnp.floating) or not any(reached(pull, values)):
                raise ModelError(
                    "expected a target function that depends on the outputs by differentiable operations; got one "
                    "without a gradient. Look for stop_gradient, argmax, rounding or a way through numpy in it"
                )
            (cotangent,) = pull(jnp.ones_like(values))
            values = values.reshape(-1)
        return (np.asarray(values), np.asarray(cotangent)) if here else (values, cotangent)

    # --- operations for device rows ----------------------------------------------------------------------------------
    def wide_zeros(self, shape: tuple[int, ...], like: Any) -> Any:
        """Return float64 zeros."""
        if near(like):
            return np.zeros(shape)
        with scope(True):
            return jnp.zeros(shape, jnp.float64, device=like.sharding if len(like.devices()) == 1 else None)

    @_on_host
    def scatter_add(self, total: Any, slots: Any, rows: Any) -> Any:
        """Return a total with the rows added to their slots."""
        return total.at[jnp.asarray(slots)].add(rows.astype(total.dtype))

    @_on_host
    def put(self, total: Any, slots: Any, rows: Any) -> Any:
        """Return a total with the rows in their slots."""
        return total.at[jnp.asarray(slots)].set(rows.astype(total.dtype))

    @_on_host
    def concat(self, tensors: Sequence[Any]) -> Any:
        """Join along the first axis."""
        return jnp.concatenate([jnp.asarray(tensor) for tensor in tensors])

    def reshape(self, tensor: Any, shape: tuple[int, ...]) -> Any:
        """Return an array of JAX in another shape: this is the last step of what the user is given."""
        with scope(x64() or _wide(tensor)):
            return jnp.asarray(tensor).reshape(shape)

    @_on_host
    def row_sum(self, tensor: Any) -> Any:
        """Sum over all axes but the first, in the widest float that is switched on."""
        wide = jnp.float64 if x64() else jnp.float32
        return tensor.reshape(tensor.shape[0], -1).sum(axis=1, dtype=wide)

    @_on_host
    def cast_like(self, tensor: Any, like: Any) -> Any:
        """Return the tensor in the dtype of `like`."""
        return tensor.astype(like.dtype)


def reached(pull: Callable[..., Any], outputs: Any) -> list[bool]:
    """Tell which results of a VJP depend on the cotangent; the others are zero wherever the model is evaluated."""
    jaxpr = jax.make_jaxpr(pull)(spec(outputs.shape, outputs.dtype)).jaxpr
    touched = {id(variable) for variable in jaxpr.invars}
    for equation in jaxpr.eqns:
        if any(id(atom) in touched for atom in equation.invars):
            touched.update(id(variable) for variable in equation.outvars)
    return [id(variable) in touched for variable in jaxpr.outvars]
