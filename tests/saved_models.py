"""Models to save, and the same models as functions of what stands behind their encodings.

Each `Case` has rows, and `direct`: the output and its gradient with respect to the encoded tensors, by the layers of
the live model, to compare with what the file gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

ZIPS = ("94043", "94105", "10001", "60601")


@dataclass(frozen=True)
class Case:
    """A model that can be saved.

    Attributes
    ----------
    save : callable
        ``save(directory)`` writes the SavedModel.
    rows : dict of array
        By input name.
    encoded : dict of str
        The tensor that stands for an input, by short name.
    direct : callable
        ``direct(column)`` gives the encoded tensors, the output, and the gradient of its column, by live layers.
    """

    save: Callable[[Path], Any]
    rows: dict[str, Any]
    encoded: dict[str, str]
    direct: Callable[[int], tuple[dict[str, Any], Any, dict[str, Any]]]
    model: Any = None


def zip_code_graph(directory: Path, resource: bool = True, dtype: str = "float32", seed: int = 0) -> dict[str, Any]:
    """Write the TF1-style graph: zip codes by a lookup table and a mean of embeddings, beside two numbers.

    Returns its weights: ``embedding`` (4, 3), ``kernel`` (5, 2) and ``bias`` (2,).
    """
    rng = np.random.default_rng(seed)
    weights = {
        "embedding": rng.normal(size=(len(ZIPS), 3)).astype(dtype),
        "kernel": rng.normal(size=(5, 2)).astype(dtype),
        "bias": rng.normal(size=2).astype(dtype),
    }
    v1 = tf.compat.v1
    with tf.Graph().as_default():

        def variable(name: str) -> Any:
            return v1.get_variable(name, initializer=weights[name.rpartition("/")[2]], use_resource=resource)

        codes = v1.placeholder(tf.string, [None, None], name="zip_codes")
        x = v1.placeholder(dtype, [None, 2], name="x")
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(list(ZIPS), tf.range(len(ZIPS), dtype=tf.int64)), -1
        )
        ids = tf.identity(table.lookup(codes), name="zip_ids")
        there = tf.where(ids >= 0)
        sparse = tf.SparseTensor(there, tf.gather_nd(ids, there), tf.shape(ids, tf.int64))
        found = tf.nn.safe_embedding_lookup_sparse(variable("embedding"), sparse, combiner="mean")
        encoded = tf.reshape(found, [-1, 3], name="zip_codes_embedding")
        joined = tf.concat([encoded, x], axis=1)
        with tf.name_scope("dense"):
            hidden = tf.math.tanh(joined, name="Tanh")
            logits = tf.add(tf.matmul(hidden, variable("dense/kernel")), variable("dense/bias"), name="Logits")
            output = tf.nn.softmax(logits, name="Softmax")
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            builder = v1.saved_model.Builder(str(directory))

            def signature(**outputs: Any) -> Any:
                return v1.saved_model.predict_signature_def({"zip_codes": codes, "x": x}, outputs)

            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                {
                    "serving_default": signature(probabilities=output),
                    "logits": signature(logits=logits),
                    "both": signature(probabilities=output, logits=logits),
                },
                main_op=v1.tables_initializer(),
            )
            builder.save()
    return weights


def zip_codes(resource: bool = True, dtype: str = "float32") -> Case:
    """The zip-code graph; one row has two codes, one has an unknown one."""
    rows = {
        "zip_codes": np.array([["94043", "10001"], ["94105", ""], ["60601", "00000"]]),
        "x": np.array([[0.3, -1.0], [1.5, 0.2], [-0.4, 0.7]]),
    }
    weights: dict[str, Any] = {}

    def save(directory: Path) -> None:
        weights.update(zip_code_graph(directory, resource, dtype))

    def direct(column: int) -> tuple[dict[str, Any], Any, dict[str, Any]]:
        known = [[weights["embedding"][ZIPS.index(code)] for code in row if code in ZIPS] for row in rows["zip_codes"]]
        encoded = tf.constant(np.array([np.mean(row, axis=0) for row in known], dtype))
        x = tf.constant(rows["x"].astype(dtype))

        def output(zip_codes: Any, x: Any) -> Any:
            hidden = tf.math.tanh(tf.concat([zip_codes, x], axis=1))
            return tf.nn.softmax(hidden @ weights["kernel"] + weights["bias"])

        return slope(output, {"zip_codes": encoded, "x": x}, column)

    return Case(save, rows, {"zip_codes": "zip_codes_embedding"}, direct)


def embedding() -> Case:
    """Token ids, one embedding, a flat head without activation."""
    keras.utils.set_random_seed(3)
    ids = keras.Input((4,), dtype="int32", name="ids")
    table = layers.Embedding(12, 3, name="emb")
    head = layers.Dense(2, activation="tanh", name="head")
    flat = layers.Flatten(name="flat")
    model = keras.Model(ids, head(flat(table(ids))))
    rows = {"ids": np.array([[1, 2, 3, 0], [5, 5, 11, 7]])}
    return keras_case(model, rows, {"ids": "emb"}, lambda e: head(flat(e["ids"])), {"ids": table})


def words() -> Case:
    """Text by StringLookup, Embedding and LSTM, whose loop is a function of its own."""
    keras.utils.set_random_seed(4)
    text = keras.Input((5,), dtype="string", name="words")
    lookup = layers.StringLookup(vocabulary=["good", "bad", "film", "the"], name="lookup")
    table = layers.Embedding(6, 4, name="emb")
    loop, head = layers.LSTM(3, name="lstm"), layers.Dense(2, activation="softmax", name="head")
    model = keras.Model(text, head(loop(table(lookup(text)))))
    rows = {"words": np.array([["the", "film", "good", "", ""], ["a", "bad", "bad", "film", "the"]])}
    return keras_case(
        model, rows, {"words": "emb"}, lambda e: head(loop(e["words"])), {"words": lambda x: table(lookup(x))}
    )


def silu(custom_gradients: bool = True) -> Case:
    """BatchNormalization with moved statistics, then silu, whose gradient Keras writes by hand."""
    keras.utils.set_random_seed(5)
    x = keras.Input((4,), name="x")
    norm = layers.BatchNormalization(name="norm")
    model = keras.Model(
        x,
        layers.Dense(3, name="head")(layers.Activation("silu", name="act")(norm(layers.Dense(6, name="hidden")(x)))),
    )
    norm.moving_mean.assign(np.linspace(-0.5, 0.5, 6))
    norm.moving_variance.assign(np.linspace(0.5, 2.0, 6))
    rows = {"x": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)}

    def save(directory: Path) -> None:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=custom_gradients)
        serve = tf.function(lambda x: {"output_0": model(x)}, input_signature=[tf.TensorSpec([None, 4], name="x")])
        tf.saved_model.save(model, str(directory), signatures=serve, options=options)

    case = keras_case(model, rows, {}, lambda e: model(e["x"]), {"x": tf.constant})
    return Case(save, rows, {}, case.direct, model=model)


def mixed() -> Case:
    """Token ids with a mask that matters, beside numbers; one output between 0 and 1."""
    keras.utils.set_random_seed(6)
    ids = keras.Input((5,), dtype="int64", name="ids")
    numbers = keras.Input((2,), name="numbers")
    mask = keras.Input((5,), dtype="bool", name="mask")
    table, pool = layers.Embedding(10, 4, name="emb"), layers.GlobalAveragePooling1D(name="pool")
    hidden, head = layers.Dense(6, activation="tanh", name="hidden"), layers.Dense(1, activation="sigmoid", name="head")
    join = layers.Concatenate(name="join")
    model = keras.Model([ids, numbers, mask], head(hidden(join([pool(table(ids), mask=mask), numbers]))))
    rows = {
        "ids": np.array([[1, 2, 3, 4, 5], [9, 8, 7, 6, 0]]),
        "numbers": np.array([[0.5, -1.0], [2.0, 0.1]]),
        "mask": np.array([[True, True, False, True, False], [True, False, False, False, False]]),
    }

    def rest(e: dict[str, Any]) -> Any:
        return head(hidden(join([pool(e["ids"], mask=tf.constant(rows["mask"])), e["numbers"]])))

    encoders = {"ids": table, "numbers": lambda x: tf.cast(x, tf.float32)}
    return keras_case(model, rows, {"ids": "emb"}, rest, encoders)


def keras_case(
    model: Any,
    rows: dict[str, Any],
    encoded: dict[str, str],
    rest: Callable[[dict[str, Any]], Any],
    encoders: dict[str, Callable[[Any], Any]],
) -> Case:
    """Make a case of a Keras model and its layers in front of, and behind, the encodings."""

    def direct(column: int) -> tuple[dict[str, Any], Any, dict[str, Any]]:
        values = {name: tf.convert_to_tensor(encode(tf.constant(rows[name]))) for name, encode in encoders.items()}
        return slope(lambda **e: rest(e), values, column)

    def save(directory: Path) -> None:
        model.export(str(directory), verbose=False)

    return Case(save, rows, encoded, direct, model=model)


def slope(
    function: Callable[..., Any], values: dict[str, Any], column: int
) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Return the values, the output, and the gradient of one of its columns."""
    with tf.GradientTape() as tape:
        tape.watch(values)
        output = function(**values)
        chosen = output[:, column]
    return values, output.numpy(), {name: grad.numpy() for name, grad in tape.gradient(chosen, values).items()}


CASES: dict[str, Callable[[], Case]] = {
    "embedding": embedding,
    "words": words,
    "silu": silu,
    "silu without custom gradients": lambda: silu(custom_gradients=False),
    "zip codes": zip_codes,
    "zip codes, ref variables": lambda: zip_codes(resource=False),
    "zip codes, float64": lambda: zip_codes(dtype="float64"),
    "mixed": mixed,
}
