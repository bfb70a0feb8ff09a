"""SavedModels of the kinds that metadata was written for, each with its metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from saved_models import zip_code_graph

WORDS = ("good", "bad", "film", "the")
v1 = tf.compat.v1


def describe(directory: Path, **content: Any) -> Path:
    """Write a metadata file beside a model."""
    (directory / "explanation_metadata.json").write_text(json.dumps(content), encoding="utf-8")
    return directory


def zip_codes(directory: Path, **codes: Any) -> Path:
    """The graph with a table of zip codes, and the metadata of the field's tutorial."""
    zip_code_graph(directory)
    encoded = {"input_tensor_name": "zip_codes:0", "encoded_tensor_name": "zip_codes_embedding:0"}
    measured = {"input_tensor_name": "x:0", "encoding": "bag_of_features", "index_feature_mapping": ["age", "height"]}
    return describe(
        directory,
        framework="tensorflow",
        inputs={
            "zip_codes": {**encoded, "encoding": "combined_embedding", "modality": "categorical", **codes},
            "measurements": measured,
        },
        outputs={"probability": {"output_tensor_name": "dense/Softmax:0", "index_name_mapping": ["no", "yes"]}},
    )


def celsius(directory: Path, **keys: Any) -> Path:
    """The degrees of the field's first tutorial: one number in, one out."""
    x = keras.Input((1,), name="celsius")
    layer = keras.layers.Dense(1, name="line")
    model = keras.Model(x, layer(x))
    layer.set_weights([np.array([[1.8]], np.float32), np.array([32.0], np.float32)])
    model.export(str(directory), verbose=False)
    return describe(
        directory,
        framework="tensorflow2",
        inputs={"degrees_celsius": {"input_tensor_name": "celsius", "input_baselines": [0], **keys}},
        outputs={"degrees_fahrenheit": {"output_tensor_name": "output_0"}},
    )


def export(directory: Path, model: Any, inputs: dict[str, Any], **output: Any) -> Path:
    """Export a Keras model with metadata by signature keys."""
    model.export(str(directory), verbose=False)
    output = {"output_tensor_name": "output_0", **output}
    return describe(directory, framework="tensorflow2", inputs=inputs, outputs={"y": output})


def flat(directory: Path, build: Callable[[], tuple[dict[str, Any], dict[str, Any]]], key: str | None = None) -> None:
    """Write a TF1-style graph; `build` returns its inputs and outputs. With an empty key, it gets no signature."""
    with tf.Graph().as_default():
        inputs, outputs = build()
        with v1.Session() as session:
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            builder = v1.saved_model.Builder(str(directory))
            signature = v1.saved_model.predict_signature_def(inputs, outputs)
            signatures = {} if key == "" else {key or "serving_default": signature}
            builder.add_meta_graph_and_variables(session, ["serve"], signatures, main_op=v1.tables_initializer())
            builder.save()


def variable(name: str, shape: tuple[int, ...], seed: int) -> Any:
    """Make a variable with seeded values."""
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return v1.get_variable(name, initializer=values, use_resource=True)


def sparse(prefix: str = "", dtype: Any = tf.string) -> tuple[dict[str, Any], Any]:
    """Make the three placeholders of a sparse tensor."""
    parts = {
        f"{prefix}values": v1.placeholder(dtype, [None], name=f"{prefix}values"),
        f"{prefix}indices": v1.placeholder(tf.int64, [None, 2], name=f"{prefix}indices"),
        f"{prefix}shape": v1.placeholder(tf.int64, [2], name=f"{prefix}shape"),
    }
    values, indices, shape = parts.values()
    return parts, tf.SparseTensor(indices, values, shape)


def lookup(values: Any) -> Any:
    """Turn words into numbers."""
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(list(WORDS), tf.range(len(WORDS), dtype=tf.int64)), 0
    )
    return table.lookup(values)


def sparse_words(
    directory: Path,
    combiner: str = "sqrtn",
    weighted: bool = True,
    counted: bool = False,
    key: str | None = None,
    **keys: Any,
) -> Path:
    """Words as a sparse tensor, with weights, combined to one vector; the model may also look at their number."""

    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        parts, words = sparse()
        weights = None
        if weighted:
            more, weights = sparse("weight_", tf.float32)
            parts |= more
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        ids = tf.SparseTensor(words.indices, lookup(words.values), words.dense_shape)
        found = tf.nn.safe_embedding_lookup_sparse(variable("table", (4, 3), 1), ids, weights, combiner=combiner)
        encoded = tf.identity(tf.reshape(found, [-1, 3]), name="encoded")
        hidden = tf.tanh(tf.concat([encoded, x], axis=1) @ variable("w", (5, 6), 2))
        if counted:
            ones = tf.SparseTensor(ids.indices, tf.strings.length(words.values) > 0, ids.dense_shape)
            hidden *= tf.reduce_sum(tf.cast(tf.sparse.to_dense(ones), tf.float32), axis=1, keepdims=True)
        return {**parts, "x": x}, {"logits": tf.identity(hidden @ variable("v", (6, 3), 3), name="logits")}

    flat(directory, build, key)
    own = {"weight_values_name": "weight_values:0", "weight_indices_name": "weight_indices:0"}
    own |= {"weight_dense_shape_name": "weight_shape:0"}
    words = {
        "input_tensor_name": "values:0",
        "indices_tensor_name": "indices:0",
        "dense_shape_tensor_name": "shape:0",
        "encoded_tensor_name": "encoded:0",
        "encoding": "combined_embedding",
        **(own if weighted else {}),
        **keys,
    }
    return describe(
        directory,
        framework="tensorflow",
        inputs={"words": words, "x": {"input_tensor_name": "x:0"}},
        outputs={"y": {"output_tensor_name": "logits:0"}},
    )


def sparse_numbers(directory: Path) -> Path:
    """Numbers as a sparse tensor, without an encoded tensor: what is absent is 0."""

    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        parts, numbers = sparse(dtype=tf.float32)
        hidden = tf.tanh(tf.sparse.sparse_dense_matmul(numbers, variable("w", (4, 3), 1)))
        return parts, {"y": tf.reduce_sum(hidden, axis=1, name="y")}

    flat(directory, build)
    numbers = {
        "input_tensor_name": "values:0",
        "indices_tensor_name": "indices:0",
        "dense_shape_tensor_name": "shape:0",
        "encoding": "bag_of_features_sparse",
        "index_feature_mapping": ["a", "b", "c", "d"],
    }
    return describe(
        directory, framework="tensorflow", inputs={"n": numbers}, outputs={"y": {"output_tensor_name": "y:0"}}
    )


def wide_and_deep(directory: Path) -> Path:
    """One column of words that is encoded twice, as an estimator of two parts does; labels come from the model."""

    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        word = v1.placeholder(tf.string, [None], name="word")
        price = v1.placeholder(tf.float32, [None, 1], name="price")
        ids = lookup(word)
        wide = tf.one_hot(ids, 4, name="wide")
        deep = tf.nn.embedding_lookup(variable("table", (4, 3), 1), ids, name="deep")
        hidden = tf.tanh(tf.concat([tf.identity(deep, name="deep_out"), price], axis=1) @ variable("w", (4, 5), 2))
        wide_part = tf.identity(wide, name="wide_out") @ variable("u", (4, 2), 4)
        logits = tf.add(hidden @ variable("v", (5, 2), 3), wide_part, name="logits")
        classes = tf.tile(tf.constant([["cheap", "dear"]]), [tf.shape(word)[0], 1], name="classes")
        return {"word": word, "price": price}, {"scores": tf.nn.softmax(logits, name="p"), "classes": classes}

    flat(directory, build, "predict")
    word = {"input_tensor_name": "word:0", "group_name": "word"}
    return describe(
        directory,
        framework="tensorflow",
        serving_sigdef_key="predict",
        inputs={
            "word_wide": {
                **word,
                "encoded_tensor_name": "wide_out:0",
                "encoding": "indicator",
                "index_feature_mapping": list(WORDS),
            },
            "word_deep": {**word, "encoded_tensor_name": "deep_out:0", "encoding": "combined_embedding"},
            "price": {"input_tensor_name": "price:0"},
        },
        outputs={"y": {"output_tensor_name": "p:0", "index_name_mapping_key": "classes"}},
    )


def pixels(directory: Path) -> Path:
    """Bytes in, decoded inside; the metadata names the decoded tensor as the input."""

    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        raw = v1.placeholder(tf.string, [None], name="bytes")
        decoded = tf.cast(tf.io.decode_raw(raw, tf.uint8, fixed_length=4), tf.float32) / 255.0
        image = tf.reshape(decoded, [-1, 2, 2, 1], name="input_pixels")
        scores = tf.tanh(tf.reshape(image, [-1, 4]) @ variable("w", (4, 3), 1))
        return {"bytes": raw}, {"scores": tf.identity(scores, name="scores")}

    flat(directory, build)
    image = {"input_tensor_name": "input_pixels:0", "modality": "image", "input_baselines": [0, 1]}
    return describe(
        directory,
        framework="tensorflow",
        inputs={"image": {**image, "visualization": {"type": "Pixels"}}},
        outputs={"scores": {"output_tensor_name": "scores:0"}},
    )


def examples(directory: Path, **keys: Any) -> Path:
    """Serialised examples in, parsed inside, as estimators were exported: the metadata name what was parsed."""

    def build() -> tuple[dict[str, Any], dict[str, Any]]:
        raw = v1.placeholder(tf.string, [None], name="examples")
        kinds = {"words": tf.io.VarLenFeature(tf.string), "x": tf.io.FixedLenFeature([2], tf.float32)}
        parsed = tf.io.parse_example(raw, kinds)
        words = parsed["words"]
        values = tf.identity(words.values, name="words_values")
        indices = tf.identity(words.indices, name="words_indices")
        shape = tf.identity(words.dense_shape, name="words_shape")
        x = tf.identity(parsed["x"], name="parsed_x")
        ids = tf.SparseTensor(indices, lookup(values), shape)
        found = tf.nn.safe_embedding_lookup_sparse(variable("table", (4, 3), 1), ids, combiner="mean")
        encoded = tf.identity(tf.reshape(found, [-1, 3]), name="encoded")
        hidden = tf.tanh(tf.concat([encoded, x], axis=1) @ variable("w", (5, 6), 2))
        return {"examples": raw}, {"logits": tf.identity(hidden @ variable("v", (6, 3), 3), name="logits")}

    flat(directory, build)
    words = {
        "input_tensor_name": "words_values:0",
        "indices_tensor_name": "words_indices:0",
        "dense_shape_tensor_name": "words_shape:0",
        "encoded_tensor_name": "encoded:0",
        "encoding": "combined_embedding",
        **keys,
    }
    return describe(
        directory,
        framework="tensorflow",
        inputs={"words": words, "x": {"input_tensor_name": "parsed_x:0"}},
        outputs={"y": {"output_tensor_name": "logits:0"}},
    )


def serialised(words: list[str], x: list[float]) -> bytes:
    """Return one example as bytes."""
    texts = tf.train.Feature(bytes_list=tf.train.BytesList(value=[word.encode() for word in words]))
    numbers = tf.train.Feature(float_list=tf.train.FloatList(value=x))
    features = tf.train.Features(feature={"words": texts, "x": numbers})
    return bytes(tf.train.Example(features=features).SerializeToString())


class Preprocessed(tf.Module):
    """A model with the two signatures by which TF2 models were explained behind their preprocessing."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def prepare(self, text: Any) -> dict[str, Any]:
        """Turn "1;2" into two numbers, and keep the number of rows."""
        parts = tf.strings.to_number(tf.strings.split(text, ";").to_tensor(shape=[None, 2]))
        return {"numbers": parts, "ones": tf.ones([tf.shape(text)[0]], tf.int32)}

    @tf.function(
        input_signature=[tf.TensorSpec([None, 2], tf.float32, "numbers"), tf.TensorSpec([None], tf.int32, "ones")]
    )
    def explained(self, numbers: Any, ones: Any) -> dict[str, Any]:
        """Score the numbers."""
        return {"scores": tf.tanh(numbers @ self.w) * tf.cast(ones, tf.float32)[:, None]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def serve(self, text: Any) -> dict[str, Any]:
        """Do both."""
        found = self.prepare(text)
        return self.explained(found["numbers"], found["ones"])


def preprocessed(directory: Path) -> Path:
    """Write that model; the metadata speaks of the explained signature."""
    module = Preprocessed()
    signatures = {
        "serving_default": module.serve,
        "xai_preprocess": module.prepare,
        "xai_model": module.explained,
    }
    tf.saved_model.save(module, str(directory), signatures=signatures)
    return describe(
        directory,
        framework="tensorflow2",
        inputs={
            "pair": {
                "input_tensor_name": "numbers",
                "encoding": "bag_of_features",
                "index_feature_mapping": ["left", "right"],
            }
        },
        outputs={"y": {"output_tensor_name": "scores"}},
    )
