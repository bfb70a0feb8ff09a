"""Several targets of a TensorFlow model come from one forward, eager or traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
from keras import layers  # noqa: E402
from keras_nets import Whole, X  # noqa: E402

import pyig  # noqa: E402
from pyig.backends.tensorflow import TensorFlowBackend  # noqa: E402
from pyig.errors import ModelError  # noqa: E402
from pyig.heads import TargetHead  # noqa: E402

if keras.backend.backend() != "tensorflow":
    pytest.skip("these models are Keras' on TensorFlow", allow_module_level=True)


class Counting(layers.Layer):
    """Counts the rows of every forward, also of one that runs in a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []

    def call(self, x: Any) -> Any:
        tf.py_function(lambda rows: self.rows.append(int(rows)), [tf.shape(x)[0]], [])
        return x


def counted(outputs: int = 3, eager: bool = False) -> tuple[Any, list[int]]:
    keras.utils.set_random_seed(1)
    counter = Counting()
    hidden = [counter, layers.Dense(5, "tanh"), layers.Dense(5, "tanh")]
    model = keras.Sequential([layers.Input((3,)), *hidden, layers.Dense(outputs)])
    model.run_eagerly = eager
    counter.rows.clear()
    return model, counter.rows


def index(*targets: int) -> list[list[Any]]:
    return [[tf.fill([len(X)], tf.constant(target, tf.int64))] for target in targets]


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("targets", [(1,), (2, 0, 1), (1, 1)])
def test_one_forward_serves_all_targets(targets: tuple[int, ...], eager: bool) -> None:
    model, rows = counted(eager=eager)
    backend = TensorFlowBackend(model)
    forward, points, head = Whole(backend), [backend.asarray(X)], TargetHead()
    for _ in range(3):  # the last from the graph, where there is one
        rows.clear()
        found = backend.values_and_grads(forward, points, [], head, index(*targets))
    assert rows == [6]
    assert (backend._graphs._entries == {}) is eager
    rows.clear()
    wanted = [TensorFlowBackend(model).value_and_grad(forward, points, [], head, one) for one in index(*targets)]
    assert rows == [6] * len(targets), "the opposite: one after the other takes a forward each"
    for (values, grads), (value, grad) in zip(found, wanted, strict=True):
        np.testing.assert_allclose(values, value, rtol=1e-6)
        np.testing.assert_allclose(grads[0], grad[0], rtol=0, atol=1e-6)


def test_many_targets_share_forwards_in_groups() -> None:
    model, rows = counted(outputs=40)
    backend = TensorFlowBackend(model)
    forward, points = Whole(backend), [backend.asarray(X)]
    for _ in range(3):
        rows.clear()
        found = backend.values_and_grads(forward, points, [], TargetHead(), index(*range(40)))
    assert rows == [6] * 3
    assert len(backend._graphs._entries) == 2  # of 16 and of 8 targets
    one = [
        TensorFlowBackend(model).value_and_grad(forward, points, [], TargetHead(), each) for each in index(0, 16, 39)
    ]
    for place, (values, grads) in zip((0, 16, 39), one, strict=True):
        np.testing.assert_allclose(found[place][0], values, rtol=1e-6)
        np.testing.assert_allclose(found[place][1][0], grads[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("options", [{}, {"contrast": 0}, {"value": "probability"}])
def test_an_explanation_of_three_targets_takes_the_forwards_of_one(options: dict[str, Any], eager: bool) -> None:
    model, rows = counted(eager=eager)
    explainer = pyig.IntegratedGradients(model)
    options = {"n_steps": 40, "batch_size": 20, "output_kind": "logits", **options}
    explainer.explain(X, target=1, **options)
    explainer.explain(X, target="top3", **options)
    rows.clear()
    single = explainer.explain(X, target=1, **options)
    assert rows.count(20) == 12  # 6 samples of 40 nodes
    rows.clear()
    found = explainer.explain(X, target="top3", **options)
    assert rows.count(20) == 12
    place = np.argmax(np.asarray(found.targets) == 1, axis=1)
    picked = np.asarray(found.attributions)[np.arange(len(X)), place]
    np.testing.assert_allclose(picked, single.attributions, rtol=0, atol=1e-6)


def test_a_target_without_a_gradient_is_named_among_several() -> None:
    backend = TensorFlowBackend(lambda x: tf.stop_gradient(x))
    for _ in range(3):
        with pytest.raises(ModelError, match="without a gradient"):
            backend.values_and_grads(Whole(backend), [backend.asarray(X)], [], TargetHead(), index(0, 1))


@pytest.mark.parametrize("targets", [(1,), (0, 1, 2)])
def test_the_vjps_of_a_graph_wait_for_each_other(targets: tuple[int, ...]) -> None:
    backend = TensorFlowBackend(tf.tanh)
    forward = Whole(backend)
    for _ in range(3):
        backend.values_and_grads(forward, [backend.asarray(X)], [], TargetHead(), index(*targets))
    (entry,) = backend._graphs._entries.values()
    graph = entry.graph.graph
    waiting = [op for op in graph.get_operations() if op.type == "Identity" and op.control_inputs]
    returned = [tensor.op.name for tensor in graph.outputs]
    assert len([op for op in waiting if op.name not in returned]) == len(targets) - 1
