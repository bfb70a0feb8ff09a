"""alibi and pyig's face of it, asked for the same: time, agreement, and memory over the number of steps.

Run ``python benchmarks/compat_alibi.py`` (``--quick`` for a look). Everything within one table is timed interleaved in
one process; a ratio is the median of the per-round ratios. Memory is that of fresh processes with one call each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(str(Path(__file__).parents[1] / "tests"))

import keras
import numpy as np
from alibi_peer import peer
from common import Timing, interleave, machine, peak_memory, show_seconds, table
from keras import layers

from pyig.compat.alibi import IntegratedGradients

N = 50
WANTED = {"table": 15.0, "column": 15.0, "digits": 3.0}
FLAT = 1.1


@dataclass(frozen=True)
class Case:
    """What both are asked for."""

    name: str
    model: Any
    x: Any
    target: Any
    baselines: Any = None
    batch: int = 100  # the peer's default


def dense(columns: int, activation: str) -> Any:
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(64, "relu"), layers.Dense(64, "relu")]
    return keras.Sequential([keras.Input((20,)), *hidden, layers.Dense(columns, activation)])


def convolutions() -> Any:
    keras.utils.set_random_seed(0)
    blocks = [
        part
        for filters in (64, 32)
        for part in (
            layers.Conv2D(filters, 2, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
        )
    ]
    head = [layers.Flatten(), layers.Dense(256, "relu"), layers.Dropout(0.5), layers.Dense(10, "softmax")]
    return keras.Sequential([keras.Input((28, 28, 1)), *blocks, *head])


def cases(quick: bool) -> dict[str, Case]:
    rng = np.random.default_rng(0)
    rows, images = (50, 2) if quick else (1000, 10)
    x = rng.normal(size=(rows, 20)).astype(np.float32)
    digits = rng.random((images, 28, 28, 1))  # float64, as pixels divided by 255 are
    return {
        "table": Case(f"table {rows} x 20, 3 classes", dense(3, "softmax"), x, rng.integers(0, 3, rows)),
        "column": Case(f"table {rows} x 20, one column, target=1", dense(1, "sigmoid"), x, 1),
        "digits": Case(f"CNN, {images} images 28 x 28", convolutions(), digits, rng.integers(0, 10, images)),
    }


def theirs(case: Case, n: int) -> Callable[[], Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = peer().IntegratedGradients(case.model, n_steps=n, internal_batch_size=case.batch)
    return lambda: explainer.explain(case.x, baselines=case.baselines, target=case.target)


def ours(case: Case, n: int | str, **options: Any) -> Callable[[], Any]:
    explainer = IntegratedGradients(case.model, n_steps=n, **options)
    return lambda: explainer.explain(case.x, baselines=case.baselines, target=case.target)


def contestants(case: Case) -> dict[str, Callable[[], Any]]:
    return {
        "alibi": theirs(case, N),
        "pyig": ours(case, N),
        "pyig, internal_batch_size=100": ours(case, N, internal_batch_size=100),
        'pyig, n_steps="auto"': ours(case, "auto"),
    }


def apart(case: Case) -> float:
    """Return how far the two are from each other, relative to the largest attribution."""
    found, wanted = (side(case, N)().attributions[0] for side in (ours, theirs))
    difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    assert difference < 1e-4, f"{case.name}: attributions differ by {difference:.1e}"
    return difference


def show(short: str, case: Case, timings: dict[str, Timing], judge: bool) -> list[str]:
    """Print the table of one case, and return what misses its target."""
    rows = [
        (name, show_seconds(t.median), show_seconds(t.best), f"{timings['alibi'].over(t):.1f}x")
        for name, t in timings.items()
    ]
    print(f"\n{case.name}, {N} steps; attributions agree to {apart(case):.0e} of the largest")
    print(table(["", "median", "best", "alibi / this"], rows))
    ratio, wanted = timings["alibi"].over(timings["pyig"]), WANTED[short]
    if not judge:
        return []
    print(f"  {'kept' if ratio >= wanted else 'MISSED'}: alibi / pyig = {ratio:.1f}, wanted >= {wanted:g}")
    return [] if ratio >= wanted else [f"{case.name}: {ratio:.1f}, wanted >= {wanted:g}"]


def one_call(who: str, short: str, n: int, quick: bool) -> None:
    """Print what one call adds to the peak memory of this process."""
    case = cases(quick)[short]
    side = {"pyig": ours, "alibi": theirs}[who]
    side(Case("", case.model, case.x[:1], case.target if np.ndim(case.target) == 0 else case.target[:1]), 2)()
    call, before = side(case, n), peak_memory()
    call()
    print((peak_memory() - before) / 2**20)


def memory(quick: bool) -> list[str]:
    """Print peak memory at n and 10 n steps, and return what grows."""
    rows, missed = [], []
    script = [sys.executable, __file__, *(["--quick"] if quick else [])]
    for who in ("pyig", "alibi"):
        for short in ("table", "digits"):
            few, many = (
                min(
                    float(subprocess.run(
                        [*script, "--peak", who, short, str(n)], stdout=subprocess.PIPE, text=True, check=True
                    ).stdout.split()[-1])
                    for _ in range(1 if quick else 3)
                )
                for n in (N, 10 * N)
            )  # fmt: skip
            rows.append((f"{who}, {cases(quick)[short].name}", f"{few:.0f} MiB", f"{many:.0f} MiB"))
            # What a call adds on top of Keras and TensorFlow is a few MiB and scatters by some.
            if who == "pyig" and not quick and many > FLAT * few + 16:
                missed.append(f"memory, {cases(quick)[short].name}: {few:.0f} and {many:.0f} MiB")
    print("\nWhat one call adds to the peak memory of a fresh process")
    print(table(["", f"{N} steps", f"{10 * N} steps"], rows))
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: shows that it runs")
    parser.add_argument("--only", choices=[*WANTED, "memory"], help="one part")
    parser.add_argument("--rounds", type=int, help="rounds per table")
    parser.add_argument("--peak", nargs=3, metavar=("WHO", "CASE", "STEPS"), help="one call in this process")
    args = parser.parse_args()
    if args.peak:
        one_call(args.peak[0], args.peak[1], int(args.peak[2]), args.quick)
        return
    print(machine("pyig-explain", "alibi", "tensorflow-cpu", "tensorflow", "keras", "numpy"))
    print(f"TF_NUM_INTRAOP_THREADS={os.environ.get('TF_NUM_INTRAOP_THREADS', 'unset')}")
    missed: list[str] = []
    for short, case in cases(args.quick).items():
        if args.only in (None, short):
            timings = interleave(contestants(case), rounds=args.rounds or (2 if args.quick else 5))
            missed += show(short, case, timings, judge=not args.quick)
    if args.only in (None, "memory"):
        missed += memory(args.quick)
    verdict = "small sizes: no target is judged" if args.quick else "every target is kept"
    print("\n" + ("\n".join(["missed:", *missed]) if missed else verdict))
    print(machine())


if __name__ == "__main__":
    main()
