"""Keras and TensorFlow models explained end to end: the same numbers as torch and numpy, wherever the model runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import zoo
from keras import layers

import pyig

RNG = np.random.default_rng(3)
X = RNG.normal(size=(6, 5))
START = RNG.normal(size=(1, 5))
W, B1, V, B2 = RNG.normal(size=(5, 8)), RNG.normal(size=8), RNG.normal(size=(8, 3)), RNG.normal(size=3)


def keras_net(dtype: str = "float32", kind: Any = keras) -> Any:
    model = kind.Sequential(
        [
            kind.layers.Input((5,), dtype=dtype),
            kind.layers.Dense(8, activation="tanh", dtype=dtype),
            kind.layers.Dense(3, dtype=dtype),
        ]
    )
    model.set_weights([W, B1, V, B2])
    return model


def torch_net() -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (W.T, B1, V.T, B2), strict=True):
            parameter.copy_(torch.from_numpy(value))
    return model


def python(code: str, **env: str) -> Any:
    """Run code in a Python of its own and return the JSON that it prints last; its failure is the test's failure."""
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", textwrap.dedent(code)],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("how", [{"n_steps": 50}, {"method": "adaptive"}])
@pytest.mark.parametrize("value", ["output", "probability", "log_odds"])
def test_keras_and_torch_agree(value: str, how: dict[str, Any]) -> None:
    x = X.astype(np.float32)
    options: dict[str, Any] = {"target": 1, "baselines": START, "value": value, "output_kind": "logits", **how}
    ours = pyig.IntegratedGradients(keras_net()).explain(x, **options)
    theirs = pyig.IntegratedGradients(torch_net()).explain(x, **options)
    np.testing.assert_allclose(ours.attributions, theirs.attributions, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.values, theirs.values, rtol=0, atol=1e-6)
    assert ours.attributions.dtype == np.float32
    assert (ours.meta["backend"], theirs.meta["backend"]) == ("tensorflow", "torch")


@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
def test_float64_is_exact_to_rounding(batch_size: Any) -> None:
    target = np.array([0, 1, 2, 2, 1, 0])
    explained = pyig.IntegratedGradients(keras_net("float64")).explain(
        X, START, target, method="gausslegendre", n_steps=200, batch_size=batch_size
    )
    exact = zoo.ridges(W, B1, V.T[target], "tanh", X, START)
    np.testing.assert_allclose(explained.attributions, exact, rtol=0, atol=1e-12)
    assert explained.attributions.dtype == np.float64


def multi(kind: str) -> tuple[Any, Any]:
    """Return F = sum of a * b + 3 c, as a model that takes its inputs as a list, dict, or otherwise, and x."""
    a, b, c = (keras.Input((2,), name=name) for name in "abc")
    f = keras.ops.sum(a * b + 3.0 * c, axis=1)
    one, two, three = (RNG.normal(size=(4, 2)).astype(np.float32) for _ in range(3))

    def function(a: Any, b: Any, c: Any) -> Any:
        return tf.reduce_sum(a * b + 3.0 * c, axis=1)

    class Subclass(keras.Model):
        def call(self, inputs: Any) -> Any:
            return function(**inputs)

    named = {"a": one, "b": two, "c": three}
    return {
        "list": (keras.Model([a, b, c], f), [one, two, three]),
        "dict": (keras.Model({"a": a, "b": b, "c": c}, f), named),
        "subclass": (Subclass(), named),
        "function": (tf.function(function), named),
        "tensors": (function, tuple(map(tf.constant, (one, two, three)))),
    }[kind]


@pytest.mark.parametrize("kind", ["list", "dict", "subclass", "function", "tensors"])
def test_several_inputs_come_back_in_their_structure(kind: str) -> None:
    model, x = multi(kind)
    for _ in range(3):
        explained = pyig.IntegratedGradients(model).explain(x, n_steps=3)
    a, b, c = (np.asarray(leaf) for leaf in (x.values() if isinstance(x, dict) else x))
    found = explained.attributions
    assert type(found) is type(x)
    parts = [found[key] for key in "abc"] if isinstance(found, dict) else list(found)
    for part, wanted in zip(parts, (a * b / 2, a * b / 2, 3 * c), strict=True):
        np.testing.assert_allclose(part, wanted, rtol=0, atol=1e-5)


def test_integers_and_strings_are_held_fixed() -> None:
    table = tf.constant([[1.0, 2.0], [3.0, 4.0]])

    def model(x: Any, row: Any, word: Any) -> Any:
        length = tf.cast(tf.strings.length(word), x.dtype)
        return tf.reduce_sum(x * tf.gather(table, row), axis=1) * length

    x = {"x": tf.constant(X[:3, :2], tf.float32), "row": np.array([0, 1, 1]), "word": np.array(["a", "bbb", "cc"])}
    for _ in range(2):
        found = pyig.IntegratedGradients(model, backend="tensorflow").attribute(x, n_steps=2)
        wanted = X[:3, :2] * table.numpy()[[0, 1, 1]] * np.array([[1], [3], [2]])
        np.testing.assert_allclose(found["x"], wanted, rtol=0, atol=1e-5)


def test_running_out_of_memory_halves_the_batch() -> None:
    rows: list[int] = []

    def model(x: Any) -> Any:
        if x.shape[0] > 5:  # None > 5 cannot be traced, so this stays eager
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
        rows.append(x.shape[0])
        return tf.reduce_sum(tf.tanh(x) * x, axis=1)

    x = tf.constant(X, tf.float64)
    explained = pyig.IntegratedGradients(model).explain(x, n_steps=8)
    wanted = pyig.IntegratedGradients(lambda x: tf.reduce_sum(tf.tanh(x) * x, axis=1)).explain(x, n_steps=8)
    np.testing.assert_allclose(explained.attributions, wanted.attributions, rtol=0, atol=1e-12)
    assert max(rows) <= 5

    def hopeless(x: Any) -> Any:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")

    with pytest.raises(pyig.errors.ModelError, match="single row"):
        pyig.IntegratedGradients(hopeless).explain(x)


def test_inputs_of_the_wrong_kind_are_named_with_their_cure() -> None:
    weights, table = tf.Variable(tf.ones((5, 2), tf.float64)), tf.ones((4, 3))
    x = tf.constant(X, tf.float32)
    with pytest.raises(pyig.errors.ModelError, match=r"dtype of the model's weights.*TensorFlow said"):
        pyig.IntegratedGradients(lambda x: x @ weights).explain(x, target=0)
    with pytest.raises(pyig.errors.ModelError, match=r"token ids as whole numbers.*or behind layer="):
        pyig.IntegratedGradients(lambda x: tf.gather(table, x)).explain(x, target=0)
    embedding = keras.Sequential([layers.Input((5,)), layers.Embedding(9, 2), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(pyig.errors.ModelError, match=r"without a gradient.*or behind layer="):
        pyig.IntegratedGradients(lambda x: embedding(x)).explain(tf.constant(np.abs(X)), target=0)
    ids = pyig.IntegratedGradients(embedding).explain(np.abs(X), target=0)  # of a model itself the layers are known
    assert any("looked up in an embedding" in note for note in ids.meta["notes"])


def test_attribute_gives_tensors_in_the_dtype_of_the_input() -> None:
    found, delta = pyig.IntegratedGradients(keras_net()).attribute(
        tf.constant(X, tf.float32), target=2, n_steps=50, return_convergence_delta=True
    )
    assert isinstance(found, tf.Tensor)
    assert found.dtype == tf.float32
    assert np.abs(delta).max() < 1e-5


def test_half_precision_goes_through_device_rows() -> None:
    x = tf.constant(X, tf.float16)
    half = pyig.IntegratedGradients(lambda x: tf.reduce_sum(x * x, axis=1)).explain(x, n_steps=4)
    np.testing.assert_allclose(half.attributions, X**2, rtol=2e-2, atol=2e-2)


def test_device_rows_give_what_host_rows_give(monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras_net("float64")
    host = pyig.IntegratedGradients(model).explain(X, START, target=1, method="adaptive", batch_size=50)
    monkeypatch.setattr(pyig.backends.tensorflow.TensorFlowBackend, "on_host", lambda self, tensor: False)
    device = pyig.IntegratedGradients(model).explain(X, START, target=1, method="adaptive", batch_size=50)
    np.testing.assert_allclose(device.attributions, host.attributions, rtol=0, atol=1e-13)


def test_tf_keras_models() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    x = X.astype(np.float32)
    found = pyig.IntegratedGradients(keras_net(kind=tf_keras)).explain(x, START, target=1, n_steps=50)
    wanted = pyig.IntegratedGradients(keras_net()).explain(x, START, target=1, n_steps=50)
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-6)
    assert found.meta["backend"] == "tensorflow"


def test_frozen_and_recurrent_and_convolution_models_complete() -> None:
    keras.utils.set_random_seed(0)
    for model, shape in (
        (keras.Sequential([layers.Input((4, 3)), layers.LSTM(4), layers.Dense(2)]), (3, 4, 3)),
        (
            keras.Sequential(
                [layers.Input((6, 6, 1)), layers.Conv2D(2, 3, activation="silu"), layers.Flatten(), layers.Dense(2)]
            ),
            (3, 6, 6, 1),
        ),
    ):
        model.trainable = False
        explained = pyig.IntegratedGradients(model).explain(RNG.normal(size=shape), target=1, n_steps=50)
        assert np.abs(explained.deltas).max() < 1e-5
        assert not model.trainable


def test_a_model_on_another_device_is_explained_there() -> None:
    found = python(
        """
        import json, numpy as np, tensorflow as tf, keras, pyig
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        with tf.device("/CPU:1"):
            model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, activation="tanh")])
        seen = []
        class Spy(keras.Model):
            def __init__(self):
                super().__init__()
                self.inner = model
            def call(self, x):
                if tf.executing_eagerly():
                    seen.append(tf.zeros(()).device[-5:])
                return self.inner(x)
        x = np.ones((4, 3), np.float32)
        ig = pyig.IntegratedGradients(Spy())
        a = ig.explain(x, target=0, n_steps=50)
        b = pyig.IntegratedGradients(model).explain(x, target=0, n_steps=50)
        outside = tf.zeros(()).device[-5:]
        with tf.device("/GPU:7"):  # soft placement: there is none, so this is the first CPU
            c = pyig.IntegratedGradients(model).explain(x, target=0, n_steps=50)
        close = np.allclose(a.attributions, b.attributions, rtol=0, atol=1e-7)  # only the plain model is hoisted
        same = bool(close and np.array_equal(b.attributions, c.attributions))
        print(json.dumps([b.meta["device"], sorted(set(seen)), outside, same, float(abs(b.deltas).max())]))
        """
    )
    assert found[:4] == ["cpu:1", ["CPU:1"], "CPU:0", True]
    assert found[4] < 1e-6


@pytest.mark.slow
def test_keras_on_torch_belongs_to_torch() -> None:
    found = python(
        """
        import sys, json, keras, numpy as np, pyig
        layers = keras.layers
        a = keras.Input((4,), name="a")
        h = layers.Dense(4, activation="tanh", name="first")(a)
        total = layers.Add()([layers.Dense(4, name="second")(h), h])
        model = keras.Model(a, layers.Dense(2)(layers.Dropout(0.5)(total)))
        before = model(np.ones((2, 4), "float32")).detach().numpy()
        ig, x = pyig.IntegratedGradients(model), np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
        whole = ig.explain(x, target=1, n_steps=50)
        gaps = [float(abs(whole.deltas).max())]
        notes = []
        for layer in ("first", "second", "a"):
            for to_inputs in (False, True)[: 1 if layer == "a" else 2]:
                part = ig.explain(x, target=1, n_steps=50, layer=layer, attribute_to_layer_inputs=to_inputs)
                gaps.append(float(abs(part.deltas).max()))
                notes += part.meta["notes"]
        at_input = ig.explain(x, target=1, n_steps=50, layer="first", attribute_to_layer_inputs=True)
        class Sub(keras.Model):
            def __init__(self):
                super().__init__()
                self.one, self.two, self.three = layers.Dense(4), layers.Dense(4, activation="tanh"), layers.Dense(2)
            def call(self, x):
                h = self.one(x)
                return self.three(self.two(h) + h)
        sub = Sub()
        part = pyig.IntegratedGradients(sub).explain(x, target=1, n_steps=50, layer="two")
        gaps.append(float(abs(part.deltas).max()))
        notes += part.meta["notes"]
        after = model(np.ones((2, 4), "float32")).detach().numpy()
        loaded = "tensorflow" in sys.modules
        import tensorflow as tf
        from pyig.backends.tensorflow import TensorFlowBackend
        claimed = TensorFlowBackend.owns(model, [tf.ones(1)]) or TensorFlowBackend.owns(model.call, [tf.ones(1)])
        print(json.dumps({
            "backend": whole.meta["backend"], "gap": max(gaps), "notes": notes, "loaded": loaded, "claimed": claimed,
            "same": bool(np.array_equal(before, after)),
            "input": float(abs(at_input.attributions - whole.attributions).max()),
        }))
        """,
        KERAS_BACKEND="torch",
    )
    assert found["gap"] < 1e-5
    assert found["input"] < 1e-6
    del found["gap"], found["input"]
    assert found == {"backend": "torch", "notes": [], "loaded": False, "claimed": False, "same": True}
