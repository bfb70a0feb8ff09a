"""What the two ways of cutting a Keras model share, without importing Keras or a framework."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from pyig import tree
from pyig.contracts import Backend
from pyig.errors import ModelError


class CutError(Exception):
    """A way of cutting that does not fit the model; the message says why."""


def called_again(layer: Any) -> ModelError:
    """Build the error for a layer that a forward calls more than once: there is no one value to attribute to."""
    return ModelError(
        f"expected the layer {describe(layer)} to be called once in a forward; it is called several times. "
        "Choose a layer that is called once, or give the model one instance per call"
    )


def describe(layer: Any) -> str:
    """Return a layer's class and name."""
    return f"{type(layer).__qualname__} {getattr(layer, 'name', '')!r}"


def flavour(model: Any) -> Any:
    """Return the package a model comes from, which is loaded since the model exists: ``keras`` or ``tf_keras``."""
    names = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    return sys.modules["tf_keras" if "tf_keras" in names else "keras"] if names & {"tf_keras", "keras"} else None


def nest(model: Any) -> Any:
    """Return the functions for nested structures that fit the model: ``flatten`` and ``pack_sequence_as``."""
    keras = flavour(model)
    return keras.tree if hasattr(keras, "tree") else sys.modules["tensorflow"].nest


def no_gradient(backend: Backend) -> AbstractContextManager[Any]:
    """Keep torch from recording; TensorFlow records only under a tape."""
    scope: AbstractContextManager[Any] = sys.modules["torch"].no_grad() if backend.name == "torch" else nullcontext()
    return scope


def inside(model: Any, deep: bool = True) -> list[Any]:
    """Return the layers inside a model or layer: all of them, or only the outermost."""
    flatten = getattr(model, "_flatten_layers", None)
    return list(getattr(model, "layers", ()) if flatten is None else flatten(include_self=False, recursive=deep))


def repeated(row: Any, like: Any) -> Any:
    """Return one row as often as `like` has rows."""
    if hasattr(row, "expand"):
        return row.expand(like.shape[0], *row.shape[1:])
    tf = sys.modules["tensorflow"]
    return tf.repeat(row, tf.shape(like)[0], axis=0)


def tuple_spec(count: int) -> tree.Spec:
    """Return the spec of one leaf, or of a tuple of several."""
    return tree.LEAF if count == 1 else tree.Spec("tuple", children=(tree.LEAF,) * count)


def mask_of(tensor: Any) -> Any:
    """Return the mask that Keras hangs on a tensor; None where there is none."""
    return getattr(tensor, "_keras_mask", None)


def with_mask(tensor: Any, mask: Any) -> Any:
    """Hang a mask on a tensor the way Keras does, so that the layers after it find it."""
    if mask is not None:
        tensor._keras_mask = mask
    return tensor


def rows_of(tensor: Any) -> int:
    """Return the length of the first axis; 0 for a scalar."""
    return int(tensor.shape[0]) if len(tensor.shape) else 0


def check_rows(tensors: Sequence[Any], samples: int) -> None:
    """Refuse a tensor without one row per sample."""
    for tensor in tensors:
        if rows_of(tensor) != samples:
            raise CutError(f"a tensor of shape {tuple(tensor.shape)} crosses the cut and has not one row per sample")
