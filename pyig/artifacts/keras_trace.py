"""A live Keras model on TensorFlow as one flat graph, in which every layer has a scope of its own."""

from __future__ import annotations

from typing import Any

from pyig.artifacts.keras_call import KerasCall
from pyig.artifacts.signatures import Signature, Tensor
from pyig.errors import ModelError


def trace(call: KerasCall) -> tuple[Any, Signature]:
    """Return the graph, and its inputs and outputs by name.

    Raises
    ------
    ModelError
        For a model of another framework, or one that cannot be traced.
    """
    import keras
    import tensorflow as tf

    from pyig.artifacts.saved_model_graph import from_function

    if type(call.model).__module__.partition(".")[0] == "keras" and keras.config.backend() != "tensorflow":
        raise ModelError(
            f"expected Keras on TensorFlow to cut the model at a layer; it runs on {keras.config.backend()}. Set "
            "KERAS_BACKEND=tensorflow before Keras is imported"
        )
    specs = {name: tf.TensorSpec(place.shape, place.dtype, name="input") for name, place in call.inputs.items()}
    names = list(specs)

    def run(*values: Any) -> dict[str, Any]:
        found = call(dict(zip(names, values, strict=True)))
        return {name or "output": tf.identity(value) for name, value in found.items()}

    try:
        concrete = tf.function(run, autograph=False).get_concrete_function(*specs.values())
    except Exception as error:  # whatever the model's own call raises when its tensors have no values
        said = str(error).strip().partition("\n")[0][:200]
        raise ModelError(
            f"expected a model that can be traced; its call raised {type(error).__name__}: {said}"
        ) from error
    outputs = dict(zip(sorted(concrete.structured_outputs), concrete.outputs, strict=True))
    fed = dict(zip(names, concrete.inputs, strict=False))
    return from_function(concrete), Signature(
        "model",
        {name: _tensor(name, tensor) for name, tensor in fed.items()},
        {name: _tensor(name, outputs[name]) for name in outputs},
    )


def _tensor(name: str, tensor: Any) -> Tensor:
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    return Tensor(name, tensor.name, tensor.dtype.name, shape)
