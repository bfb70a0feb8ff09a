"""numpy functions with a gradient supplied by the user: no framework at all, and the oracle of the tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import tree
from pyig.backends.numpy_ops import NumpyOps
from pyig.contracts import Forward, Head
from pyig.errors import InputTypeError, ModelError

Array = NDArray[Any]


class CallableBackend(NumpyOps):
    """A numpy function and its VJP.

    Parameters
    ----------
    model : callable
        ``model(*leaves)`` -> array (R,), (R, C) or of higher rank; a dict input is passed as keywords.
    gradient : callable
        For outputs (R,): ``gradient(*leaves)`` -> dF/d(leaf), one array per leaf; integer leaves may be left out.
        For outputs of higher rank: ``gradient(*leaves, cotangent=c)`` -> the VJP with the cotangent c, shaped like the
        outputs. For a dict input it may answer with a dict.
    """

    name = "callable"

    def __init__(self, model: Callable[..., Any], gradient: Callable[..., Any] | None = None) -> None:
        if gradient is None:
            raise InputTypeError("expected gradient= for a numpy function; got none. Or pass tensors of a framework")
        if not callable(gradient):
            raise InputTypeError(f"expected gradient= as a function; got {type(gradient).__qualname__}")
        self._model = model
        self._gradient = gradient
        self._last = threading.local()  # the arguments of the forward that `gradient` is about to be asked for

    @staticmethod
    def owns(model: object, leaves: Sequence[object]) -> bool:
        """Never by itself: a numpy function is recognised by the gradient that comes with it."""
        del model, leaves
        return False

    @contextmanager
    def session(self) -> Iterator[None]:
        """Nothing to freeze; the last points are let go."""
        try:
            yield
        finally:
            self._last.__dict__.clear()

    def call(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call ``model(*leaves)``, or ``model(**leaves)`` for a dict."""
        self._last.x, self._last.kwargs = x, kwargs
        return self._apply(self._model, x, kwargs)

    def is_tensor(self, value: object) -> bool:
        """Numpy arrays and numbers."""
        return isinstance(value, (np.ndarray, np.number, float))

    def gives_probabilities(self) -> bool | None:
        """Return None: a function shows no graph."""
        return None

    def value(self, forward: Forward, points: Sequence[Array], fixed: Sequence[Array]) -> Array:
        """Return the outputs."""
        return np.asarray(forward(points, fixed))

    def value_and_grad(
        self, forward: Forward, points: Sequence[Array], fixed: Sequence[Array], head: Head, index: Sequence[Array]
    ) -> tuple[Array, list[Array | None]]:
        """Return F (R,) and its gradients by the user's VJP."""
        outputs = np.asarray(forward(points, fixed))
        values, cotangent = head(self, outputs, index)
        x, kwargs = self._last.x, self._last.kwargs
        if outputs.ndim <= 1:
            found = self._moving(_tuple(self._apply(self._gradient, x, kwargs), x), x)
            scale = cotangent.reshape(-1)
            grads = [None if g is None else g * scale.reshape(-1, *[1] * (np.ndim(g) - 1)) for g in found]
        else:
            grads = self._moving(_tuple(self._apply(self._gradient, x, {**kwargs, "cotangent": cotangent}), x), x)
        if len(grads) != len(points):
            raise ModelError(f"expected gradient() to return {len(points)} arrays, one per input; got {len(grads)}")
        for grad, point in zip(grads, points, strict=True):
            if grad is not None and np.shape(grad) != point.shape:
                raise ModelError(f"expected gradient() to return shape {point.shape}; got {np.shape(grad)}")
        # The rows are combined in the dtype of the points, which a function with float64 constants does not keep.
        grads = [None if g is None else np.asarray(g, dtype=p.dtype) for g, p in zip(grads, points, strict=True)]
        return values, grads

    def values_and_grads(
        self,
        forward: Forward,
        points: Sequence[Array],
        fixed: Sequence[Array],
        head: Head,
        indices: Sequence[Sequence[Array]],
    ) -> list[tuple[Array, list[Array | None]]]:
        """Return the same for several targets, one after the other."""
        return [self.value_and_grad(forward, points, fixed, head, index) for index in indices]

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Numpy raises MemoryError."""
        return isinstance(error, MemoryError)

    def release_memory(self) -> None:
        """Nothing is cached."""

    def asarray(self, x: Any) -> Array:
        """Return x as numpy."""
        return np.asarray(x)

    def to_numpy(self, tensor: Any) -> Array:
        """Return the array itself."""
        return np.asarray(tensor)

    def from_numpy(self, array: Array, like: Array) -> Array:
        """Return the array itself."""
        del like
        return array

    def on_host(self, tensor: Array) -> bool:
        """True for float32 and float64."""
        return tensor.dtype in (np.float32, np.float64)

    def is_floating(self, tensor: Array) -> bool:
        """True for floats."""
        return bool(np.issubdtype(tensor.dtype, np.floating))

    def device_label(self, tensor: Array) -> str:
        """Return ``"cpu"``."""
        del tensor
        return "cpu"

    def custom_head(self, function: Callable[[Any], Any], outputs: Array) -> tuple[Array, Array]:
        """Refuse: numpy has no autograd."""
        raise InputTypeError(
            "a callable target needs a framework with autograd; put it into the numpy function instead"
        )

    def _moving(self, found: Sequence[Array | None], x: Any) -> list[Array | None]:
        """Leave out the entries of integer leaves, which are held fixed, where `gradient` has one for every leaf."""
        leaves, _ = tree.flatten(x)
        if len(found) != len(leaves):
            return list(found)
        return [grad for grad, leaf in zip(found, leaves, strict=True) if self.is_floating(leaf)]

    def _apply(self, function: Callable[..., Any], x: Any, kwargs: dict[str, Any]) -> Any:
        if isinstance(x, dict):
            return function(**x, **kwargs)
        return function(*x, **kwargs) if isinstance(x, (list, tuple)) else function(x, **kwargs)


def _tuple(found: Any, x: Any) -> Sequence[Array | None]:
    if isinstance(found, dict) and isinstance(x, dict):
        return [found.get(key) for key in x]
    if found is None:
        return [None]
    return list(found) if isinstance(found, (list, tuple)) else [np.asarray(found)]
