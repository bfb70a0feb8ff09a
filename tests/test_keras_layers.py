"""Which layer a user means, how often the layers before it run, and that the model is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from keras_cuts import START, Program, X, explain, reference, skip

import pyig
from pyig.backends.tensorflow import TensorFlowBackend
from pyig.errors import InputError, InputTypeError, ModelError
from pyig.structure import split
from pyig.structure.keras import find_layer


# --- the layers before it once -------------------------------------------------------------------------------------
class Spy(layers.Layer):
    """Writes down the rows of its calls."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rows: list[int] = []

    def call(self, x: Any) -> Any:
        self.rows.append(x.shape[0])
        return keras.ops.tanh(x)


class SpyProgram(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.front, self.cut, self.rear = Spy(), layers.Dense(4), Spy()

    def call(self, x: Any) -> Any:
        front = self.front(x)
        return self.rear(self.cut(front) + front)[:, :2]


def spies(kind: str) -> tuple[Any, Spy, Spy]:
    keras.utils.set_random_seed(2)
    if kind == "program":
        model = SpyProgram()
        model(X)
        front, rear = model.front, model.rear
    else:
        front, rear, x = Spy(), Spy(), keras.Input((4,))
        hidden = front(x)
        model = keras.Model(x, rear(layers.Dense(4, name="cut")(hidden) + hidden)[:, :2])
    model.run_eagerly = True  # a graph would hide the calls from the spies
    front.rows, rear.rows = [], []
    return model, front, rear


@pytest.mark.parametrize("kind", ["graph", "program"])
def test_the_layers_before_the_cut_run_once_per_sample(kind: str) -> None:
    seen = {}
    for steps in (4, 40):
        model, front, rear = spies(kind)
        explained = pyig.IntegratedGradients(model).explain(X, target=1, layer="cut", n_steps=steps, batch_size=10)
        seen[steps] = (sum(front.rows), sum(rear.rows))
        assert explained.meta["notes"] == []
    assert seen[4][0] == seen[40][0] <= 30
    assert seen[40][1] - seen[4][1] == 5 * 36


def test_recordings_that_nothing_reads_are_not_kept() -> None:
    model = Program()
    backend = TensorFlowBackend(model)
    x = tf.constant(X)
    model(x)
    for name, crossing in (
        ("one", 1),
        ("two", 2),
        ("three", 4),
    ):  # x; first; and `hidden`, which is returned and passed on
        cut = split(backend, model, name, False)
        values, context = cut.before(x, {}, {})
        assert len(values) == 1
        assert len(context) <= crossing, name
        np.testing.assert_allclose(cut.after(values, context)["logits"], model(x)["logits"], rtol=0, atol=1e-6)

    class Chain(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [layers.Dense(4) for _ in range(8)]

        def call(self, x: Any) -> Any:
            for part in self.parts:
                x = part(x)
            return x

    chain = Chain()
    cut = split(TensorFlowBackend(chain), chain, lambda model: model.parts[6], False)
    values, context = cut.before(x, {}, {})
    assert len(context) <= 2  # x, and the input that the layer itself still holds
    np.testing.assert_allclose(cut.after(values, context), chain(x), rtol=0, atol=1e-6)


def test_a_prefix_that_cannot_be_recorded_runs_again_and_says_so() -> None:
    class Mixed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.front, self.cut, self.rear = layers.Dense(3), layers.Dense(3, activation="tanh"), layers.Dense(2)

        def call(self, x: Any) -> Any:
            pairs = self.front(tf.reshape(x, (-1, 2)))  # two rows per sample
            return self.rear(self.cut(tf.reshape(pairs, (-1, 6))) + tf.reshape(pairs, (-1, 6))[:, :3])

    model = Mixed()
    model(X)
    explained = explain(model, X, "cut", baselines=START)
    assert "run again for every node" in explained.meta["notes"][0]
    (wanted,) = reference(
        lambda x: model.cut(tf.reshape(model.front(tf.reshape(x, (-1, 2))), (-1, 6))),
        lambda v, x: model.rear(v + tf.reshape(model.front(tf.reshape(x, (-1, 2))), (-1, 6))[:, :3]),
        X,
        np.repeat(START, len(X), axis=0),
    )
    np.testing.assert_allclose(explained.attributions, wanted, rtol=0, atol=2e-6)


# --- which layer ---------------------------------------------------------------------------------------------------
def test_layers_are_found_by_what_users_call_them() -> None:
    model, program = skip(), Program()
    conv = model.get_layer("block").get_layer("conv")
    for given in ("block/conv", "conv", conv, lambda m: m.get_layer("block").get_layer("conv")):
        assert find_layer(model, given) is conv
    assert find_layer(model, 1) is find_layer(model, np.int64(1)) is model.layers[1]
    assert find_layer(model, -1) is model.layers[-1]
    assert find_layer(program, "three") is program.three
    assert find_layer(program, program.three.name) is program.three


@pytest.mark.parametrize(
    ("layer", "kind", "message"),
    [
        ("frist", InputError, "unknown layer 'frist'; did you mean 'first'"),
        ("same", InputError, "several layers are named 'same'.*left/same, right/same"),
        (6, InputError, "from -6 to 5; got 6"),
        (layers.Dense(2), InputError, "not part of it"),
        (2.5, InputTypeError, "position, or callable.*got float"),
        (lambda m: "first", InputTypeError, "got str"),
    ],
)
def test_a_layer_that_is_not_there_is_named_with_those_that_are(layer: Any, kind: Any, message: str) -> None:
    model = skip()
    if layer == "same":
        sides = []
        for side in ("left", "right"):
            inside = keras.Input((4,))
            sides.append(keras.Model(inside, layers.Dense(2, name="same")(inside), name=side))
        x = keras.Input((4,))
        model = keras.Model(x, sides[0](x) + sides[1](x))
    with pytest.raises(kind, match=message):
        explain(model, X, layer)


def test_a_function_is_cut_at_a_layer_object_alone() -> None:
    model = Program()
    model(X)

    def function(x: Any) -> Any:
        return model(x)["logits"]

    explained = explain(function, X, model.two, backend="tensorflow")
    np.testing.assert_allclose(explained.attributions, explain(model, X, "two").attributions, rtol=0, atol=1e-6)
    for layer in ("two", 1):
        with pytest.raises(InputTypeError, match="the layer object itself, for a function does not list its layers"):
            explain(function, X, layer, backend="tensorflow")


def test_a_layer_that_is_called_twice_or_never_is_refused() -> None:
    x = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    twice = keras.Model(x, shared(shared(x)))

    class Program(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.never = layers.Dense(4), layers.Dense(4)

        def call(self, x: Any) -> Any:
            return self.shared(self.shared(x))

    program = Program()
    program.never.build((None, 4))
    for model in (twice, program):
        with pytest.raises(ModelError, match="called once in a forward; it is called several times"):
            explain(model, X, "shared")
    with pytest.raises(ModelError, match=r"to be called in the model's forward; it was not"):
        explain(program, X, "never")
    assert np.abs(explain(twice, X, None).deltas).max() < 1e-5


def test_a_random_model_is_refused() -> None:
    class Noisy(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.cut = layers.Dense(4)

        def call(self, x: Any) -> Any:
            return self.cut(x) + tf.random.normal(tf.shape(x))

    with pytest.raises(ModelError, match="Is the model random"):
        explain(Noisy(), X, "cut")


# --- nothing left behind -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [skip, Program])
def test_the_model_is_as_it_was_also_after_an_error(make: Callable[[], Any]) -> None:
    model = make()
    before = model(X)
    before = before["logits"] if isinstance(before, dict) else before
    inside = list(model._flatten_layers())
    nodes = [len(layer._inbound_nodes) for layer in inside]
    last = model.get_layer("last") if make is skip else model.last

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("on purpose")

    for target in (1, lambda outputs: refuse()):
        for layer in (model.layers[1], last):
            ended = pytest.raises(RuntimeError, match="on purpose") if callable(target) else nullcontext()
            with ended:
                pyig.IntegratedGradients(model).explain(X, target=target, layer=layer, n_steps=8)
    broken = last.call
    last.__dict__["call"] = refuse
    with pytest.raises(RuntimeError, match="on purpose"):
        explain(model, X, model.layers[1])
    assert last.__dict__.pop("call") is refuse
    assert last.call == broken
    after = model(X)
    np.testing.assert_array_equal(after["logits"] if isinstance(after, dict) else after, before)
    assert all("call" not in layer.__dict__ for layer in inside)
    assert [len(layer._inbound_nodes) for layer in inside] == nodes


def test_equal_cuts_share_what_was_traced() -> None:
    model, _, rear = spies("graph")
    model.run_eagerly = False
    ig = pyig.IntegratedGradients(model)
    for _ in range(6):
        rear.rows.clear()
        ig.explain(X, target=1, layer="cut", n_steps=40, batch_size=10)
    assert len(rear.rows) <= 12  # the checks of the cut and of the graphs; eager, it would be twenty batches more
    assert max(rear.rows) <= 5
