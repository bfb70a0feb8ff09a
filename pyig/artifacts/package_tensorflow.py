"""TensorFlow as packages expect it: their Keras files open, and what only its first version had asks for nothing.

Packages of the first generation build sessions and gradient tensors of their own; pyig takes gradients itself, so none
of that is used. To switch eager execution off would do so for the whole process, and is passed over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any


def modules(folder: Path) -> dict[str, ModuleType]:
    """Return the stand-ins by name; models that Keras 2 saved as directories get tf-keras, where it is installed."""
    import tensorflow

    keras = _keras(tensorflow, legacy=any(folder.rglob("keras_metadata.pb")))
    models = _Face("tensorflow.keras.models", keras.models, {"load_model": _load_model})
    face = _Face("tensorflow.keras", keras, {"models": models})
    v1 = {
        "Session": Session,
        "gradients": _gradients,
        "disable_eager_execution": _pass_over,
        "disable_v2_behavior": _pass_over,
    }
    compat = _Face(
        "tensorflow.compat", tensorflow.compat, {"v1": _Face("tensorflow.compat.v1", tensorflow.compat.v1, v1)}
    )
    top = {"Session": Session, "gradients": _gradients, "compat": compat, "keras": face}
    whole = _Face("tensorflow", tensorflow, top, tensorflow.compat.v1)
    return {"tensorflow": whole, "tensorflow.keras": face, "tensorflow.keras.models": models}


class Session:
    """Holds nothing: the model runs eagerly."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs

    @contextlib.contextmanager
    def as_default(self) -> Iterator[Session]:
        """Enter and leave without effect."""
        yield self

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        del exception

    def close(self) -> None:
        """Close nothing."""

    def run(self, fetches: Any, feed_dict: Any = None) -> Any:
        """Refuse: a graph that runs in a session is not there."""
        del feed_dict
        raise NotImplementedError(
            f"Session.run({fetches!r}): TensorFlow 2 has no sessions. Call the model instead, or derive from "
            "TFSavedModelWrapperIg, which pyig provides"
        )


class _Face(ModuleType):
    """A real module, but for a few names; what it lacks may come from another."""

    def __init__(self, name: str, real: Any, changed: dict[str, Any], other: Any = None) -> None:
        super().__init__(name, getattr(real, "__doc__", None))
        self.__dict__["_real"], self.__dict__["_other"] = real, other
        for attribute in ("__path__", "__spec__", "__file__"):
            if hasattr(real, attribute):
                self.__dict__[attribute] = getattr(real, attribute)
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        real, other = self.__dict__["_real"], self.__dict__["_other"]
        if other is None or hasattr(real, name):
            return getattr(real, name)
        return getattr(other, name)


def _keras(tensorflow: Any, legacy: bool) -> Any:
    if legacy:
        with contextlib.suppress(ModuleNotFoundError):
            import tf_keras

            return tf_keras
    return tensorflow.keras


def _load_model(filepath: Any, custom_objects: Any = None, **kwargs: Any) -> Any:
    """Read a model that any Keras saved, with `input` and `output` as they were before Keras 3."""
    from pyig.artifacts.package_template import model_class, read_keras

    del kwargs  # it is asked and explained, never trained: how it was compiled does not count
    model = read_keras(Path(filepath), custom_objects)
    if not _called(model):  # a Sequential one has neither
        model(model.inputs if len(model.inputs) > 1 else model.inputs[0])
    if isinstance(getattr(model, "input", None), list) and len(model.inputs) == len(model.outputs) == 1:
        model = model_class(model)(model.inputs[0], model.outputs[0])  # lists of one, where Keras 2 wrote the file
    return model


def _called(model: Any) -> bool:
    try:
        return model.input is not None
    except AttributeError:
        return not getattr(model, "inputs", None)  # a subclassed model has neither


def _pass_over() -> None:
    """Do nothing."""


def _gradients(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> list[None]:
    """Return a place for each gradient; nobody looks into it."""
    del outputs, args, kwargs
    return [None] * (len(inputs) if isinstance(inputs, (list, tuple)) else 1)
