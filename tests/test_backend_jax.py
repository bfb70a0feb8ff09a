"""The JAX backend: whose models it takes and how it calls them, one VJP, 64 bits, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import frameworks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import pyig
from pyig.backends import choose, jax_ops
from pyig.backends.jax import JaxBackend
from pyig.errors import InputError, InputTypeError, ModelError
from pyig.heads import CustomHead, TargetHead

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
B = np.ones((6, 2), np.float32)
W = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2)), jnp.float32)


def mlp(depth: int = 1) -> Any:
    return eqx.nn.MLP(3, 2, 5, depth, key=jax.random.key(0))


def applied(params: Any, x: Any) -> Any:
    return jnp.tanh(x @ params["w"])


def grads(backend: JaxBackend, x: Any, target: int = 0) -> tuple[Any, Any]:
    found = backend.value_and_grad(
        lambda points, fixed: backend.call(points[0], {}),
        [backend.asarray(x)],
        [],
        TargetHead(),
        [np.full(len(x), target)],
    )
    return found[0], found[1][0]


# --- whose model it is ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "model",
    [
        mlp(),
        mlp().__call__,
        jax.vmap(mlp()),
        jax.jit(lambda x: x),
        jax.vmap(lambda x: x),
        partial(applied, {"w": W}),
        jax.tree_util.Partial(applied, {"w": W}),
    ],
    ids=["module", "method", "vmap", "jit", "vmap of a function", "partial", "tree partial"],
)
def test_it_owns_what_jax_made(model: Any) -> None:
    assert JaxBackend.owns(model, [X])
    assert choose(model, [X]).name == "jax"


def test_it_owns_a_plain_function_by_its_leaves_alone() -> None:
    assert JaxBackend.owns(lambda x: x, [X, jnp.asarray(X)])
    assert not JaxBackend.owns(lambda x: x, [X])
    assert not JaxBackend.owns(partial(applied, {"w": X}), [X])
    assert not JaxBackend.owns("no function", [jnp.asarray(X)])
    with pytest.raises(InputTypeError, match="cannot tell which framework"):
        choose(lambda x: x, [X])


# --- how it is called ----------------------------------------------------------------------------------------------
CALLS: dict[str, tuple[Any, Any, Any]] = {
    "positions": (lambda a, b: a[:, :2] * b, (X, B), X[:, :2] * B),
    "one argument": (lambda pair: pair[0][:, :2] * pair[1], [X, B], X[:, :2] * B),
    "keywords": (jax.jit(lambda a, b: a[:, :2] * b), {"b": B, "a": X}, X[:, :2] * B),
    "one dict": (lambda d: d["a"][:, :2] * d["b"], {"b": B, "a": X}, X[:, :2] * B),
    "inference mode": (lambda x, training=True: x * (100.0 if training else 1.0), X, X),
}


@pytest.mark.parametrize("name", CALLS)
def test_structures_are_passed_as_the_model_takes_them(name: str) -> None:
    model, x, wanted = CALLS[name]
    backend = JaxBackend(model)
    np.testing.assert_allclose(backend.call(pyig.tree.tree_map(backend.asarray, x), {}), wanted, rtol=1e-6)


def test_a_module_is_explained() -> None:
    model = jax.vmap(mlp())
    found = pyig.IntegratedGradients(model).explain(X.astype(np.float64), target=1, n_steps=400)
    assert found.meta["backend"] == "jax"
    assert found.attributions.dtype == np.float32  # as its weights
    np.testing.assert_allclose(found.attributions.sum(1), model(X)[:, 1] - model(X * 0)[:, 1], rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("model", "x", "words"),
    [
        (mlp(), X, r"jax\.vmap\(model\)"),
        (jax.vmap(eqx.nn.Dropout(0.5)), X, "inference_mode"),
        (lambda tokens: W[tokens].sum(1), X, "token ids as whole numbers"),
        (lambda x: jnp.asarray(np.asarray(x)), X, "turns its input into numpy"),
    ],
    ids=["one sample", "chance", "tokens", "numpy"],
)
def test_what_does_not_fit_is_explained(model: Any, x: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        pyig.IntegratedGradients(model, backend="jax").explain(x, target=0)


def test_the_same_module_runs_where_it_draws_nothing_or_is_given_a_key() -> None:
    dropout = eqx.nn.Dropout(0.5)
    still = pyig.IntegratedGradients(jax.vmap(eqx.nn.inference_mode(dropout))).explain(X, target=0)
    np.testing.assert_allclose(still.attributions[:, 0], X[:, 0], rtol=1e-6)
    key = jax.random.key(3)
    drawn = pyig.IntegratedGradients(lambda x, key: dropout(x, key=key), backend="jax")
    options = {"n_steps": 2, "target": 0, "batch_size": 1, "forward_kwargs": {"key": pyig.static(key)}}
    first = drawn.explain(X, **options).attributions
    np.testing.assert_array_equal(first, drawn.explain(X, **options).attributions)
    assert jnp.array_equal(jax.random.key_data(key), jax.random.key_data(jax.random.key(3)))


# --- the gradient --------------------------------------------------------------------------------------------------
def test_an_unused_point_has_no_gradient() -> None:
    ig = pyig.IntegratedGradients(lambda a, b: a.sum(1) + jnp.round(b).sum(1), backend="jax")
    with pytest.raises(InputError, match="does not depend on input 'b'"):
        ig.explain({"a": X, "b": B})
    found = ig.explain({"a": X, "b": B}, allow_unused=True)
    np.testing.assert_allclose(found.attributions["a"], X, rtol=1e-6)
    np.testing.assert_array_equal(found.attributions["b"], 0)


@pytest.mark.parametrize("broken", [jnp.round, lambda x: jnp.argmax(x, axis=1), lambda x: jax.lax.stop_gradient(x) * 2])
def test_a_model_without_any_gradient_is_refused(broken: Any) -> None:
    with pytest.raises(ModelError, match=r"depend on the input .* got outputs of shape \(6,.* without a gradient"):
        grads(JaxBackend(broken), X)


def test_a_gradient_that_happens_to_be_zero_is_one() -> None:
    _, found = grads(JaxBackend(jax.nn.relu), -np.abs(X))
    np.testing.assert_array_equal(found, 0)


def test_a_custom_head_differentiates_the_users_function() -> None:
    backend = JaxBackend(None)
    for outputs in (X, jnp.asarray(X)):
        values, cotangent = CustomHead(lambda o: o[:, 0] * o[:, 1])(backend, outputs, [])
        np.testing.assert_array_equal(values, X[:, 0] * X[:, 1])
        np.testing.assert_array_equal(cotangent, np.stack([X[:, 1], X[:, 0], 0 * X[:, 0]], axis=1))
    with pytest.raises(ModelError, match=r"one number per row, shape \(6,\); got \(6, 3\)"):
        CustomHead(lambda o: o * 2.0)(backend, X, [])
    with pytest.raises(ModelError, match="target function that depends"):
        CustomHead(lambda o: jnp.round(o[:, 0]))(backend, X, [])


def test_several_targets_share_one_forward() -> None:
    seen = []

    def model(x: Any) -> Any:
        seen.append(x.shape)
        return jnp.tanh(x @ W)

    backend = JaxBackend(model)
    found = backend.values_and_grads(
        lambda points, fixed: backend.call(points[0], {}), [jnp.asarray(X)], [], TargetHead(),
        [[np.full(6, 0)], [np.full(6, 1)]],
    )  # fmt: skip
    assert seen == [(6, 3)]
    for target, (values, (grad,)) in enumerate(found):
        value, alone = grads(JaxBackend(model), X, target)
        np.testing.assert_array_equal(values, value)
        np.testing.assert_allclose(grad, alone, rtol=1e-6)


# --- precision -----------------------------------------------------------------------------------------------------
def test_float64_is_kept_and_the_switch_stays_as_it_was() -> None:
    assert not jax.config.jax_enable_x64
    seen = []

    def model(x: Any) -> Any:
        seen.append((x.dtype, jnp.zeros(1).dtype))
        return (x**2).sum(1)

    found = pyig.IntegratedGradients(model, backend="jax").explain(X.astype(np.float64), n_steps=3)
    np.testing.assert_allclose(found.attributions, X.astype(np.float64) ** 2, rtol=1e-14)
    assert set(seen) == {(jnp.dtype("float64"), jnp.dtype("float64"))}
    seen.clear()
    pyig.IntegratedGradients(model, backend="jax").explain(jnp.asarray(X), n_steps=3)
    assert set(seen) == {(jnp.dtype("float32"), jnp.dtype("float32"))}, "the model runs as its user runs it"
    assert not jax.config.jax_enable_x64
    assert jnp.zeros(1).dtype == jnp.float32


def test_the_switch_is_put_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        pyig.IntegratedGradients(lambda x: x / (1 // 0), backend="jax").explain(X.astype(np.float64))
    assert not jax.config.jax_enable_x64


def test_the_users_own_switch_is_heeded() -> None:
    with jax.enable_x64(True):
        x = jnp.asarray(X.astype(np.float64))
        found = pyig.IntegratedGradients(lambda x: (x**3).sum(1)).attribute(x, n_steps=3)
        assert found.dtype == jnp.float64
        assert JaxBackend(None).asarray(np.array([2**40])).dtype == jnp.int64
    np.testing.assert_allclose(found, np.asarray(x) ** 3, rtol=1e-13)


def test_numbers_that_32_bits_cannot_hold_are_refused() -> None:
    backend = JaxBackend(None)
    assert backend.asarray(np.array([2**31 - 1])).dtype == jnp.int32
    with pytest.raises(InputTypeError, match="whole numbers of 32 bits"):
        backend.asarray(np.array([2**31]))
    with pytest.raises(InputTypeError, match="dtype <U1"):
        backend.asarray(np.array(["a"]))


def test_narrow_floats() -> None:
    backend = JaxBackend(None)
    half = jnp.asarray(X, jnp.bfloat16)
    assert backend.to_numpy(half).dtype == np.float32
    assert backend.is_floating(half)
    assert not backend.on_host(half)
    found = pyig.IntegratedGradients(lambda x: (x**2).sum(1)).attribute(half, n_steps=3)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), X**2, rtol=0.05, atol=0.01)


# --- nothing left behind -------------------------------------------------------------------------------------------
def test_no_tracer_leaks_and_nothing_is_donated() -> None:
    x, start = jnp.asarray(X), jnp.zeros_like(X)
    with jax.checking_leaks():
        pyig.IntegratedGradients(lambda x: jnp.tanh(x @ W)).explain(x, start, target=0, n_steps=4)
    assert not x.is_deleted()
    assert not start.is_deleted()
    assert not W.is_deleted()
    np.testing.assert_array_equal(x, X)


def test_memory_that_runs_out_is_a_smaller_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jnp.zeros((1 << 45,), jnp.float32).block_until_ready()
    backend = JaxBackend(None)
    assert backend.is_out_of_memory(caught.value)
    assert not backend.is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: other"))
    assert not backend.is_out_of_memory(ValueError("RESOURCE_EXHAUSTED"))
    ig = pyig.IntegratedGradients(lambda x: (x**2).sum(1), backend="jax")
    programs = ig.backend_for(X)._programs  # type: ignore[attr-defined]
    inner = programs.run

    def run(what: Any, step: Any, args: Any, *rest: Any) -> Any:
        if len(args[0][0]) > 8:
            raise caught.value
        return inner(what, step, args, *rest)

    monkeypatch.setattr(programs, "run", run)
    found = ig.explain(X, n_steps=20, batch_size=64)
    assert found.meta["batch_rows"] <= 8
    np.testing.assert_allclose(found.attributions, X**2, rtol=1e-5)


# --- a device whose memory numpy cannot read -----------------------------------------------------------------------
@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the backend believe that JAX has no memory of the host."""
    monkeypatch.setattr(jax_ops, "home", lambda: None)
    assert not JaxBackend(None).on_host(jnp.asarray(X))


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(
    ("name", "options", "dtype", "tolerance"),
    [
        ("record", {"n_steps": 20}, np.float64, 1e-12),
        ("tokens", {"n_steps": 20}, np.float32, 1e-6),
        ("tanh", {"method": "adaptive"}, np.float64, 1e-12),
    ],
)
def test_device_rows_agree_with_numpy(name: str, options: dict[str, Any], dtype: Any, tolerance: float) -> None:
    entry = zoo.ENTRIES[name]()
    oracle = frameworks.explain("callable", entry, **options)
    found = frameworks.explain("jax", entry, dtype, **options)
    for a, b in zip(*(pyig.tree.flatten(e.attributions)[0] for e in (found, oracle)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.usefixtures("far")
def test_sums_on_a_device_are_wide_though_the_model_is_narrow() -> None:
    seen = []

    def model(x: Any) -> Any:
        seen.append((x.dtype, jnp.zeros(1).dtype))
        return jax.nn.softmax(x @ W)

    options = {"n_steps": 8, "return_convergence_delta": True}
    found = pyig.IntegratedGradients(model).attribute(jnp.asarray(X), target=0, **options)
    assert set(seen) == {(jnp.dtype("float32"), jnp.dtype("float32"))}
    assert isinstance(found[0], jax.Array)
    assert found[0].dtype == jnp.float32
    wide = JaxBackend(None).wide_zeros((2,), jnp.zeros(1))
    assert wide.dtype == np.float64
    assert not jax.config.jax_enable_x64


# --- Keras belongs to one backend per process ----------------------------------------------------------------------
def test_keras_on_jax() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("keras_on_jax.py"))],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == [
        "sequential",
        "functional",
        "subclassed",
        "unbuilt",
        "layered",
        "method",
        "trained",
        "changed",
    ]
