"""JAX: functions of JAX arrays, Equinox and Flax modules, and Keras 3 models on the jax backend."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pyig.backends.jax_model import Model, made_by_jax
from pyig.backends.jax_ops import JaxOps, home, near, reached, scope, x64
from pyig.backends.jax_programs import Programs
from pyig.backends.kept import in_groups
from pyig.contracts import Forward, Head
from pyig.errors import InputTypeError, ModelError

_TOKENS = "For token ids pass integers, which are held fixed"
_CHANCE = (
    "expected a model that draws nothing when it is called. Put it into inference mode (equinox: "
    "eqx.nn.inference_mode(model); flax: deterministic=True), or pass one key for all rows in forward_kwargs, marked "
    "with pyig.static"
)
_HINTS = {  # what JAX and its libraries say of inputs that do not fit, and what to do about it
    "Indexer must have integer": f"expected token ids as whole numbers, which are looked up; got floats. {_TOKENS}",
    "requires a key": _CHANCE,
    "needs PRNG": _CHANCE,
    "dot_general requires contracting dimensions": "expected a model of whole batches whose features fit the input. A "
    "model of one sample, as in equinox, becomes one of batches by jax.vmap(model)",
}


class JaxBackend(JaxOps):
    """Anything that JAX can differentiate: compiled, one VJP per model call."""

    name = "jax"

    def __init__(self, model: Any) -> None:
        self._model = Model(model)
        self._programs = Programs()
        self._thread = threading.local()

    @staticmethod
    def owns(model: object, leaves: Sequence[object]) -> bool:
        """Tell: what JAX or a library for it made, and any callable whose input holds JAX arrays."""
        return callable(model) and (made_by_jax(model) or any(isinstance(leaf, jax.Array) for leaf in leaves))

    # --- the model -------------------------------------------------------------------------------------------------
    @contextmanager
    def session(self) -> Iterator[None]:
        """Compute in 64 bits around the model, and in the user's own setting in it; this thread's switch alone."""
        outer = dict(self._thread.__dict__)
        self._thread.x64, self._thread.settled = x64(), self._model.settled()
        self._programs.begin()
        try:
            with scope(True), np.errstate(all="ignore"):  # JAX does not warn of infinities either
                yield
        finally:
            self._thread.__dict__.clear()
            self._thread.__dict__.update(outer)

    def call(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call the model in inference mode."""
        try:
            return self._model(x, kwargs)
        except jax.errors.TracerArrayConversionError as error:
            raise ModelError(
                "expected a model of JAX operations; got one that turns its input into numpy on the way, where no "
                f"gradient follows. Use jax.numpy there. {_TOKENS}"
            ) from error
        except (TypeError, ValueError, RuntimeError) as error:
            hint = next((hint for sign, hint in _HINTS.items() if sign in str(error)), None)
            if hint is None:
                raise
            raise ModelError(f"{hint}. JAX said: {str(error).splitlines()[0]}") from error

    def is_tensor(self, value: object) -> bool:
        """Arrays of JAX, also the symbolic ones of a trace."""
        return isinstance(value, jax.Array)

    def gives_probabilities(self) -> bool | None:
        """Look at the activation of the last layer of a Keras model; of a function it is not known."""
        return self._model.gives_probabilities()

    def value(self, forward: Forward, points: Sequence[Any], fixed: Sequence[Any]) -> Any:
        """Return the outputs, without a gradient."""

        def step(points: Any, fixed: Any, index: Any) -> list[Any]:
            del index
            return [forward(points, fixed)]

        return self._run((forward,), step, points, fixed, (), self._settled(forward))[0]

    def value_and_grad(
        self, forward: Forward, points: Sequence[Any], fixed: Sequence[Any], head: Head, index: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """Return F (R,) and dF/d(points) by one VJP with the head's cotangent."""
        return self.values_and_grads(forward, points, fixed, head, [index])[0]

    def values_and_grads(
        self,
        forward: Forward,
        points: Sequence[Any],
        fixed: Sequence[Any],
        head: Head,
        indices: Sequence[Sequence[Any]],
    ) -> list[tuple[Any, list[Any]]]:
        """Return the same for several targets: one forward for up to 16 of them, and one VJP each."""
        return in_groups(indices, partial(self._together, forward, points, fixed, head))

    def _together(
        self,
        forward: Forward,
        points: Sequence[Any],
        fixed: Sequence[Any],
        head: Head,
        indices: Sequence[Sequence[Any]],
    ) -> list[tuple[Any, list[Any]]]:
        targets, width = len(indices), len(indices[0])

        def step(points: Any, fixed: Any, index: Any) -> list[Any]:
            outputs, pull = jax.vjp(lambda *moving: forward(moving, fixed), *points)
            if not jnp.issubdtype(outputs.dtype, jnp.floating):
                raise _no_gradient(outputs)
            used = reached(pull, outputs)
            if not any(used):
                raise _no_gradient(outputs)
            found: list[Any] = []
            for first in range(0, targets * width, width) if width else range(targets):
                values, cotangent = head(self, outputs, index[first : first + width])
                grads = pull(cotangent.astype(outputs.dtype))
                found += [values, *(grad if use else None for grad, use in zip(grads, used, strict=True))]
            return found

        every = [tensor for index in indices for tensor in index]
        settled = None if hasattr(head, "function") else self._settled(forward)
        found = self._run((forward, head, targets), step, points, fixed, every, settled)
        each = 1 + len(points)
        return [(found[at], found[at + 1 : at + each]) for at in range(0, targets * each, each)]

    def _settled(self, forward: Forward) -> list[Any] | None:
        if getattr(forward, "shared", ()):
            return None
        return self._thread.settled if hasattr(self._thread, "settled") else self._model.settled()

    def _run(
        self, what: tuple[Any, ...], step: Any, points: Sequence[Any], fixed: Sequence[Any], index: Any, settled: Any
    ) -> list[Any]:
        wide = any(tensor.dtype == np.float64 for tensor in (*points, *fixed))
        elsewhere = all(map(near, points)) and jax.default_backend() != "cpu"
        with (
            scope(wide or self._users_x64()),
            jax.default_device(home()) if elsewhere else nullcontext(),
        ):
            if self._model.unbuilt:
                step([jnp.asarray(t[:1]) for t in points], [jnp.asarray(t[:1]) for t in fixed], [t[:1] for t in index])
            return self._programs.run(what, step, (points, fixed, index), settled, self._model.variables())

    def is_out_of_memory(self, error: BaseException) -> bool:
        """XLA's error, by its code: it has one class for everything."""
        known = type(error).__name__ in (
            "JaxRuntimeError",
            "XlaRuntimeError",
        )  # the name changed, and its module with it
        return (known and "RESOURCE_EXHAUSTED" in str(error)) or isinstance(error, MemoryError)

    def release_memory(self) -> None:
        """Drop what only cycles keep alive; what is compiled stays, as it holds no values."""
        gc.collect(1)

    # --- tensors ---------------------------------------------------------------------------------------------------
    def asarray(self, x: Any) -> Any:
        """Return an array of JAX as it is; put numpy on the model's device, floats in the model's dtype.

        A function shows no dtype: then float64 stays float64, also where JAX itself would have cut it to float32.
        """
        if isinstance(x, jax.Array):
            return x
        array = np.asarray(x)
        if array.dtype.kind not in "fiub" and not jnp.issubdtype(array.dtype, jnp.floating):
            raise InputTypeError(f"expected numbers for a JAX model; got an array of dtype {array.dtype}")
        if jnp.issubdtype(array.dtype, jnp.floating):
            array = array.astype(self._model.dtype() or array.dtype, copy=False)
        elif array.size and not x64() and array.dtype.itemsize == 8:
            narrow = array.astype(jax.dtypes.canonicalize_dtype(array.dtype))
            if not np.array_equal(narrow, array):
                raise InputTypeError(
                    f"expected whole numbers of 32 bits; got {array.dtype} with {array.max()}. Switch jax_enable_x64 on"
                )
            array = narrow
        return self._placed(array, self._model.device())

    def to_numpy(self, tensor: Any) -> NDArray[Any]:
        """Return numpy, on the host a view; bfloat16 and float16 as float32."""
        array = np.asarray(tensor)
        return array.astype(np.float32) if jnp.issubdtype(array.dtype, jnp.floating) and array.itemsize < 4 else array

    def from_numpy(self, array: NDArray[Any], like: Any) -> Any:
        """Copy to the device of `like`: JAX takes its arrays to be constant, and this one is written again."""
        one = isinstance(like, jax.Array) and not isinstance(like, jax.core.Tracer) and len(like.devices()) == 1
        return self._placed(array, next(iter(like.devices())) if one else home())

    def _placed(self, array: NDArray[Any], device: Any) -> Any:
        there = nullcontext() if device is None else jax.default_device(device)
        with scope(array.dtype == np.float64 or self._users_x64()), there:
            return jnp.array(array, copy=True)

    def _users_x64(self) -> bool:
        known: bool | None = getattr(self._thread, "x64", None)
        return x64() if known is None else known

    def on_host(self, tensor: Any) -> bool:
        """Tell: true for float32 and float64 that numpy can read in place."""
        return near(tensor) and tensor.dtype in (np.float32, np.float64)

    def is_floating(self, tensor: Any) -> bool:
        """Tell: true for real floating dtypes."""
        return bool(jnp.issubdtype(tensor.dtype, jnp.floating))

    def device_label(self, tensor: Any) -> str:
        """Return ``"gpu:0"``, and plain ``"cpu"``."""
        if near(tensor):
            return "cpu"
        return ",".join(f"{device.platform}:{device.id}" for device in sorted(tensor.devices(), key=lambda d: d.id))


def _no_gradient(outputs: Any) -> ModelError:
    return ModelError(
        f"expected outputs that depend on the input by differentiable operations; got outputs of shape "
        f"{tuple(outputs.shape)} and dtype {outputs.dtype} without a gradient. Look for stop_gradient, argmax, "
        f"rounding, a cast to integers or a way through numpy in the model. {_TOKENS}"
    )
