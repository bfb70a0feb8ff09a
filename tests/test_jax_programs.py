"""JAX programs: few for any number of rows, and true to the model of the day."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pyig
from pyig.backends.jax import JaxBackend
from pyig.heads import TargetHead

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
W = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2)), jnp.float32)


def mlp() -> Any:
    return eqx.nn.MLP(3, 2, 5, 1, key=jax.random.key(0))


def run_rows(backend: JaxBackend, model: Any, counts: Any) -> None:
    def forward(points: Any, fixed: Any) -> Any:
        return model(points[0])

    for rows in counts:
        x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
        values, (grad,) = backend.value_and_grad(forward, [x], [], TargetHead(), [np.zeros(rows, np.int64)])
        assert values.shape == (rows,)
        np.testing.assert_allclose(values, np.tanh(x @ np.asarray(W))[:, 0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(grad, (1 - values**2)[:, None] * np.asarray(W)[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", ["up", "down", "mixed"])
def test_programs_stay_few_whatever_the_number_of_rows(order: str) -> None:
    counts = np.arange(1, 301)[:: -1 if order == "down" else 1]
    counts = np.random.default_rng(0).permutation(counts) if order == "mixed" else counts
    backend = JaxBackend(None)
    forward_model = jax.jit(lambda x: jnp.tanh(x @ W))

    def forward(points: Any, fixed: Any) -> Any:
        return forward_model(points[0])

    for rows in counts:
        x = np.full((rows, 3), 0.1, np.float32)
        backend.value_and_grad(forward, [x], [], TargetHead(), [np.zeros(rows, np.int64)])
    assert backend._programs.compiled <= 12
    assert backend._programs.traced == backend._programs.compiled


def test_padding_changes_nothing() -> None:
    run_rows(JaxBackend(None), lambda x: jnp.tanh(x @ W), [5, 3, 7, 1, 40, 39, 2])


def test_a_size_that_comes_back_gets_its_own_program() -> None:
    backend = JaxBackend(None)

    def forward(points: Any, fixed: Any) -> Any:
        return points[0].sum(1)

    for rows in (1000, *[600] * 5):
        backend.value_and_grad(forward, [np.ones((rows, 200), np.float32)], [], TargetHead(), [np.zeros(rows, int)])
    (entry,) = backend._programs._entries.values()
    assert sorted(entry.programs) == [600, 1000]


def counted(ig: pyig.IntegratedGradients) -> tuple[int, int]:
    programs = ig.backend_for(jnp.asarray(X))._programs  # type: ignore[attr-defined]
    return programs.traced, programs.compiled


def test_new_weights_are_seen_without_a_new_program() -> None:
    params = {"w": W}
    ig = pyig.IntegratedGradients(lambda x: x @ params["w"], backend="jax")
    np.testing.assert_allclose(ig.explain(X, target=0, n_steps=3).attributions, X * W[:, 0], rtol=1e-5)
    before = counted(ig)
    params["w"] = W + 1e-4
    np.testing.assert_allclose(ig.explain(X, target=0, n_steps=3).attributions, X * (W + 1e-4)[:, 0], rtol=1e-6)
    after = counted(ig)
    assert after[1] == before[1]
    assert after[0] > before[0]


def test_new_python_is_a_new_program() -> None:
    class Model:
        power = 1.0

        def __call__(self, x: Any) -> Any:
            return (self.power * x).sum(1)

    model = Model()
    ig = pyig.IntegratedGradients(model, backend="jax")
    np.testing.assert_allclose(ig.explain(X, n_steps=3).attributions, X, rtol=1e-6)
    model.power = 1.0000005  # written into the trace as a number
    before = counted(ig)
    ig.explain(X, n_steps=3)
    assert counted(ig)[1] == before[1] + 2
    model.__class__.__call__ = lambda self, x: (x * x).sum(1)  # type: ignore[method-assign, assignment]
    np.testing.assert_allclose(ig.explain(X, n_steps=3).attributions, X * X, rtol=1e-5)


@pytest.mark.parametrize("model", [jax.jit(lambda x: x @ W), jax.vmap(mlp())], ids=["jitted", "frozen module"])
def test_what_cannot_change_is_traced_once(model: Any) -> None:
    ig = pyig.IntegratedGradients(model)
    ig.explain(jnp.asarray(X), target=0, n_steps=5)
    before = counted(ig)
    ig.explain(jnp.asarray(X), target=1, n_steps=5)
    assert counted(ig) == before
    scale = [1.0]
    for wanted in (1.0, 2.0):  # but the user's own target function may have
        scale[0] = wanted
        found = ig.explain(jnp.asarray(X), target=lambda o: scale[0] * o[:, 0], n_steps=5)
        np.testing.assert_allclose(found.values, wanted * model(jnp.asarray(X))[:, 0], rtol=1e-5)


def test_arrays_among_the_keyword_arguments() -> None:
    ig = pyig.IntegratedGradients(lambda x, edges, scale: (x @ edges) * scale, backend="jax")
    for factor in (1.0, 2.0):
        options = {"edges": pyig.static(factor * W), "scale": factor}
        found = ig.explain(X, target=0, n_steps=3, forward_kwargs=options)
        np.testing.assert_allclose(found.attributions, X * factor**2 * W[:, 0], rtol=1e-5)
    assert counted(ig)[0] >= 4


def test_python_that_decides_by_the_numbers_runs_as_it_is() -> None:
    def model(x: Any) -> Any:
        return (x * 2).sum(1) if float(jax.lax.stop_gradient(x).max()) < 1e9 and bool((x < 1e9).all()) else x[:, 0]

    ig = pyig.IntegratedGradients(model, backend="jax")
    np.testing.assert_allclose(ig.explain(X, n_steps=3).attributions, 2 * X, rtol=1e-6)
    assert counted(ig)[1] == 0


def test_a_model_of_one_number_of_rows_is_called_with_it() -> None:
    ig = pyig.IntegratedGradients(lambda x: jnp.reshape(x, (6, 3)).sum(1) ** 2, backend="jax")
    found = ig.explain(X, n_steps=2, batch_size=6)
    np.testing.assert_allclose(found.attributions, X * X.sum(1, keepdims=True), rtol=1e-4)


def test_outputs_without_a_batch_axis_are_not_padded() -> None:
    found = pyig.IntegratedGradients(lambda x: (x**2).sum(), backend="jax").explain(X, n_steps=7)
    np.testing.assert_allclose(found.attributions, X**2, rtol=1e-5)


def test_an_output_that_is_the_input_keeps_its_own_memory() -> None:
    backend = JaxBackend(None)
    buffer = np.zeros(32 * 64 + 64, np.uint8)
    start = -buffer.ctypes.data % 64  # aligned as XLA wants it, so that it could share the memory
    points = buffer[start : start + 32 * 64].view(np.float32).reshape(16, 32)
    found = backend.value(lambda points, fixed: points[0], [points], [])
    taken = backend.from_numpy(points, jnp.zeros(1))
    points[:] = 2
    np.testing.assert_array_equal(found, 0)
    np.testing.assert_array_equal(taken, 0)
