"""SavedModels that are out of the ordinary: each builder writes one directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

OUTPUTS: dict[str, Callable[[Any], Any]] = {  # from a hidden layer (N, 6) to an output shape
    "(N,)": lambda h: tf.math.tanh(h[:, 0] - h[:, 1]),
    "(N, 1)": lambda h: tf.nn.sigmoid(h[:, :1] - h[:, 1:2]),
    "(N, C)": lambda h: tf.nn.softmax(h[:, :4]),
    "(N, T, C)": lambda h: tf.nn.softmax(tf.reshape(h, [-1, 2, 3])),
    "(N, 6, 1)": lambda h: tf.math.tanh(h[:, :, None]),
}


class Net(tf.Module):
    """Three numbers and two ids, a hidden layer, and one of the output shapes; nested functions are inlined."""

    def __init__(self, shape: str = "(N, C)", width: int = 3, dtype: Any = tf.float32) -> None:
        rng = np.random.default_rng(0)
        self.table = tf.Variable(rng.normal(size=(5, 2)), dtype=dtype, name="table")
        self.kernel = tf.Variable(rng.normal(size=(width + 4, 6)), dtype=dtype, name="kernel")
        self.calls = tf.Variable(0, name="calls")
        self._shape, self._width, self._dtype = shape, width, dtype

    @tf.function
    def embed(self, ids: Any) -> Any:
        """Look up; a function of its own, so that its tensors lie two calls deep."""
        with tf.name_scope("emb"):
            return tf.gather(self.table, ids)

    @tf.function
    def hidden(self, x: Any) -> Any:
        """The layer in the middle."""
        with tf.name_scope("mid"):
            return tf.math.tanh(x @ self.kernel, name="Tanh")

    def __call__(self, x: Any, ids: Any) -> dict[str, Any]:
        """Return the output."""
        joined = tf.concat([x, tf.reshape(self.embed(ids), [-1, 4])], axis=1)
        return {"y": OUTPUTS[self._shape](self.hidden(joined))}

    def save(self, directory: Path, **more: Any) -> None:
        """Write with one signature, and others by name."""
        specs = [tf.TensorSpec([None, self._width], self._dtype, "x"), tf.TensorSpec([None, 2], tf.int64, "ids")]
        serve = tf.function(self.__call__, input_signature=specs)
        tf.saved_model.save(self, str(directory), signatures={"serving_default": serve, **more})


ROWS = {"x": np.array([[0.5, -1.0, 0.25], [1.5, 0.5, -0.75]], np.float32), "ids": np.array([[1, 4], [2, 2]])}


def save_function(directory: Path, function: Callable[..., Any], module: Any = None, **specs: Any) -> None:
    """Write one function of named inputs; `specs` are (shape, dtype)."""
    named = [tf.TensorSpec(shape, dtype, name) for name, (shape, dtype) in specs.items()]
    serve = tf.function(function, input_signature=named)
    tf.saved_model.save(module or tf.Module(), str(directory), signatures=serve)


def save_graph(
    directory: Path, build: Callable[[], tuple[dict[str, Any], dict[str, Any]]], signed: bool = True
) -> None:
    """Write a TF1-style graph; `build` returns its inputs and outputs."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs = build()
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(directory))
        signature = v1.saved_model.predict_signature_def(inputs, outputs)
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature} if signed else {})
        builder.save()


def slopes(cut: Any, rows: dict[str, Any], column: int = 0) -> tuple[Any, dict[str, Any]]:
    """Return the encoded tensors, and the gradient of one output column with respect to them."""
    values = cut.encode(rows)
    with tf.GradientTape() as tape:
        tape.watch(values)
        output = cut.tail(values, cut.still(rows))
        chosen = output[:, column]
    return values, tape.gradient(chosen, values)
