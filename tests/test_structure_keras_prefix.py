"""The affine prefix of Keras models: found where it is, equal to the plain path, refused where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from keras_cases import CLOSE, Case, floats, gap, hoisted
from keras_prefixes import HOISTED, WITHOUT_PREFIX, Squared, between

from pyig.calling import PrefixForward
from pyig.structure import keras_prefix as prefixes
from pyig.structure.keras_prefix import Prefix, cuts, explicit_prefix, prefix_at
from pyig.structure.keras_record import Recording
from pyig.structure.refusal import Refusal


@pytest.fixture(params=CLOSE)
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    with floats(request.param):
        yield request.param


@pytest.mark.parametrize("name", HOISTED)
def test_equals_the_plain_path_at_every_cut(name: str, dtype: str) -> None:
    case = hoisted(name)
    recording = case.record()
    assert isinstance(recording, Recording), recording
    plain, outputs = case.integral(case.forward, case.points, case.starts), case.forward(case.points, case.fixed)
    found = [prefix_at(recording, frontier, place) for frontier, place in cuts(recording)]
    assert found
    for prefix in found:
        assert case.verify(prefix) is prefix
        stop, start = prefix.forward(case.points, case.fixed), prefix.forward(case.starts, case.fixed)
        assert gap([prefix.suffix(stop, case.fixed)], [outputs]) < CLOSE[dtype]
        assert prefix.suffix(stop[:1], [leaf[:1] for leaf in case.fixed]).shape == outputs[:1].shape
        (total,) = case.integral(PrefixForward(prefix), [stop], [start])
        assert gap(prefix.pullback(case.points, case.fixed, tf.cast(total, tf.float64)), plain) < CLOSE[dtype]
    assert found[-1].frontier_floats == HOISTED[name][3]


@pytest.mark.parametrize("name", HOISTED)
def test_the_best_cut_is_among_the_cuts(name: str) -> None:
    recording = hoisted(name).record()
    prefix = prefixes.find_prefix(recording)
    places = {place: frontier for frontier, place in cuts(recording)}
    if isinstance(prefix, Refusal):
        assert "no work" in prefix.reason
    else:
        assert places[prefix.place] == prefix.frontier
        assert prefix.macs_per_row > 0


@pytest.mark.parametrize("name", WITHOUT_PREFIX)
def test_no_prefix_where_there_is_none(name: str) -> None:
    make, reason = WITHOUT_PREFIX[name]
    recording = Case(make, ((6, 1),) if "pooling" in name else ((6,),)).record()
    assert isinstance(recording, Recording), recording
    found = prefixes.find_prefix(recording)
    assert isinstance(found, Refusal)
    assert reason in found.reason


class Calls(layers.Layer):
    """Does nothing, and counts the rows that go through it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def call(self, x: Any) -> Any:
        self.rows += len(x) if hasattr(x, "numpy") else 0
        return x


def test_the_prefix_runs_once_for_each_end_and_once_for_the_pullback() -> None:
    first, second = Calls(), Calls()
    case = Case(lambda: keras.Sequential([layers.Input((6,)), first, layers.Dense(8), second, layers.Dense(3)]))
    prefix = explicit_prefix(case.record(), case.model.layers[1])
    assert isinstance(prefix, Prefix)
    first.rows = second.rows = 0
    stop, start = prefix.forward(case.points), prefix.forward(case.starts)
    for share in np.linspace(0, 1, 20):
        prefix.suffix(start + share * (stop - start))
    prefix.pullback(case.points, [], tf.ones_like(stop))
    assert (first.rows, second.rows) == (3 * 4, 20 * 4)


def test_a_lie_about_the_rule_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk takes a layer as affine that is not: the check does not ask what the walk thought."""
    case = Case(between(Squared(8), layers.Activation("tanh")))
    monkeypatch.setattr("pyig.structure.keras_steps.is_affine", lambda call, moving: True)
    found = prefixes.find_prefix(case.record())
    assert isinstance(found, Prefix)
    refused = case.verify(found)
    assert isinstance(refused, Refusal)
    assert "taken as affine is not" in refused.reason


def test_other_gradients_are_found_out() -> None:
    case = Case(lambda: keras.Sequential([layers.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(3)]))
    first, last = case.model.layers
    prefix = prefixes.find_prefix(case.record())

    def forward(points: Any, fixed: Any) -> Any:
        hidden = ops.arctanh(first(points[0]))
        return last(tf.tanh(2 * hidden - tf.stop_gradient(hidden)))

    assert isinstance(prefix, Prefix)
    refused = prefix.verified(forward, case.points, case.starts)
    assert isinstance(refused, Refusal)
    assert "gradient" in refused.reason


def test_values_that_are_not_finite_are_refused() -> None:
    case = hoisted("mlp")
    prefix = prefixes.find_prefix(case.record())
    case.points = [case.points[0] * np.nan]
    assert isinstance(prefix, Prefix)
    assert not case.verify(prefix)


@pytest.mark.parametrize("name", HOISTED)
def test_the_model_is_left_as_it_was(name: str) -> None:
    case = hoisted(name)
    everything = list(case.model._flatten_layers())
    state = [weight.numpy() for weight in case.model.weights]
    attributes = [{k: v for k, v in vars(layer).items() if k != "_called"} for layer in everything]
    nodes = [len(layer._inbound_nodes) for layer in everything]
    losses, outputs = list(case.model.losses), case.forward(case.points, case.fixed)
    recording = case.record()
    for frontier, place in cuts(recording):
        assert case.verify(prefix_at(recording, frontier, place))
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(state, case.model.weights, strict=True))
    assert [{k: v for k, v in vars(layer).items() if k != "_called"} for layer in everything] == attributes
    assert [len(layer._inbound_nodes) for layer in everything] == nodes
    assert list(case.model.losses) == losses
    assert np.array_equal(case.forward(case.points, case.fixed), outputs)


def test_multiply_adds_are_counted_per_row() -> None:
    counted = {name: hoisted(name).record().macs for name in ("mlp", "convolution, norm, relu", "recurrent", "patches")}
    assert counted == {
        "mlp": 6 * 9 + 9 * 3,
        "convolution, norm, relu": 16 * 9 * 4 + 16 * 3,
        "recurrent": 4 * (5 * 4) + 4 * (4 * 24 + 6 * 24) + 6 * 3,
        "patches": 9 * 4 * 8 + 9 * 4 * 64 + 2 * 72 * 9 + 8 * 3,
    }


@pytest.mark.parametrize(("name", "size"), [("MobileNetV2", 8192), ("ResNet50", 16384)])
def test_large_models_have_a_first_convolution(name: str, size: int) -> None:
    """In float64: in float32 rounding moves some of so many units over their kinks."""
    make = getattr(keras.applications, name)
    options = {"weights": None, "input_shape": (32, 32, 3), "classes": 3, "classifier_activation": None}
    with floats("float64"):
        case = Case(lambda: make(**options), ((32, 32, 3),), train=False)
    recording = case.record()
    assert isinstance(recording, Recording), recording
    frontier, place = cuts(recording)[-1]
    prefix = prefix_at(recording, frontier, place)
    assert case.verify(prefix) is prefix
    with tf.GradientTape() as tape:
        tape.watch(case.points)
        outputs = case.forward(case.points, [])
    z = prefix.forward(case.points)
    with tf.GradientTape() as behind:
        behind.watch(z)
        again = prefix.suffix(z)
    assert gap([again], [outputs]) < 1e-12
    gradient = prefix.pullback(case.points, [], behind.gradient(again, z))
    assert gap(gradient, tape.gradient(outputs, case.points)) < 1e-12
    assert prefix.frontier_floats == size
    assert not prefix.pays(1e6)
