"""Keras models with a closed form are explained exactly, without being asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
from keras import layers, ops  # noqa: E402
from keras_cases import floats  # noqa: E402
from keras_prefixes import Overridden, Scaled, trained  # noqa: E402
from keras_prefixes import Program as Written  # noqa: E402

import pyig  # noqa: E402
from pyig.backends.tensorflow import TensorFlowBackend  # noqa: E402
from pyig.calling import InputForward  # noqa: E402
from pyig.structure.keras_closed_form import closed_form  # noqa: E402
from pyig.structure.refusal import Refusal  # noqa: E402
from pyig.tree import LEAF  # noqa: E402

if keras.backend.backend() != "tensorflow":
    pytest.skip("these models are Keras' on TensorFlow", allow_module_level=True)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with floats("float64"):
        yield


def sequential(shape: tuple[int, ...], *items: Any) -> Any:
    return keras.Sequential([layers.Input(shape), *items])


def functional(shape: tuple[int, ...], call: Callable[[Any], Any]) -> Any:
    x = keras.Input(shape)
    return keras.Model(x, call(x))


def mlp(activation: Any = "gelu") -> Any:
    return sequential((6,), layers.Dense(9, activation=activation), layers.Dense(3))


def images(*bent: Any) -> Any:
    front = [layers.Rescaling(0.5, offset=-1.0), layers.Conv2D(4, 3, use_bias=False), layers.BatchNormalization()]
    return sequential((6, 6, 2), *front, *bent, layers.AveragePooling2D(2), layers.Flatten(), layers.Dense(3))


def wide_and_deep() -> Any:
    """Hand-written activations, a product, two branches and a linear skip: one nonlinearity on each way."""

    def call(x: Any) -> Any:
        z, q = layers.Dense(6)(x), layers.Dense(6)(x)
        gelu = 0.5 * z * (1.0 + ops.tanh(0.8 * (z + 0.044 * z**3)))
        swish = layers.Multiply()([q, layers.Activation("sigmoid")(q)]) - q
        mixed = layers.Concatenate()([ops.sin(x[:, :3]), x[:, 3:]])
        return layers.Dense(3)(gelu + x) + layers.Dense(3)(swish) / 2 + layers.Dense(3)(mixed)

    return functional((6,), call)


def nested() -> Any:
    inner = sequential(
        (6,), layers.Normalization(mean=[0.1] * 6, variance=[2.0] * 6), layers.Dense(8), layers.Dropout(0.5)
    )
    return sequential(
        (6,), inner, layers.Activation("silu"), layers.BatchNormalization(), layers.Dense(3, use_bias=False)
    )


def step_by_step() -> Any:
    dense = layers.EinsumDense("abc,cd->abd", (4, 7), activation="tanh")
    return sequential((4, 5), dense, layers.GlobalAveragePooling1D(), layers.Dense(3))


SMOOTH: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "mlp": (mlp, (6,)),
    "images": (lambda: images(layers.Activation("softplus")), (6, 6, 2)),
    "wide and deep": (wide_and_deep, (6,)),
    "nested": (nested, (6,)),
    "step by step": (step_by_step, (4, 5)),
    "unbuilt": (lambda: keras.Sequential([layers.Dense(9, "mish"), layers.Dense(3)]), (6,)),
    "bent at its end": (lambda: sequential((6,), layers.Dense(4), layers.Dense(3, "sigmoid")), (6,)),
    "affine": (lambda: sequential((6,), layers.Dense(4), layers.BatchNormalization(), layers.Dense(3)), (6,)),
}


# fmt: off
ACTIVATIONS = [
    "celu", "elu", "exponential", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softsign", "sparse_plus", "squareplus", "tanh", "tanh_shrink",
]
# fmt: on


def built(make: Callable[[], Any], shape: tuple[int, ...] = (6,), count: int = 5) -> tuple[Any, Any]:
    keras.utils.set_random_seed(3)
    model = make()
    x = np.random.default_rng(1).normal(size=(count, *shape))
    model(x)
    return trained(model), x


def far(found: Any, wanted: Any) -> float:
    """Return the largest L1 distance of a sample, relative."""
    a, b = (np.asarray(each.attributions, np.float64).reshape(len(each.attributions), -1) for each in (found, wanted))
    return float((np.abs(a - b).sum(1) / np.abs(b).sum(1)).max())


@pytest.mark.parametrize("name", SMOOTH)
def test_equals_two_hundred_nodes(name: str) -> None:
    model, x = built(*SMOOTH[name])
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, target=1, value="output")
    wanted = explainer.explain(x, target=1, value="output", method="gausslegendre", n_steps=200)
    assert found.meta["method"] == "exact"
    assert found.n_evals.tolist() == [1] * len(x)
    assert far(found, wanted) < 1e-12
    np.testing.assert_allclose(found.values, np.asarray(model(x))[:, 1], rtol=1e-12)
    np.testing.assert_allclose(found.baseline_values, np.asarray(model(0 * x))[:, 1], rtol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_attributions_of_any_activation_add_up(activation: str) -> None:
    model, x = built(lambda: mlp(activation))
    found = pyig.IntegratedGradients(model).explain(x, target=0)
    wanted = pyig.IntegratedGradients(model).explain(x, target=0, method="riemann_middle", n_steps=2000)
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)
    assert far(found, wanted) < 2e-3


def between_kinks(front: Any, model: Any, x: Any, kinks: tuple[float, ...]) -> Any:
    """Integrate gradients, constant between the kinks of what `front` gives, by their midpoints."""
    rows = []
    for row in x:
        start, stop = np.asarray(front(np.stack([0 * row, row]))).reshape(2, -1)
        cuts = np.concatenate([(kink - start) / (stop - start) for kink in kinks])
        edges = np.sort([0.0, 1.0, *cuts[(cuts > 0) & (cuts < 1)]])
        points = tf.constant(((edges[1:] + edges[:-1]) / 2).reshape(-1, *[1] * row.ndim) * row)
        with tf.GradientTape() as tape:
            tape.watch(points)
            total = model(points)[:, 1]
        rows.append(row * np.tensordot(np.diff(edges), np.asarray(tape.gradient(total, points)), 1))
    return np.array(rows)


@pytest.mark.parametrize("shape", [(6,), (6, 6, 2)])
@pytest.mark.parametrize(
    ("bent", "kinks"),
    [
        (lambda: layers.Activation("relu"), (0.0,)),
        (lambda: layers.ReLU(max_value=0.5, negative_slope=0.1), (0.0, 0.5)),
        (lambda: layers.LeakyReLU(), (0.0,)),
        (lambda: layers.PReLU(), (0.0,)),
    ],
)
def test_kinks_are_exact(bent: Callable[[], Any], kinks: tuple[float, ...], shape: tuple[int, ...]) -> None:
    dense = shape == (6,)
    model, x = built(
        lambda: sequential((6,), layers.Dense(9), bent(), layers.Dense(3)) if dense else images(bent()), shape
    )
    front = keras.Model(model.inputs[0], model.layers[0 if dense else 2].output)
    for weight in model.weights:  # the slopes of PReLU are zeros at first
        if weight.name == "alpha":
            weight.assign(np.random.default_rng(2).uniform(0.1, 0.9, size=weight.shape))
    found = pyig.IntegratedGradients(model).explain(x, target=1)
    assert found.meta["method"] == "exact"
    wanted = between_kinks(front, model, x, kinks)
    assert np.abs(found.attributions - wanted).max() < 1e-12 * np.abs(wanted).max()


@pytest.mark.parametrize("target", [0, "top2", [0, 1, 2, 1, 0]])
@pytest.mark.parametrize("baselines", [None, 0.3, [0.0, 1.0], np.full((5, 6), 0.2)])
def test_targets_and_baselines(target: Any, baselines: Any) -> None:
    model, x = built(mlp)
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, baselines, target)
    wanted = explainer.explain(x, baselines, target, n_steps=200)
    assert (found.meta["method"], wanted.meta["method"]) != ("exact", "exact")
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)
    again = explainer.explain(x, baselines, target)  # with the form that is known by now
    np.testing.assert_array_equal(again.attributions, found.attributions)


def test_contrasts_and_batches() -> None:
    model, x = built(lambda: images(layers.ELU()), (6, 6, 2))
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, [0.0, 1.0], 0, contrast=2)
    each = [explainer.explain(x, [0.0, 1.0], target).attributions for target in (0, 2)]
    np.testing.assert_allclose(found.attributions, each[0] - each[1], rtol=0, atol=1e-14)
    small = explainer.explain(x, [0.0, 1.0], 0, contrast=2, batch_size=2)
    np.testing.assert_allclose(small.attributions, found.attributions, rtol=0, atol=1e-14)


def test_float32_stays_float32() -> None:
    with floats("float32"):
        model, x = built(mlp)
        found = pyig.IntegratedGradients(model).explain(x.astype(np.float32), target=1)
        wanted = pyig.IntegratedGradients(model).explain(x.astype(np.float32), target=1, n_steps=200)
    assert found.meta["method"] == "exact"
    assert found.attributions.dtype == np.float32
    assert far(found, wanted) < 1e-5


def test_several_inputs() -> None:
    keras.utils.set_random_seed(3)
    inputs = [keras.Input((4,)), keras.Input((3,))]
    hidden = layers.Dense(8, activation="gelu")(layers.Concatenate()([inputs[1], inputs[0]]))
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    x = [np.random.default_rng(n).normal(size=(5, n)) for n in (4, 3)]
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, target=1, allow_unused=True)
    wanted = explainer.explain(x, target=1, allow_unused=True, n_steps=200)
    assert found.meta["method"] == "exact"
    for a, b in zip(found.attributions, wanted.attributions, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def test_what_does_not_move_may_scale_what_does() -> None:
    keras.utils.set_random_seed(3)
    x, ids = keras.Input((6,)), keras.Input((5,), dtype="int32")
    gate = layers.Dense(6, "sigmoid")(ops.cast(ids, "float64"))  # not an embedding: then the path runs behind that
    hidden = layers.Multiply()([layers.Dense(6, "gelu")(x * gate), gate])
    model = keras.Model([x, ids], layers.Dense(3)(hidden))
    generator = np.random.default_rng(1)
    given = [generator.normal(size=(5, 6)), generator.integers(0, 9, size=(5, 5))]
    explainer = pyig.IntegratedGradients(model)
    found, wanted = (explainer.explain(given, target=1, n_steps=steps) for steps in (None, 200))
    assert found.meta["method"] == "exact"
    a, b = (np.asarray(each.attributions[0]) for each in (found, wanted))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def test_weights_that_change_are_followed() -> None:
    model, x = built(mlp)
    explainer = pyig.IntegratedGradients(model)
    explainer.explain(x, target=1)
    model.layers[0].kernel.assign(-2 * model.layers[0].kernel)
    found = explainer.explain(x, target=1)
    fresh = pyig.IntegratedGradients(model).explain(x, target=1)
    np.testing.assert_array_equal(found.attributions, fresh.attributions)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)


def replaced(model: Any) -> None:
    model.pop()
    model.add(layers.Dense(2))


def bent_again(model: Any) -> None:
    model.add(layers.Activation("tanh"))
    model.add(layers.Dense(3))


def softened(model: Any) -> None:
    model.layers[0].activation = keras.activations.softmax


def bent_otherwise(model: Any) -> None:
    model.layers[0].activation = keras.activations.relu


def by_hand(model: Any) -> None:
    old = model.layers[1].call
    model.layers[1].call = lambda x, training=None: old(x) ** 2


@pytest.mark.parametrize(
    ("change", "exact"),
    [(replaced, True), (bent_otherwise, True), (bent_again, False), (softened, False), (by_hand, False)],
)
def test_layers_that_change_are_looked_at_again(change: Callable[[Any], None], exact: bool) -> None:
    model, x = built(mlp)
    explainer = pyig.IntegratedGradients(model)
    assert explainer.explain(x, target=1).meta["method"] == "exact"
    change(model)
    found = explainer.explain(x, target=1)
    wanted = pyig.IntegratedGradients(model).explain(x, target=1, n_steps=200)
    assert (found.meta["method"] == "exact") is exact
    assert far(found, wanted) < 2e-2
    if exact:
        np.testing.assert_allclose(found.deltas, 0, atol=1e-13)


def thresholded() -> Any:
    return sequential((6,), layers.Dense(9), layers.ReLU(threshold=0.3), layers.Dense(3))


def custom_activation() -> Any:
    return sequential((6,), layers.Dense(9, activation=lambda z: ops.roll(ops.tanh(z), 1)), layers.Dense(3))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "two nonlinear layers": (
        lambda: sequential((6,), layers.Dense(9, "gelu"), layers.Dense(9, "relu"), layers.Dense(3)),
        "more than one nonlinear operation",
    ),
    "softmax": (lambda: sequential((6,), layers.Dense(3, "softmax")), "an activation is not known"),
    "softmax layer": (lambda: sequential((6,), layers.Dense(3), layers.Softmax()), "Softmax '"),
    "layer norm": (lambda: sequential((6,), layers.LayerNormalization(), layers.Dense(3)), "LayerNormalization '"),
    "pooling": (lambda: images(layers.MaxPooling2D(2)), "MaxPooling2D '"),
    "custom layer": (lambda: sequential((6,), Scaled(), layers.Dense(3)), "Scaled '"),
    "custom activation": (custom_activation, "an activation is not known"),
    "a jump": (thresholded, "ReLU '"),
    "product": (lambda: functional((6,), lambda x: layers.Dense(3)(x * layers.Dense(6)(x))), "more than one nonlinear"),
    "own call": (lambda: Overridden(*_graph()), "not a Sequential or Functional"),
    "program": (Written, "not a Sequential or Functional"),
    "function": (lambda: tf.function(mlp()), "is a function"),
    "half precision": (
        lambda: sequential((6,), layers.Dense(9, "tanh", dtype="mixed_bfloat16"), layers.Dense(3)),
        "returns another dtype",
    ),
    "deep": (lambda: sequential((6,), *[layers.Dense(6) for _ in range(20)]), "too many layers"),
}


def _graph() -> tuple[Any, Any]:
    x = keras.Input((6,))
    return x, layers.Dense(3)(layers.Dense(9)(x))


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name: str) -> None:
    make, reason = REFUSED[name]
    keras.utils.set_random_seed(3)
    model, shape = make(), (6, 6, 2) if name == "pooling" else (6,)
    x = np.random.default_rng(1).normal(size=(3, *shape))
    backend, points = TensorFlowBackend(model), tf.constant(x)
    found = closed_form(model, InputForward(backend, LEAF, (0,)), [points], [0.0 * points[:1]], [])
    assert isinstance(found, Refusal)
    assert re.search(reason, found.reason)
    by_regions = name in ("softmax", "softmax layer", "pooling")
    assert (pyig.IntegratedGradients(model).explain(x, target=1).meta["method"] == "exact") is by_regions


@pytest.mark.parametrize(
    "options", [{"n_steps": 50}, {"method": "adaptive"}, {"value": "probability"}, {"target": lambda z: z[:, 0]}]
)
def test_what_asks_for_something_else_gets_it(options: dict[str, Any]) -> None:
    model, x = built(mlp)
    assert pyig.IntegratedGradients(model).explain(x, **{"target": 1, **options}).meta["method"] != "exact"


def test_the_model_stays_as_it_was() -> None:
    model, x = built(mlp)
    before, nodes = model.get_weights(), [len(layer._inbound_nodes) for layer in model.layers]
    pyig.IntegratedGradients(model).explain(x, target=1)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes


def test_a_known_form_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyig.structure import keras_record

    model, x = built(mlp)
    explainer = pyig.IntegratedGradients(model)
    first, found = explainer.explain(x, target=1), []
    monkeypatch.setattr(keras_record, "record", lambda *given, **options: found.append(given))
    second = explainer.explain(x, target=1)
    assert not found
    np.testing.assert_array_equal(first.attributions, second.attributions)
    with pytest.raises(Exception, match="NoneType"):  # the opposite: another explainer looks
        pyig.IntegratedGradients(model).explain(x, target=1)
    assert found


def test_tf_keras_models() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    x = tf_keras.Input((6,), dtype="float64")
    hidden = tf_keras.layers.Dense(9, activation="gelu", dtype="float64")(x)
    model = tf_keras.Model(x, tf_keras.layers.Dense(3, dtype="float64")(hidden) + tf.math.tanh(x[:, :3]))
    points = np.random.default_rng(1).normal(size=(5, 6))
    explainer = pyig.IntegratedGradients(model)
    found, wanted = (explainer.explain(points, target=1, n_steps=steps) for steps in (None, 200))
    assert found.meta["method"] == "exact"
    assert far(found, wanted) < 1e-12
