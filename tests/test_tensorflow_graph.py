"""A step runs eagerly until a graph pays, and a graph never answers for a model that is no longer the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras_nets import Whole, X, by_hand, grads, net

import pyig
from pyig.backends.tensorflow import TensorFlowBackend


def test_eager_and_graph_give_the_gradient_of_the_tape() -> None:
    model = net()
    backend = TensorFlowBackend(model)
    for rows in (6, 6, 6, 1, 4):
        values, found = grads(backend, X[:rows], target=1)
        wanted, wanted_grad = by_hand(model, X[:rows], target=1)
        np.testing.assert_allclose(values, wanted, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found, wanted_grad, rtol=0, atol=1e-6)


def test_a_step_is_traced_once_for_all_batch_sizes() -> None:
    runs: list[Any] = []

    def model(x: Any) -> Any:
        runs.append(x.shape[0])
        return tf.tanh(x)

    backend = TensorFlowBackend(model)
    grads(backend, X)
    assert runs == [6]  # a small batch may be all there is
    grads(backend, X)
    assert runs == [6, 1, None, 2]  # traced with any number of rows, and compared on one row and on two
    for rows in range(1, 7):
        grads(backend, X[:rows])
    assert runs == [6, 1, None, 2]
    grads(backend, np.ones((1024, 2), np.float32))  # other columns are another step; after a full batch others follow
    assert runs[4:] == [1, None, 2]
    with backend.session():
        for _ in range(2):
            grads(backend, X)
    assert runs[7:] == [1]  # a new call of the explainer looks once whether the model is still the same


@pytest.mark.parametrize("asked", ["globally", "of the model"])
def test_eager_execution_stays_eager_where_the_user_asked_for_it(asked: str) -> None:
    runs: list[Any] = []

    class Counting(keras.Model):
        def call(self, x: Any) -> Any:
            runs.append(x.shape[0])
            return x * x

    model = Counting()
    backend = TensorFlowBackend(model)
    try:
        if asked == "globally":
            tf.config.run_functions_eagerly(True)
        else:
            model.run_eagerly = True
        for _ in range(3):
            grads(backend, X)
    finally:
        tf.config.run_functions_eagerly(False)
    assert runs == [6, 6, 6]


def test_tables_with_other_row_labels_are_the_same_step() -> None:
    runs: list[Any] = []

    def model(x: Any) -> Any:
        runs.append(x.shape[0])
        return tf.reduce_sum(x * x, axis=1)

    ig = pyig.IntegratedGradients(model, backend="tensorflow")
    for start in range(6):
        table = pd.DataFrame(X, index=range(start, start + len(X)), columns=["a", "b", "c"])
        ig.explain(table, n_steps=4)
    assert runs.count(None) == 2  # one for the ends, one for the loop


def test_a_call_of_the_explainer_runs_the_model_eagerly_once() -> None:
    runs: list[Any] = []

    def model(x: Any) -> Any:
        runs.append(x.shape[0])
        return tf.reduce_sum(tf.tanh(x), axis=1)

    ig = pyig.IntegratedGradients(model, backend="tensorflow")
    for _ in range(6):
        ig.explain(X, n_steps=4)
    del runs[:]
    ig.explain(X, n_steps=4)
    assert runs == [6]  # F(x); the graphs of F(x') and of the gradients are compared with a row of it


def test_sessions_within_one_share_its_eager_call() -> None:
    runs: list[Any] = []

    def model(x: Any) -> Any:
        runs.append(x.shape[0])
        return tf.tanh(x)

    backend = TensorFlowBackend(model)
    forward, points = Whole(backend), [backend.asarray(X)]
    for _ in range(4):
        with backend.session():
            backend.value(forward, points, [])
    assert runs == [6] * 4  # no graph, but what the first one of a session gives is what graphs are compared with
    del runs[:]
    with backend.session():
        backend.value(forward, points, [])
        with backend.session():
            grads(backend, X, forward=forward)
            grads(backend, X, forward=forward)
            del runs[:]
        with backend.session():
            grads(backend, X, forward=forward)
        assert runs == []
    with backend.session():
        grads(backend, X, forward=forward)
    assert runs == [1]


def by_data(x: Any) -> Any:
    return x * 2.0 if float(tf.reduce_sum(x)) > 0 else x * 3.0


def through_numpy(x: Any) -> Any:
    return x * x.numpy().max()


def by_rows(x: Any) -> Any:
    return x * 2.0 if x.shape[0] == 1 else x * 3.0


@pytest.mark.parametrize("model", [by_data, through_numpy, by_rows])
def test_what_cannot_be_traced_truly_runs_eagerly(model: Callable[[Any], Any]) -> None:
    backend = TensorFlowBackend(model)
    for x in (X, X, -X, X[:1], X):
        values, found = grads(backend, x)
        wanted, wanted_grad = by_hand(model, x)
        np.testing.assert_array_equal(values, wanted)
        np.testing.assert_array_equal(found, wanted_grad)


def test_chance_from_numpy_is_not_frozen_into_a_graph() -> None:
    rng = np.random.default_rng(0)
    backend = TensorFlowBackend(lambda x: x * rng.normal())
    assert len({float(grads(backend, X)[1][0, 0]) for _ in range(5)}) == 5


def test_a_model_that_was_changed_between_calls_is_seen_as_it_is() -> None:
    model = net(activation="softmax")
    ig = pyig.IntegratedGradients(model)
    before = [ig.explain(X, target=0, n_steps=50).attributions for _ in range(4)][-1]
    model.layers[-1].activation = keras.activations.linear
    after = ig.explain(X, target=0, n_steps=50).attributions
    np.testing.assert_allclose(
        after, pyig.IntegratedGradients(model).explain(X, target=0, n_steps=50).attributions, rtol=0, atol=1e-6
    )
    assert np.abs(after - before).max() > 1e-2
    model.set_weights([w * 2 for w in model.get_weights()])
    np.testing.assert_allclose(
        ig.explain(X, target=0, n_steps=50).attributions,
        pyig.IntegratedGradients(model).explain(X, target=0, n_steps=50).attributions,
        rtol=0,
        atol=1e-6,
    )


def test_few_graphs_are_kept_and_no_model_outlives_its_explainer() -> None:
    backend = TensorFlowBackend(lambda x: tf.tanh(x))
    for columns in range(1, 21):
        for _ in range(2):
            grads(backend, np.ones((2, columns), np.float32))
    assert len(backend._graphs._entries) == 8
    model = net()
    ig = pyig.IntegratedGradients(model)
    for steps in (50, 50, None, None):  # a graph, and a closed form
        ig.explain(X, target=0, n_steps=steps)
    gone = weakref.ref(model)
    del model, ig
    gc.collect()
    assert gone() is None
