"""TensorFlow: Keras 3 models on the tensorflow backend, tf-keras models, `tf.function`s and functions of tf tensors."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pyig.backends.arguments import made_by
from pyig.backends.kept import in_groups
from pyig.backends.tensorflow_graph import Args, Graphs
from pyig.backends.tensorflow_model import Model, owner
from pyig.backends.tensorflow_ops import TensorFlowOps
from pyig.contracts import Forward, Head, Ints
from pyig.errors import ModelError

_HOST_DTYPES = (tf.float32, tf.float64)
_NARROW = (tf.bfloat16, tf.float16)
_FULL_ROWS, _FULL_SIZE = 1024, 1 << 17
_TOKENS = "Pass token ids as integers: the path then runs behind the embedding layer that takes them, or behind layer="
_HINTS = {  # what TensorFlow says of inputs that do not fit, and what to do about it
    "'Tindices' of": f"expected token ids as whole numbers, which are looked up; got floats. {_TOKENS}",
    "is not in [0,": "expected ids below the number of rows of the embedding that takes them; one is not, as when they "
    "come from another model's tokenizer",
    "was expected to be a": "expected the input in the dtype of the model's weights. Cast it (tf.cast(x, tf.float32)), "
    "or build the model in the other dtype",
}


class TensorFlowBackend(TensorFlowOps):
    """Anything that TensorFlow made and that can be called, or any function of TensorFlow tensors."""

    name = "tensorflow"
    host_bytes = 1 << 19  # a graph's call costs a millisecond beside its rows, several times a call of torch

    def __init__(self, model: Any) -> None:
        self._model = Model(model)
        self._graphs = Graphs()

    @staticmethod
    def owns(model: object, leaves: Sequence[object]) -> bool:
        """Tell by the classes that an object is made of: a Keras 3 model inherits from its own backend's framework."""
        made = made_by(model) | made_by(owner(model))
        if not callable(model) or ("keras" in made and "tensorflow" not in made):
            return False
        return "tensorflow" in made or any(isinstance(leaf, (tf.Tensor, tf.Variable)) for leaf in leaves)

    # --- the model -------------------------------------------------------------------------------------------------
    @contextmanager
    def session(self) -> Iterator[None]:
        """Work on the model's device; put back every variable that a call has written, as training=True does."""
        with (
            self._graphs.session() as outermost,
            self._model.placed(),
            self._restored() if outermost else nullcontext(),
        ):
            yield

    @contextmanager
    def _restored(self) -> Iterator[None]:
        # A read shares the variable's memory until something writes the variable, so this holds no second copy.
        saved = [(variable, tf.convert_to_tensor(variable)) for variable in self._model.variables()]
        try:
            yield
        finally:
            for variable, before in saved:
                if _written(variable, before):
                    variable.assign(before)

    def call(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call the model in inference mode."""
        try:
            return self._model(x, kwargs)
        except tf.errors.InvalidArgumentError as error:
            hint = next((hint for sign, hint in _HINTS.items() if sign in error.message), None)
            if hint is None:
                raise
            raise ModelError(f"{hint}. TensorFlow said: {error.message.splitlines()[0]}") from error

    def is_tensor(self, value: object) -> bool:
        """TensorFlow tensors, also the symbolic ones of a graph."""
        return isinstance(value, tf.Tensor)

    def gives_probabilities(self) -> bool | None:
        """Look at the activation of the last layer of a Sequential or Functional model."""
        return self._model.gives_probabilities()

    def value(self, forward: Forward, points: Sequence[Any], fixed: Sequence[Any]) -> Any:
        """Return the outputs without a tape."""
        if self._model.runs_eagerly():
            return forward(points, fixed)
        return self._graphs.value(forward, (points, fixed, ()))

    def value_and_grad(
        self, forward: Forward, points: Sequence[Any], fixed: Sequence[Any], head: Head, index: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """Return F (R,) and dF/d(points) by one VJP with the head's cotangent; variables are not watched."""
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
            with tf.GradientTape(persistent=targets > 1, watch_accessed_variables=False) as tape:
                for point in points:
                    tape.watch(point)
                outputs = forward(points, fixed)
            if not outputs.dtype.is_floating:
                raise _no_gradient(outputs)
            found: list[Any] = []
            grads: list[Any] = []
            for first in range(0, targets * width, width) if width else range(targets):
                values, cotangent = head(self, outputs, index[first : first + width])
                # A graph would run all VJPs at once, and hold what each of them needs.
                with tf.control_dependencies([grad for grad in grads if grad is not None]):
                    cotangent = tf.identity(cotangent)
                pulled = tape.gradient(outputs, list(points), output_gradients=cotangent)
                grads = [_dense(grad, point) for grad, point in zip(pulled, points, strict=True)]
                if all(grad is None for grad in grads):
                    raise _no_gradient(outputs)
                found += [values, *grads]
            return found

        def read(outputs: Any, index: Any) -> Any:
            return head(self, outputs, index[:width])[0]

        # A full batch has others after it. What fits in one small batch may be all there is; then a trace never pays.
        full = points[0].shape[0] >= _FULL_ROWS or sum(p.shape.num_elements() for p in points) >= _FULL_SIZE
        every = [tensor for index in indices for tensor in index]
        args: Args = (points, fixed, every)
        if self._model.runs_eagerly():
            found = step(*args)
        else:
            found = self._graphs.run((forward, head, targets), step, read, args, patience=0 if full else 1)
        each = 1 + len(points)
        return [(found[at], found[at + 1 : at + each]) for at in range(0, targets * each, each)]

    def is_out_of_memory(self, error: BaseException) -> bool:
        """ResourceExhaustedError, and the internal errors in which some kernels hide it."""
        hidden = isinstance(error, tf.errors.InternalError) and "out of memory" in str(error).lower()
        return hidden or isinstance(error, (tf.errors.ResourceExhaustedError, MemoryError))

    def release_memory(self) -> None:
        """Drop what only cycles keep alive; TensorFlow's allocator then serves the next call from its own pool."""
        gc.collect(1)  # the failed call's objects are young; a full collection takes most of a second

    # --- tensors ---------------------------------------------------------------------------------------------------
    def asarray(self, x: Any) -> Any:
        """Return a tensor as it is; put numpy on the model's device, floats in the model's dtype."""
        if isinstance(x, tf.Variable):
            return tf.convert_to_tensor(x)
        if hasattr(x, "dtype") and isinstance(x.dtype, tf.DType):
            return x
        with self._model.placed():
            tensor = tf.constant(np.asarray(x))
            dtype = self._model.dtype()
            return tf.cast(tensor, dtype) if tensor.dtype.is_floating and dtype is not None else tensor

    def to_numpy(self, tensor: Any) -> NDArray[Any]:
        """Return numpy, on the host a view; bfloat16 and float16 as float32."""
        return np.asarray(tf.cast(tensor, tf.float32) if tensor.dtype in _NARROW else tensor)

    def from_numpy(self, array: NDArray[Any], like: Any) -> Any:
        """Copy to the device of `like`: TensorFlow takes its tensors to be constant, and the array is written again."""
        with tf.device(like.device):
            return tf.constant(array)

    def on_host(self, tensor: Any) -> bool:
        """Tell: true for eager float32 and float64 tensors of a CPU."""
        plain = isinstance(tensor, tf.Tensor) and hasattr(tensor, "numpy")
        return plain and "device:CPU:" in tensor.device and tensor.dtype in _HOST_DTYPES

    def is_floating(self, tensor: Any) -> bool:
        """Tell: true for real floating dtypes."""
        return bool(tensor.dtype.is_floating)

    def take(self, tensor: Any, rows: Ints) -> Any:
        """Return the given rows."""
        return tf.gather(tensor, rows)

    def device_label(self, tensor: Any) -> str:
        """Return ``"gpu:0"`` for ``"/job:localhost/replica:0/task:0/device:GPU:0"``, and plain ``"cpu"``."""
        label = str(tensor.device).rpartition("device:")[2].lower()
        return "cpu" if label == "cpu:0" else label


def _written(variable: Any, before: Any) -> bool:
    after = tf.convert_to_tensor(variable)
    if "device:CPU:" in after.device and after.dtype.is_numpy_compatible:
        return _address(after) != _address(before)
    return not bool(tf.reduce_all(tf.equal(after, before)))


def _address(tensor: Any) -> int:
    return int(np.asarray(tensor).__array_interface__["data"][0])


def _dense(grad: Any, point: Any) -> Any:
    if isinstance(grad, tf.IndexedSlices):
        return tf.math.unsorted_segment_sum(grad.values, grad.indices, tf.shape(point, grad.indices.dtype)[0])
    return grad


def _no_gradient(outputs: Any) -> ModelError:
    return ModelError(
        f"expected outputs that depend on the input by differentiable operations; got outputs of shape "
        f"{tuple(outputs.shape)} and dtype {outputs.dtype.name} without a gradient. Look for stop_gradient, argmax, "
        f"rounding, a cast to integers or a way through numpy in the model. {_TOKENS}"
    )
