"""What pyig adds to the bare gradients of JAX: time at the same nodes, everything compiled before the rounds begin.

Run ``python benchmarks/jax_overhead.py`` (``--quick`` for a look). Bare is one jitted `jax.vjp` per chunk of nodes, at
its best chunk, and the weighted sum of its rows, jitted too. Timed interleaved in one process; a ratio is the median of
the per-round ratios. "traced each call" is a plain function, whose Python pyig runs once per call to see what changed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import interleave, machine, show_seconds, table

import pyig

N = 50
NODES, WEIGHTS = (np.asarray(part, np.float32) for part in np.polynomial.legendre.leggauss(N))
ALPHAS = (NODES + 1) / 2


def mlp(rows: int) -> tuple[Callable[[Any], Any], Any]:
    sizes = (30, 128, 128, 2)
    keys = jax.random.split(jax.random.key(0), len(sizes))
    layers = [jax.random.normal(k, (a, b)) / a**0.5 for k, a, b in zip(keys, sizes, sizes[1:], strict=False)]

    def model(x: Any) -> Any:
        for w in layers[:-1]:
            x = jax.nn.relu(x @ w)
        return x @ layers[-1]

    return model, jax.random.normal(keys[-1], (rows, sizes[0]))


def cnn(rows: int) -> tuple[Callable[[Any], Any], Any]:
    keys = jax.random.split(jax.random.key(0), 4)
    kernels = [jax.random.normal(keys[0], (3, 3, 3, 32)) / 5, jax.random.normal(keys[1], (3, 3, 32, 32)) / 17]
    last = jax.random.normal(keys[2], (32, 10))

    def model(x: Any) -> Any:
        for kernel in kernels:
            x = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x)
        return x.mean((1, 2)) @ last

    return model, jax.random.normal(keys[3], (rows, 32, 32, 3))


def bare(model: Callable[[Any], Any], x: Any, chunk: int) -> Callable[[], Any]:
    """Return a call that gives the attributions from a zero baseline, `chunk` nodes of all rows at a time."""

    @jax.jit
    def part(x: Any, alphas: Any, weights: Any, total: Any) -> Any:
        points = (alphas.reshape(-1, *[1] * x.ndim) * x).reshape(-1, *x.shape[1:])
        outputs, pull = jax.vjp(model, points)
        (grads,) = pull(jnp.zeros_like(outputs).at[:, 1].set(1.0))
        return total + jnp.tensordot(weights, grads.reshape(len(alphas), *x.shape), 1)

    def call() -> Any:
        total = jnp.zeros_like(x)
        for first in range(0, N, chunk):
            total = part(x, ALPHAS[first : first + chunk], WEIGHTS[first : first + chunk] / 2, total)
        return jax.block_until_ready(total * x)

    return call


def best(calls: dict[int, Callable[[], Any]]) -> int:
    seconds = {}
    for key, call in calls.items():
        call()
        begin = time.perf_counter()
        call()
        seconds[key] = time.perf_counter() - begin
    return min(seconds, key=seconds.__getitem__)


def ours(model: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    explainer = pyig.IntegratedGradients(model, backend="jax")
    return lambda: explainer.attribute(x, target=1, n_steps=N, method="gausslegendre", progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: shows that it runs")
    quick = parser.parse_args().quick
    print(machine("pyig-explain", "jax", "jaxlib", "numpy"))
    small, large = (16, 2) if quick else (256, 32)
    for name, (model, x) in {f"MLP, {small} rows": mlp(small), f"CNN 32x32, {large} rows": cnn(large)}.items():
        chunks = {size: bare(model, x, size) for size in (1, 5, 10, 25, N)}
        calls = {"bare, best chunk": chunks[best(chunks)], "pyig, jitted": ours(jax.jit(model), x)}
        calls["pyig, traced each call"] = ours(model, x)
        reference = np.asarray(calls["bare, best chunk"]())
        for call in calls.values():
            for _ in range(4):  # batches grow until the best size is known, and each size is compiled once
                found = np.asarray(call())
            assert np.abs(found - reference).sum() < 1e-3 * np.abs(reference).sum()
        timings = interleave(calls, rounds=3 if quick else 21)
        rows = [
            (who, show_seconds(t.median), show_seconds(t.best), f"{t.over(timings['bare, best chunk']):.2f}")
            for who, t in timings.items()
        ]
        print(f"\n{name}, {N} gradients per row\n{table(['', 'median', 'best', '/ bare'], rows)}")


if __name__ == "__main__":
    main()
