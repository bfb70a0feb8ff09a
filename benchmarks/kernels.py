"""Speed of the compiled core: gradient rows against the memory's own speed, and the making of rules.

Run ``python benchmarks/kernels.py`` (``--quick`` for a look). Everything within one table is timed interleaved; the
share of the read bandwidth and the ratios are medians of per-round ratios.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from common import Timing, interleave, machine, show_seconds, table
from numpy.typing import NDArray

from pyig import _core

ROWS, COLUMNS = 64, 301_056  # 77 MB of float32: a batch of 64 images of 3 x 317 x 317, larger than the caches
Call = Callable[[], object]


def read_all(gradients: NDArray[np.float32], threads: int, pool: ThreadPoolExecutor) -> float:
    """Read every byte, by numpy's largest integer of each part."""
    parts = np.array_split(gradients.reshape(-1).view(np.uint64), threads)
    return float(max(pool.map(np.max, parts)))


class Rows:
    """The arrays, and the calls to time on them."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.gradients = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
        self.start = np.zeros((1, COLUMNS), np.float32)
        self.stop = rng.normal(size=(1, COLUMNS)).astype(np.float32)
        self.same = np.zeros(ROWS, np.int64)
        self.slopes = np.empty(ROWS)
        self.alphas = rng.random(ROWS)
        self.points = np.empty_like(self.gradients)
        self.weights = {levels: rng.random((levels, ROWS)) for levels in (1, 2, 3)}
        self.sums = {levels: np.zeros((1, levels, COLUMNS)) for levels in (1, 2, 3)}
        self.pool = ThreadPoolExecutor()

    def reduce(self, levels: int) -> None:
        _core.reduce(self.gradients, self.weights[levels], self.same, self.sums[levels])

    def accumulate(self, levels: int) -> None:
        _core.accumulate(
            self.gradients, self.weights[levels], self.same, self.sums[levels],
            self.start, self.stop, self.same, self.same, self.slopes,
        )  # fmt: skip

    def einsum(self, levels: int) -> None:
        self.sums[levels][0] += np.einsum("lr,rd->ld", self.weights[levels], self.gradients)

    def interpolate(self) -> None:
        _core.interpolate(self.start, self.stop, self.same, self.same, self.alphas, self.points)

    def numpy_interpolate(self) -> None:
        np.multiply(self.alphas[:, None].astype(np.float32), self.stop - self.start, out=self.points)
        np.add(self.points, self.start, out=self.points)

    def cases(self, threads: int) -> dict[str, Call]:
        cases: dict[str, Call] = {
            "read (numpy max)": partial(read_all, self.gradients, threads, self.pool),
            "read (l1)": partial(_core.l1, self.gradients),
        }
        for levels in self.weights:
            cases[f"reduce, {levels} weight rows"] = partial(self.reduce, levels)
            cases[f"accumulate, {levels} weight rows"] = partial(self.accumulate, levels)
        cases["interpolate"] = self.interpolate
        if threads == 1:
            for levels in self.weights:
                cases[f"numpy einsum, {levels} weight rows"] = partial(self.einsum, levels)
            cases["float32 BLAS w @ G"] = partial(np.dot, self.weights[1][0].astype(np.float32), self.gradients)
            cases["numpy interpolation"] = self.numpy_interpolate
            cases["numpy copy"] = partial(np.copyto, self.points, self.gradients)
        return cases


def ratio_text(name: str, timings: dict[str, Timing]) -> str:
    """How many times faster than numpy's way of the same, where it was timed in this table."""
    twin = "numpy interpolation" if name == "interpolate" else f"numpy einsum, {name.partition(', ')[2]}"
    return f"{timings[twin].over(timings[name]):.1f}x" if twin in timings and not name.startswith("numpy") else ""


def rows_table(rows: Rows, threads: int, rounds: int) -> str:
    _core._set_thread_limit(threads)
    timings = interleave(rows.cases(threads), rounds=rounds)
    _core._set_thread_limit(0)
    roof = min((timings["read (numpy max)"], timings["read (l1)"]), key=lambda timing: timing.median)
    lines = [
        (
            name,
            show_seconds(timing.median),
            f"{rows.gradients.nbytes / timing.median / 1e9:.1f}",
            f"{100 * roof.over(timing):.0f} %",
            ratio_text(name, timings),
        )
        for name, timing in timings.items()
    ]
    words = f"{threads} thread" + "s" * (threads > 1)
    head = f"\nfloat32 gradients {ROWS} x {COLUMNS} into float64, {_core.isa()}, {words}"
    return head + "\n" + table(["", "median", "GB/s", "of read", "vs numpy"], lines)


def make(n: int) -> None:
    _core._clear_rule_cache()
    _core.rule("gausslegendre", n)


def rules_table(rounds: int) -> str:
    cases: dict[str, Call] = {}
    for n in (16, 64, 256, 1024, 10_000, 100_000, 1_000_000):
        cases[f"gausslegendre n={n}, made"] = partial(make, n)
    for n in (16, 64, 256):
        cases[f"numpy leggauss n={n}"] = partial(np.polynomial.legendre.leggauss, n)
    timings = interleave(cases, rounds=rounds)
    make(64)
    timings |= interleave({"gausslegendre n=64, cached": partial(_core.rule, "gausslegendre", 64)}, rounds=rounds)
    lines = [(name, show_seconds(timing.median), show_seconds(timing.best)) for name, timing in timings.items()]
    return "\n" + table(["rules", "median", "best"], lines)


def calls_table(rounds: int) -> str:
    """What a call costs when there is next to nothing to do."""
    gradients = np.ones((4, 30), np.float32)
    index, numbers = np.zeros(4, np.int64), np.ones(4)
    weights, sums, ends = np.ones((2, 4)), np.zeros((1, 2, 30)), np.ones((1, 30), np.float32)
    points = np.empty_like(gradients)
    cases: dict[str, Call] = {
        "accumulate": partial(
            _core.accumulate, gradients, weights, index, sums, ends, ends, index, index, numbers.copy()
        ),
        "reduce": partial(_core.reduce, gradients, weights, index, sums),
        "interpolate": partial(_core.interpolate, ends, ends, index, index, numbers, points),
        "l1": partial(_core.l1, gradients),
    }
    timings = interleave(cases, rounds=rounds)
    lines = [(name, show_seconds(timing.median), show_seconds(timing.best)) for name, timing in timings.items()]
    return "\n" + table(["call of 4 x 30", "median", "best"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    rounds = 5 if parser.parse_args().quick else 25
    print(machine("numpy", "pyig-explain"))
    rows = Rows()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for threads in sorted({1, cores}):
        print(rows_table(rows, threads, rounds))
    best = _core.isa()
    for name in reversed(_core.isas()[:-1]):
        _core._set_isa(name)
        print(rows_table(rows, 1, max(3, rounds // 5)))
    _core._set_isa(best)
    print(rules_table(rounds))
    print(calls_table(rounds))
    print("\n" + machine())


if __name__ == "__main__":
    main()
