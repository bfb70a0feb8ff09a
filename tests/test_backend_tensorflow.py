"""The TensorFlow backend: whose models it takes and how it calls them, one VJP eager or in a graph, no traces left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras_nets import X, grads, net

import pyig
import pyig.backends.callable
from pyig.backends import choose
from pyig.backends.tensorflow import TensorFlowBackend
from pyig.errors import InputTypeError, ModelError
from pyig.heads import CustomHead, TargetHead


def two_leaves() -> Any:
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    return keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([a, b])))


def named_leaves() -> Any:
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    return keras.Model({"a": a, "b": b}, layers.Dense(2)(layers.Concatenate()([a, b])))


class TwoArguments(keras.Model):
    def call(self, a: Any, b: Any, training: bool = True) -> Any:
        return a * 2.0 + tf.reduce_sum(b, axis=1, keepdims=True) + (100.0 if training else 0.0)


class Scaled(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable(tf.ones(3) * 3)

    @tf.function
    def __call__(self, x: Any, training: bool = True) -> Any:
        return x * self.scale + (100.0 if training else 0.0)


# --- whose model it is ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "model",
    [
        net(),
        net().call,
        layers.Dense(2),
        tf.function(lambda x: x),
        tf.function(lambda x: x).get_concrete_function(tf.TensorSpec([None, 3])),
        Scaled(),
    ],
    ids=["keras", "method", "layer", "function", "concrete", "module"],
)
def test_it_owns_what_tensorflow_made(model: Any) -> None:
    assert TensorFlowBackend.owns(model, [X])
    assert choose(model, [X]).name == "tensorflow"


def test_it_owns_a_plain_function_by_its_leaves_alone() -> None:
    assert TensorFlowBackend.owns(lambda x: x, [tf.constant(X)])
    assert TensorFlowBackend.owns(lambda x: x, [X, tf.Variable(X)])
    assert not TensorFlowBackend.owns(lambda x: x, [X])
    assert not TensorFlowBackend.owns("no function", [tf.constant(X)])
    assert pyig.backends.callable.CallableBackend  # imported, it must not hide the builtin of its name
    with pytest.raises(InputTypeError, match="cannot tell which framework"):
        choose(lambda x: x, [X])


# --- how it is called ----------------------------------------------------------------------------------------------
B = np.ones((6, 2), np.float32)
CALLS: dict[str, tuple[Callable[[], Any], Any, Callable[[Any], Any]]] = {
    "keras list": (two_leaves, [X, B], lambda m: m([X, B])),
    "keras dict": (named_leaves, {"a": X, "b": B}, lambda m: m({"a": X, "b": B})),
    "keras list by dict": (two_leaves, {"a": X, "b": B}, lambda m: m([X, B])),
    "keras arguments": (TwoArguments, [X, B], lambda m: m(X, B, training=False)),
    "keras keywords": (TwoArguments, {"a": X, "b": B}, lambda m: m(X, B, training=False)),
    "module": (Scaled, X, lambda m: m(X, training=False)),
    "positions": (lambda: lambda a, b: a[:, :2] * b, (X, B), lambda m: m(X, B)),
    "one argument": (lambda: lambda pair: pair[0][:, :2] * pair[1], [X, B], lambda m: m([X, B])),
    "keywords": (lambda: tf.function(lambda a, b: a[:, :2] * b), {"b": B, "a": X}, lambda m: m(X, B)),
    "one dict": (lambda: lambda d: d["a"][:, :2] * d["b"], {"b": B, "a": X}, lambda m: m({"b": B, "a": X})),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_structures_are_passed_as_the_model_takes_them(name: str) -> None:
    make, x, wanted = CALLS[name]
    model = make()
    backend = TensorFlowBackend(model)
    found = backend.call(pyig.tree.tree_map(backend.asarray, x), {})
    np.testing.assert_array_equal(found, wanted(model))


def test_a_restored_signature_is_called_by_its_only_name(tmp_path: Path) -> None:
    model = net()
    model.export(tmp_path / "net", verbose=False)
    restored = tf.saved_model.load(tmp_path / "net")
    signature = restored.signatures["serving_default"]
    explained = pyig.IntegratedGradients(signature).explain(X.astype(np.float64), target=1, n_steps=50)
    np.testing.assert_allclose(
        explained.attributions,
        pyig.IntegratedGradients(model).explain(X, target=1, n_steps=50).attributions,
        rtol=0,
        atol=1e-6,
    )
    assert explained.attributions.dtype == np.float32  # as the signature declares


def test_models_are_called_in_inference_mode_unless_told_otherwise() -> None:
    model = net(layers.Dropout(0.9))
    backend = TensorFlowBackend(model)
    x = backend.asarray(X)
    np.testing.assert_array_equal(backend.call(x, {}), model(x, training=False))
    assert np.abs(backend.call(x, {"training": True}) - model(x, training=False)).max() > 0.1


# --- the gradient --------------------------------------------------------------------------------------------------
def test_a_gather_of_a_point_gives_a_dense_gradient() -> None:
    backend = TensorFlowBackend(lambda x: tf.gather(x, [0, 0, 2]))
    _, found = grads(backend, X[:3], target=1)
    np.testing.assert_array_equal(found, [[0, 2, 0], [0, 0, 0], [0, 1, 0]])


def test_an_unused_point_has_no_gradient_and_a_model_without_any_is_refused() -> None:
    index = [tf.zeros(6, tf.int64)]
    a, b = tf.constant(X), tf.constant(B)

    def forward(points: Any, fixed: Any) -> Any:
        return points[0] * 2.0

    backend = TensorFlowBackend(forward)
    for _ in range(3):
        _, found = backend.value_and_grad(forward, [a, b], [], TargetHead(), index)
        assert found[1] is None
        np.testing.assert_array_equal(found[0][:, 0], 2.0)
    for broken in (lambda x: tf.round(x), lambda x: tf.argmax(x, axis=1), lambda x: tf.constant(x.numpy())):
        for _ in range(2):
            with pytest.raises(
                ModelError, match=r"depend on the input .* got outputs of shape \(6,.* without a gradient"
            ):
                grads(TensorFlowBackend(broken), X)


def test_a_custom_head_differentiates_the_users_function() -> None:
    backend = TensorFlowBackend(None)
    outputs = tf.constant(X)
    values, cotangent = CustomHead(lambda o: o[:, 0] * o[:, 1])(backend, outputs, [])
    np.testing.assert_array_equal(values, X[:, 0] * X[:, 1])
    np.testing.assert_array_equal(cotangent, np.stack([X[:, 1], X[:, 0], 0 * X[:, 0]], axis=1))
    with pytest.raises(ModelError, match=r"one number per row, shape \(6,\); got \(6, 3\)"):
        CustomHead(lambda o: o * 2.0)(backend, outputs, [])
    with pytest.raises(ModelError, match="got float"):
        CustomHead(lambda o: 2.0)(backend, outputs, [])
    with pytest.raises(ModelError, match="target function that depends"):
        CustomHead(lambda o: tf.round(o[:, 0]))(backend, outputs, [])


# --- nothing left behind -------------------------------------------------------------------------------------------
class Writer(keras.Model):
    """Counts its calls in a variable; its statistics and its dropout move when it trains."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)
        self.parts = [layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)]

    def call(self, x: Any, training: bool = False) -> Any:
        self.calls.assign_add(1.0)
        for part in self.parts:
            x = part(x, training=training) if isinstance(part, (layers.Dropout, layers.BatchNormalization)) else part(x)
        if self.fails:
            raise RuntimeError("on purpose")
        return x


@pytest.mark.parametrize("fails", [False, True])
def test_variables_flags_and_outputs_are_as_they_were(fails: bool) -> None:
    model = Writer()
    model.compile(optimizer="adam", loss="mse")
    model.fit(X, np.zeros((6, 2)), verbose=0)
    model.parts[0].trainable = False
    model.fails = fails
    state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    flags = [layer.trainable for layer in model.parts]
    ig = pyig.IntegratedGradients(model)
    for training in (False, True):
        with pytest.raises(RuntimeError, match="on purpose") if fails else nullcontext():
            ig.explain(X, target=0, forward_kwargs={"training": training})
        for before, after in zip(state, (*model.variables, *model.optimizer.variables), strict=True):
            np.testing.assert_array_equal(before, after.numpy())
    assert [layer.trainable for layer in model.parts] == flags
    model.fails = False
    model(X, training=True)  # the opposite: a plain call in training mode does write
    assert sum((b != a.numpy()).any() for b, a in zip(state, model.variables, strict=False)) >= 4


def test_the_buffer_of_the_points_may_be_written_again() -> None:
    backend = TensorFlowBackend(None)
    raw = np.zeros(16 * 64 + 64, np.uint8)
    start = -raw.ctypes.data % 64  # aligned as TensorFlow wants it, so that it could share the memory
    buffer = raw[start : start + 16 * 64].view(np.float32).reshape(16, 16)
    buffer[:] = 1
    kept = backend.from_numpy(buffer, tf.zeros(1))
    buffer[:] = 2
    np.testing.assert_array_equal(kept, 1)


# --- tensors -------------------------------------------------------------------------------------------------------
def test_numpy_floats_take_the_models_dtype_and_all_else_stays() -> None:
    backend = TensorFlowBackend(net())
    assert backend.asarray(X.astype(np.float64)).dtype == tf.float32
    assert backend.asarray(tf.constant(X, tf.float64)).dtype == tf.float64
    for array in (np.arange(3), np.arange(3, dtype=np.int32), np.array([True]), np.array(["a", "b"])):
        kept = backend.asarray(array)
        assert kept.dtype == (tf.string if array.dtype.kind == "U" else tf.as_dtype(array.dtype))
        assert not backend.is_floating(kept)
        assert not backend.on_host(kept)
    assert TensorFlowBackend(net(dtype="float64")).asarray(X).dtype == tf.float64
    assert TensorFlowBackend(net(dtype="mixed_bfloat16")).asarray(X).dtype == tf.float32
    assert TensorFlowBackend(lambda x: x).asarray(X.astype(np.float64)).dtype == tf.float64
    declared = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None], tf.float16)])
    assert TensorFlowBackend(declared).asarray(X).dtype == tf.float16


def test_tensors_and_numpy() -> None:
    backend = TensorFlowBackend(None)
    tensor = tf.constant(X)
    assert np.shares_memory(backend.to_numpy(tensor), backend.to_numpy(tensor))
    assert backend.to_numpy(tf.cast(tensor, tf.bfloat16)).dtype == np.float32
    assert backend.on_host(tensor)
    assert not backend.on_host(tf.cast(tensor, tf.float16))
    assert backend.device_label(tensor) == "cpu"
    np.testing.assert_array_equal(backend.take(tensor, np.array([2, 0])), X[[2, 0]])
    np.testing.assert_array_equal(backend.take(tf.constant(["a", "b"]), np.array([1])), np.array([b"b"], dtype=object))
    total = backend.scatter_add(backend.wide_zeros((2, 3), tensor), tf.constant([1, 1, 0, 0, 0, 0]), tensor)
    np.testing.assert_allclose(total, [X[2:].sum(0, dtype=np.float64), X[:2].sum(0, dtype=np.float64)], rtol=1e-12)
    assert backend.row_sum(tensor).dtype == tf.float64


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 3), (6, 2, 2), ()])
def test_outputs_are_flattened_and_back(shape: tuple[int, ...]) -> None:
    backend = TensorFlowBackend(None)
    outputs = tf.reshape(tf.range(int(np.prod(shape, dtype=int)), dtype=tf.float32), shape)
    flat = backend.flat(outputs)
    assert flat.shape == (6 if shape else 1, int(np.prod(shape[1:], dtype=int)))
    np.testing.assert_array_equal(backend.reshape_like(flat, outputs), outputs)


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: net(activation="softmax"), True),
        (lambda: net(activation="sigmoid"), True),
        (lambda: net(), False),
        (lambda: keras.Sequential([layers.Input((3,)), net(), layers.Softmax()]), True),
        (lambda: keras.Sequential([layers.Input((3,)), net(activation="softmax")]), True),
        (lambda: net(layers.Dropout(0.1)), False),
        (lambda: keras.Sequential([layers.Input((3,)), layers.Dense(2), layers.LayerNormalization()]), None),
        (Writer, None),
        (Scaled, None),
    ],
)
def test_probabilities_are_seen_at_the_end_of_the_graph(make: Callable[[], Any], wanted: bool | None) -> None:
    assert TensorFlowBackend(make()).gives_probabilities() is wanted


def test_out_of_memory_is_recognised() -> None:
    backend = TensorFlowBackend(None)
    assert backend.is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "OOM"))
    assert backend.is_out_of_memory(tf.errors.InternalError(None, None, "CUDA_ERROR: Out of memory"))
    assert not backend.is_out_of_memory(tf.errors.InternalError(None, None, "other"))
    assert not backend.is_out_of_memory(ValueError("out of memory"))
