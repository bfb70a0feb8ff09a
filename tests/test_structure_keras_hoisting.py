"""The door to the affine prefix, Keras half: where the user says it ends, what is remembered, what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from keras_cases import CLOSE, Case, floats, hoisted, wide
from keras_prefixes import HOISTED, NO_GRAPH, WITHOUT_PREFIX, Scaled, Squared, between

from pyig import tree
from pyig.backends.tensorflow import TensorFlowBackend
from pyig.calling import InputForward, PrefixForward
from pyig.errors import InputError
from pyig.heads import TargetHead
from pyig.structure.keras_prefix import Prefix
from pyig.structure.keras_recurring import Recurring
from pyig.structure.refusal import Refusal


@pytest.fixture(params=CLOSE)
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    with floats(request.param):
        yield request.param


@pytest.mark.parametrize("layer", ["wide", lambda model: model.layers[0], 0])
def test_an_explicit_prefix_need_not_pay_nor_be_known(layer: Any) -> None:
    case = Case(
        lambda: keras.Sequential([layers.Input((6,)), Scaled(name="wide"), layers.Dense(9, "tanh"), layers.Dense(3)])
    )
    found = case.find(1, explicit=layer)
    assert isinstance(found, Prefix)
    np.testing.assert_allclose(found.forward(case.points), 3 * case.points[0] + 1, rtol=1e-6)
    refused = case.find()
    assert isinstance(refused, Refusal)
    assert "Scaled" in refused.reason


@pytest.mark.parametrize("first", [layers.Identity, Scaled])
def test_an_explicit_prefix_ends_before_the_activation(first: Any) -> None:
    case = Case(lambda: keras.Sequential([layers.Input((6,)), first(), layers.Dense(9, "tanh"), layers.Dense(3)]))
    found = case.find(explicit=1)
    assert isinstance(found, Prefix)
    case.model.layers[1].activation = keras.activations.linear
    np.testing.assert_allclose(
        found.forward(case.points), case.model.layers[1](case.model.layers[0](case.points[0])), rtol=1e-6
    )


def test_a_layer_inside_a_nested_model_and_the_nested_model_itself_are_places() -> None:
    case = hoisted("nested")
    inner = case.model.layers[0].layers[1]
    for layer in (inner, inner.layers[0]):
        found = case.find(explicit=layer)
        assert isinstance(found, Prefix), found
        np.testing.assert_allclose(
            found.forward(case.points),
            inner(case.points[0]) if layer is inner else layer(case.points[0]),
            rtol=1e-6,
            atol=1e-6,
        )


@pytest.mark.parametrize("layer", [Squared(8), layers.Activation("relu")])
def test_a_layer_that_is_not_affine_is_found_out(layer: Any) -> None:
    case = Case(between(layer))
    refused = case.find(explicit=layer)
    assert isinstance(refused, Refusal)
    assert "taken as affine is not" in refused.reason


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [("tied", 1, "called 2 times"), ("two heads", -2, "no cut"), ("residual", -2, "no cut")],
)
def test_an_explicit_prefix_that_is_none(name: str, layer: Any, reason: str) -> None:
    case = hoisted(name) if name in HOISTED else Case(WITHOUT_PREFIX[name][0])
    refused = case.find(explicit=layer)
    assert isinstance(refused, Refusal)
    assert reason in refused.reason


def test_an_explicit_prefix_that_the_model_lacks_is_an_error() -> None:
    with pytest.raises(InputError):
        hoisted("mlp").find(explicit="nowhere")


@pytest.mark.parametrize("name", NO_GRAPH)
def test_no_walk_where_there_is_no_graph(name: str) -> None:
    make, reason = NO_GRAPH[name]
    refused = Case(make).find()
    assert isinstance(refused, Refusal)
    assert reason in refused.reason
    assert refused.lasting


def test_what_is_known_is_compared_again() -> None:
    case = wide()
    known = case.find()
    assert isinstance(known, Prefix)
    assert case.find(known=known) is known
    case.model.layers[0].kernel.assign(2 * case.model.layers[0].kernel)
    assert case.find(known=known) is known  # the weights are the layer's own
    for activation in (ops.sigmoid, keras.activations.linear, None):
        case.model.layers[0].activation = activation
        assert case.find(known=known) is known  # and so is its activation
    other = keras.Sequential([*case.model.layers[:1], layers.Dense(3, activation="tanh")])
    case.forward = InputForward(TensorFlowBackend(other), tree.LEAF, (0,))
    refused = case.verify(known)
    assert isinstance(refused, Refusal)
    assert "other values" in refused.reason
    case.model = other
    found = case.find(known=known)
    assert isinstance(found, Prefix)
    assert found is not known


def test_rows_that_mix_are_found_out() -> None:
    x = keras.Input((6,))
    hidden = layers.Dense(4)(x)
    model = keras.Model(x, layers.Dense(3)(ops.relu(hidden - ops.mean(hidden, axis=0, keepdims=True))))
    refused = Case(lambda: model).find()
    assert isinstance(refused, Refusal)
    assert "depend on each other" in refused.reason


def test_a_resize_in_float32_is_refused_in_float64(dtype: str) -> None:
    items = [layers.UpSampling2D(2, interpolation="bilinear"), layers.Conv2D(2, 3, activation="relu")]
    case = Case(
        lambda: keras.Sequential([layers.Input((3, 3, 1)), *items, layers.Flatten(), layers.Dense(3)]), ((3, 3, 1),)
    )
    assert bool(case.find(explicit=0)) is (dtype == "float32")


@pytest.mark.parametrize("evaluations", [1.0, 12.0, 12.1])
def test_a_small_call_is_refused_for_now(evaluations: float) -> None:
    case = wide()
    known = case.find()
    assert isinstance(known, Prefix)
    for earlier in (None, known):
        refused = case.find(evaluations, known=earlier)
        assert isinstance(refused, Refusal)
        assert not refused.lasting


def test_a_call_with_more_than_the_input_is_refused() -> None:
    case = hoisted("mlp")
    case.forward = InputForward(case.backend, tree.LEAF, (0,), shared=(("training", True),))
    refused = case.find()
    assert isinstance(refused, Refusal)
    assert "training" in refused.reason


def test_a_cast_at_the_door_is_refused() -> None:
    case = hoisted("mlp")
    case.points = [tf.cast(case.points[0], tf.float64)]
    refused = case.find()
    assert isinstance(refused, Refusal)
    assert "casts" in refused.reason


def test_inputs_are_matched_by_name() -> None:
    inputs = [keras.Input((6,), name="late"), keras.Input((6,), name="early")]
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(4, "tanh")(inputs[0] - 2.0 * inputs[1])))
    case = Case(lambda: model, ((6,), (6,)), 2)
    spec = tree.flatten({"late": 0, "early": 0, "other": 0})[1]
    case.forward = InputForward(case.backend, tree.flatten({"late": 0, "early": 0})[1], (0, 1))
    assert isinstance(case.find(), Prefix)
    case.points, case.starts = case.points[::-1], case.starts[::-1]
    assert isinstance(case.find(), Prefix)
    case.forward = InputForward(case.backend, spec, (0, 1, 2))
    case.points = [*case.points, case.points[0]]
    refused = case.find()
    assert isinstance(refused, Refusal)
    assert "declares" in refused.reason


def test_outputs_that_cannot_be_told_apart_are_refused() -> None:
    x = keras.Input((6,))
    hidden = layers.Dense(4, activation="tanh")(x)
    model = keras.Model(x, [layers.Dense(3, kernel_initializer="ones", use_bias=False)(hidden) for _ in range(2)])
    refused = Case(lambda: model).find()
    assert isinstance(refused, Refusal)
    assert "2 of the model's 2 outputs" in refused.reason


def test_a_backend_traces_the_part_behind_the_cut_once() -> None:
    case = wide()
    known = case.find()
    traces: list[int] = []
    suffix = known.suffix
    object.__setattr__(known, "suffix", lambda *args: (traces.append(tf.executing_eagerly()), suffix(*args))[1])
    frontier = known.forward(case.points)
    for _ in range(5):
        prefix = case.find(known=known)
        case.backend.value_and_grad(PrefixForward(prefix), [frontier], [], TargetHead(), [tf.zeros(4, tf.int64)])
    assert traces.count(False) == 1


def test_a_model_whose_prefix_is_small_is_refused_for_good() -> None:
    refused = hoisted("patches").find()
    assert isinstance(refused, Refusal)
    assert refused.lasting
    assert "too small a part" in refused.reason


def test_calls_of_layers_have_their_price() -> None:
    """22 thousand multiply-adds are saved per evaluation, and the calls cost as many as 150 million."""
    found = wide().find()
    assert isinstance(found, Prefix)
    assert not found.pays(5_000)
    assert found.pays(10_000)


def test_what_comes_back_becomes_a_graph_with_the_same_values() -> None:
    case = wide()
    found = case.find()
    first = found.forward(case.points), found.pullback(case.points, [], tf.ones((4, 8)))
    for rows in (4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 1, 3):
        frontier = found.forward([case.points[0][:rows]])
        np.testing.assert_allclose(frontier, first[0][:rows], rtol=1e-5, atol=1e-6)
        pulled = found.pullback([case.points[0][:rows]], [], tf.ones((rows, 8)))
        np.testing.assert_allclose(pulled[0], first[1][0][:rows], rtol=1e-5, atol=1e-6)
    layer = case.model.layers[0]
    calls: list[bool] = []
    layer.call = lambda x, training=None: (calls.append(tf.executing_eagerly()), x[:, :8])[1]
    found.forward(case.points)
    assert calls == []
    layer.kernel.assign(2 * layer.kernel)
    np.testing.assert_allclose(
        found.forward(case.points) - layer.bias, 2 * (first[0] - layer.bias), rtol=1e-4, atol=1e-5
    )
    assert not isinstance(case.find(known=found), Prefix)  # the check sees what the graph does not


def test_an_eager_model_stays_eager() -> None:
    case = wide()
    case.model.run_eagerly = True
    found = case.find()
    calls: list[bool] = []
    layer = case.model.layers[0]
    plain = layer.call
    layer.call = lambda x, training=None: (calls.append(tf.executing_eagerly()), plain(x))[1]
    for _ in range(15):
        found.forward(case.points)
    assert calls == [True] * 15


def test_what_cannot_be_traced_stays_eager() -> None:
    tried: list[bool] = []

    def odd(tensors: Sequence[Any]) -> list[Any]:
        tried.append(tf.executing_eagerly())
        return [tf.constant(tensors[0].numpy())]

    again = Recurring(odd, eager=False)
    x = tf.constant([[1.0, 2.0]])
    for _ in range(15):
        assert np.array_equal(again([x])[0], x)
    assert tried.count(False) == 1
    changing = iter(range(100))
    other = Recurring(lambda tensors: [tensors[0] + float(next(changing))], eager=False)
    assert [float(other([x])[0][0, 0]) - 1 for _ in range(12)] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12]


def test_a_stale_vjp_is_found_out() -> None:
    front = [layers.Rescaling(2.0), layers.Dense(8, "gelu")]
    case = Case(lambda: keras.Sequential([layers.Input((200,)), *front, layers.Dense(3)]), ((200,),))
    known, given = case.find(), (case.forward, case.points, case.starts, case.fixed)
    assert known.still_holds(*given) is known
    front[0].scale = 3.0
    assert known.still_holds(*given) is known
    for _ in range(10):
        known.pullback(case.points, [], tf.ones((4, 8)))  # now it is a graph, and the part before the cut is not yet
    assert known.still_holds(*given) is known
    front[0].scale = 4.0
    refused = known.still_holds(*given)
    assert isinstance(refused, Refusal)
    assert "VJP" in refused.reason
