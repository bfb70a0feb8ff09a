"""Small Keras networks with kinks are integrated exactly, without being asked where that costs less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
from keras import layers, ops  # noqa: E402
from keras_cases import floats  # noqa: E402
from keras_prefixes import Program as Written  # noqa: E402
from keras_prefixes import Scaled, trained  # noqa: E402
from torch_integrals import gauss  # noqa: E402

import pyig  # noqa: E402

if keras.backend.backend() != "tensorflow":
    pytest.skip("these models are Keras' on TensorFlow", allow_module_level=True)
from pyig.structure.keras_graph import Call, calls_of  # noqa: E402
from pyig.structure.keras_kinks import winners_of  # noqa: E402


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with floats("float64"):
        yield


def sequential(shape: tuple[int, ...], *items: Any) -> Any:
    return keras.Sequential([layers.Input(shape), *items])


def mlp(*bent: Any, width: int = 6) -> Any:
    bent = bent or ("relu", "relu")
    hidden = [part for item in bent for part in _bent(width, item)]
    return sequential((5,), *hidden, layers.Dense(3))


def _bent(width: int, item: Any) -> list[Any]:
    return [layers.Dense(width, item)] if isinstance(item, str) else [layers.Dense(width), item]


def images() -> Any:
    front = [layers.Rescaling(0.5, offset=-1.0), layers.Conv2D(2, 3, use_bias=False), layers.BatchNormalization()]
    middle = [layers.LeakyReLU(0.2), layers.MaxPooling2D(2), layers.Conv2D(3, 2, activation="relu")]
    return sequential((6, 6, 2), *front, *middle, layers.GlobalMaxPooling2D(), layers.Dense(3))


def signal() -> Any:
    front = [layers.Conv1D(2, 3, padding="same"), layers.MaxPooling1D(3, 2, padding="same"), layers.Flatten()]
    return sequential((7, 2), *front, *_bent(4, "relu6"), layers.Dense(3))


def written_out() -> Any:
    """Operations, a residual, two branches, a product with a constant, and a nested model."""
    inner = sequential((6,), layers.Dense(6, "leaky_relu"), layers.Dropout(0.5))
    x = keras.Input((5,))
    z = layers.Dense(6)(x)
    z = ops.absolute(z) + ops.clip(z, -1.0, 0.5) + 2.0 * ops.relu6(z)
    z = layers.Add()([z, inner(z)])
    mixed = layers.Concatenate()([ops.maximum(z[:, :3], 0.1), layers.Activation("hard_tanh")(z[:, 3:])])
    return keras.Model(x, layers.Dense(3)(mixed))


def headed() -> Any:
    return sequential((5,), *_bent(6, "relu"), *_bent(6, "relu"), layers.Dense(3), layers.Softmax())


NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "mlp": (mlp, (5,)),
    "one number": (lambda: sequential((5,), *_bent(6, "relu"), *_bent(6, "hard_sigmoid"), layers.Dense(1)), (5,)),
    "layers": (lambda: mlp(layers.ReLU(max_value=0.6, negative_slope=0.1), layers.PReLU(), layers.LeakyReLU()), (5,)),
    "activations": (lambda: mlp("soft_shrink", layers.Activation("leaky_relu"), layers.ReLU()), (5,)),
    "images": (images, (6, 6, 2)),
    "signal": (signal, (7, 2)),
    "written out": (written_out, (5,)),
    "affine, softmax": (lambda: sequential((5,), layers.Dense(3, "softmax")), (5,)),
    "softmax": (headed, (5,)),
}


def built(make: Callable[[], Any], shape: tuple[int, ...] = (5,), rows: int = 3) -> tuple[Any, np.ndarray]:
    keras.utils.set_random_seed(3)
    model, generator = make(), np.random.default_rng(1)
    trained(model)
    for weight in model.trainable_variables:  # biases begin as zeros, and slopes too
        weight.assign(weight + 0.2 * generator.uniform(size=weight.shape))
    return model, 2 * generator.normal(size=(rows, *shape))


def gradients(model: Any, points: np.ndarray, target: int) -> np.ndarray:
    leaf = tf.constant(points)
    with tf.GradientTape() as tape:
        tape.watch(leaf)
        out = tf.reshape(model(leaf, training=False), (len(points), -1))[:, target]
    found: np.ndarray = tape.gradient(out, leaf).numpy()
    return found


def bisected(model: Any, row: np.ndarray, target: int) -> np.ndarray:
    """Integrate from zero by Gauss' rule between the kinks, which are where the gradient jumps, by bisection.

    The gradients are those of a model without its smooth head, whose kinks are the same.
    """
    last = model.layers[-1]
    linear = keras.Model(model.inputs, last.input) if isinstance(last, layers.Softmax) else model

    def pattern(alphas: np.ndarray) -> np.ndarray:
        points = alphas.reshape(-1, *[1] * row.ndim) * row
        return np.round(sum((k + 1.7) * gradients(linear, points, k) for k in range(linear.output_shape[-1])), 9)

    grid = np.linspace(1e-9, 1, 1501)
    every = pattern(grid).reshape(len(grid), -1)
    jumps = np.flatnonzero((every[1:] != every[:-1]).any(axis=1))
    low, high, below = grid[jumps], grid[jumps + 1], every[jumps]
    for _ in range(45 if len(jumps) else 0):
        middle = 0.5 * (low + high)
        same = (pattern(middle).reshape(len(middle), -1) == below).all(axis=1)
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    nodes, weights = gauss(24, [0.0, *high, 1.0])
    shares = gradients(model, nodes.reshape(-1, *[1] * row.ndim) * row, target)
    return row * np.tensordot(weights, shares, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_twelve_digits_against_bisection(name: str) -> None:
    model, x = built(*NETWORKS[name])
    found = pyig.IntegratedGradients(model).explain(x, target=0, rtol=1e-3)
    assert found.meta["method"] == "exact"
    assert found.converged.all()
    np.testing.assert_allclose(found.deltas, 0, atol=1e-12)
    wanted = np.stack([_smooth(model, row) if name == "affine, softmax" else bisected(model, row, 0) for row in x])
    assert np.abs(found.attributions - wanted).sum() < 1e-12 * np.abs(wanted).sum()


def _smooth(model: Any, row: np.ndarray) -> np.ndarray:
    nodes, weights = gauss(24, np.linspace(0, 1, 9))
    return row * np.tensordot(weights, gradients(model, nodes[:, None] * row, 0), 1)


def test_a_bend_is_found_in_each_place() -> None:
    """The opposite: the affine part alone has one region, and each layer with kinks adds some."""
    regions = []
    for depth in range(4):
        make = (lambda depth=depth: mlp(*["relu"] * depth)) if depth else (lambda: sequential((5,), layers.Dense(3)))
        model, x = built(make, rows=20)
        found = pyig.IntegratedGradients(model).explain(x, 0.3, target=0, value="probability", method="exact")
        regions.append(found.n_evals.sum())
    assert regions[0] == 20
    assert sorted(set(regions)) == regions


@pytest.mark.parametrize("value", ["probability", "log_probability", "log_odds"])
def test_smooth_functions_of_the_outputs_are_exact_too(value: str) -> None:
    model, x = built(mlp)
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(x, target=0, value=value)
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.deltas, 0, atol=1e-11)
    wanted = explainer.explain(x, target=0, value=value, method="riemann_middle", n_steps=5000)
    assert np.abs(found.attributions - wanted.attributions).sum() < 2e-3 * np.abs(wanted.attributions).sum()


@pytest.mark.parametrize("target", [1, "top2"])
@pytest.mark.parametrize("baselines", [None, 0.3, [0.0, 0.5, -1.0]])
def test_targets_and_baselines(target: Any, baselines: Any) -> None:
    model, x = built(mlp)
    explainer = pyig.IntegratedGradients(model)
    first, found = (explainer.explain(x, baselines, target) for _ in range(2))  # the second knows the model
    np.testing.assert_array_equal(first.attributions, found.attributions)
    each = baselines if isinstance(baselines, list) else [baselines]
    parts = [explainer.explain(x, start, target).attributions for start in each]
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.attributions, np.mean(parts, axis=0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.deltas, 0, atol=1e-12)


def test_batches_and_traces_give_the_same() -> None:
    model, x = built(images, (6, 6, 2), rows=9)
    explainer = pyig.IntegratedGradients(model)
    options = {"target": 1, "method": "exact"}
    wanted = explainer.explain(x, **options)
    small = explainer.explain(x, batch_size=7, **options)
    np.testing.assert_allclose(small.attributions, wanted.attributions, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(small.n_evals, wanted.n_evals)
    for _ in range(12):  # what keeps coming back is traced
        again = explainer.explain(x, **options)
    np.testing.assert_allclose(again.attributions, wanted.attributions, rtol=0, atol=1e-13)


def test_two_inputs_one_of_them_fixed() -> None:
    x, ids = keras.Input((5,)), keras.Input((1,), dtype="int32")
    places = layers.Dense(6, "tanh")(ops.cast(ids, "float64"))
    hidden = layers.Dense(6, "relu")(layers.Dense(6, "relu")(x) + places)
    model, generator = keras.Model([x, ids], layers.Dense(3)(hidden)), np.random.default_rng(1)
    trained(model)
    rows, numbers = generator.normal(size=(4, 5)), generator.integers(0, 4, size=(4, 1))
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain([rows, numbers], target=1)
    wanted = explainer.explain([rows, numbers], target=1, method="riemann_middle", n_steps=5000)
    assert found.meta["method"] == "exact"
    np.testing.assert_allclose(found.deltas, 0, atol=1e-13)
    np.testing.assert_allclose(found.attributions[0], wanted.attributions[0], rtol=0, atol=2e-3)


def test_float32_stays_float32() -> None:
    with floats("float32"):
        model, x = built(headed)  # the softmax is averaged in float64 all the same
        found = pyig.IntegratedGradients(model).explain(x.astype(np.float32), target=1)
        assert found.meta["method"] == "exact"
        assert found.attributions.dtype == np.float32
        np.testing.assert_allclose(found.deltas, 0, atol=1e-5)


@pytest.mark.parametrize("baselines", [None, [0.0, 0.5]])
def test_a_path_with_too_many_regions_is_integrated_adaptively(baselines: Any) -> None:
    model, x = built(lambda: mlp(width=16), rows=12)
    x[::2] *= 1e-3  # near the baseline nothing bends
    explainer = pyig.IntegratedGradients(model)
    free = explainer.explain(x, baselines, 1, method="exact")
    most = max(5, int(np.median(free.n_evals)) // (1 if baselines is None else 2))
    found = explainer.explain(x, baselines, 1, method="exact", max_evals=most, rtol=0.5)
    left = np.asarray(found.error) > 1e-12
    assert 0 < left.sum() < 12
    np.testing.assert_allclose(found.attributions[~left], free.attributions[~left], rtol=0, atol=1e-13)
    assert any(f"{left.sum()} of 12" in note for note in found.meta["notes"])


def _heavier(model: Any) -> None:
    model.layers[0].kernel.assign(-2.0 * model.layers[0].kernel)


def _flatter(model: Any) -> None:
    model.layers[1].negative_slope = 0.7


def _smoother(model: Any) -> None:
    model.layers[2].activation = keras.activations.gelu


@pytest.mark.parametrize("calls", [1, 14])
@pytest.mark.parametrize(("change", "method"), [(_heavier, "exact"), (_flatter, "exact"), (_smoother, "adaptive")])
def test_a_network_that_has_changed_is_looked_at_again(change: Any, method: str, calls: int) -> None:
    model, x = built(lambda: sequential((5,), *_bent(6, layers.LeakyReLU(0.1)), *_bent(6, "relu"), layers.Dense(3)))
    explainer = pyig.IntegratedGradients(model)
    for _ in range(calls):  # of many, what was found is traced
        assert explainer.explain(x, target=1, rtol=1e-3).meta["method"] == "exact"
    change(model)
    found = explainer.explain(x, target=1, rtol=1e-3)
    wanted = pyig.IntegratedGradients(model).explain(x, target=1, rtol=1e-3)
    assert found.meta["method"] == wanted.meta["method"] == method
    np.testing.assert_allclose(found.attributions, wanted.attributions, rtol=0, atol=1e-12)


REFUSED: dict[str, Callable[[], Any]] = {
    "smooth": lambda: mlp("gelu", "relu"),
    "smooth in between": lambda: mlp("relu", "tanh"),
    "normalised": lambda: sequential((5,), *_bent(6, "relu"), layers.LayerNormalization(), layers.Dense(3)),
    "softmax in between": lambda: mlp("relu", "softmax"),
    "silu": lambda: mlp("relu", "hard_silu"),
    "a jump": lambda: mlp(layers.ReLU(threshold=0.3), "relu"),
    "custom layer": lambda: sequential((5,), *_bent(5, "relu"), Scaled(), *_bent(5, "relu"), layers.Dense(3)),
    "custom activation": lambda: mlp(layers.Activation(lambda z: ops.relu(ops.roll(z, 1))), "relu"),
    "largest of two": lambda: _merged(layers.Maximum()),
    "product": lambda: _merged(layers.Multiply()),
    "program": Written,
    "function": lambda: tf.function(mlp()),
    "half precision": lambda: mlp(layers.ReLU(dtype="mixed_bfloat16"), "relu"),
    "deep": lambda: mlp(*["relu"] * 17),
}


def _merged(layer: Any) -> Any:
    x = keras.Input((5,))
    return keras.Model(x, layers.Dense(3)(layers.Dense(6, "relu")(layer([layers.Dense(6)(x), layers.Dense(6)(x)]))))


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    keras.utils.set_random_seed(3)
    model, x = REFUSED[name](), np.random.default_rng(1).normal(size=(3, 5))
    with pytest.raises(pyig.InputError, match="linear regions"):
        pyig.IntegratedGradients(model).explain(x, target=1, method="exact", value="probability", output_kind="logits")
    assert pyig.IntegratedGradients(model).explain(x, target=1, rtol=0.1).meta["method"] != "exact"


def test_a_layer_whose_kinks_are_elsewhere_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyig.structure import keras_kinks

    model, x = built(lambda: mlp("relu", "hard_tanh"))
    assert pyig.IntegratedGradients(model).explain(x, target=1).meta["method"] == "exact"
    monkeypatch.setitem(keras_kinks._FUNCTIONS, "hard_tanh", (0.3,))
    with pytest.raises(pyig.InputError, match="not what their names say"):
        pyig.IntegratedGradients(model).explain(x, target=1, method="exact")


def test_tf_keras_models() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    part = tf_keras.layers
    x = tf_keras.Input((6, 2), dtype="float64")
    hidden = part.Conv1D(3, 3, activation="relu", dtype="float64")(x)
    hidden = part.MaxPooling1D(2, dtype="float64")(hidden)
    hidden = part.Dense(5, activation="hard_sigmoid", dtype="float64")(part.Flatten(dtype="float64")(hidden))
    model = tf_keras.Model(x, part.Dense(3, dtype="float64")(tf.nn.relu(hidden - 0.5)))
    generator = np.random.default_rng(1)
    model.set_weights([weight + 0.3 * generator.normal(size=weight.shape) for weight in model.get_weights()])
    points = 3 * generator.normal(size=(4, 6, 2))
    explainer = pyig.IntegratedGradients(model)
    found = explainer.explain(points, target=1, rtol=1e-3)
    assert found.meta["method"] == "exact"
    wanted = np.stack([bisected(model, row, 1) for row in points])
    assert np.abs(found.attributions - wanted).sum() < 1e-12 * np.abs(wanted).sum()


# --- the winners of a pool --------------------------------------------------------------------------------------------
def call_of(layer: Any, shape: Sequence[int]) -> Call:
    model = sequential(tuple(shape), layer)
    model.compute_output_shape((1, *shape))
    return calls_of(model)[-1]


@settings(max_examples=25, deadline=None)
@given(
    places=st.lists(st.integers(3, 6), min_size=1, max_size=3),
    size=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["valid", "same"]),
    everywhere=st.booleans(),
)
def test_winners_are_what_the_layer_takes(
    places: list[int], size: int, stride: int, padding: str, everywhere: bool
) -> None:
    rank = len(places)
    assume(rank < 3 or size >= stride)  # else TensorFlow centres its windows on three axes
    if everywhere:
        layer = getattr(layers, f"GlobalMaxPooling{rank}D")(dtype="float32")
    else:
        layer = getattr(layers, f"MaxPooling{rank}D")(size, strides=stride, padding=padding, dtype="float32")
    values = np.random.default_rng(sum(places) + size).normal(size=(2, *places, 2)).astype(np.float32)
    find = winners_of(call_of(layer, values.shape[1:]))
    assert find is not None
    taken = np.take_along_axis(values.reshape(2, -1), find(values), axis=1)
    np.testing.assert_array_equal(taken, np.asarray(layer(values)).reshape(2, -1))
