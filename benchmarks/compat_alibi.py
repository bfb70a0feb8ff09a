"""alibi and pyig's face of it, asked for the same: time, agreement, and memory over the number of steps.

Run ``python benchmarks/compat_alibi.py`` (``--quick`` for a look). Everything within one table is timed interleaved in
one process; a ratio is the median of the per-round ratios. Memory is that of fresh processes with one call each.
"""

from __future__ import annotations

import os
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
from common import interleave, machine, peak_of, peer_arguments, show_memory, show_ratios, show_verdict
from keras import layers

from pyig.compat.alibi import IntegratedGradients

N = 50
WANTED = {"table": 15.0, "column": 15.0, "digits": 3.0}


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


def one_call(who: str, short: str, n: int, quick: bool) -> None:
    """Print what one call adds to the peak memory of this process."""
    case = cases(quick)[short]
    side = {"pyig": ours, "alibi": theirs}[who]
    small = Case("", case.model, case.x[:1], case.target if np.ndim(case.target) == 0 else case.target[:1])
    print(peak_of(side(small, 2), side(case, n)))


def main() -> None:
    args = peer_arguments(__doc__, WANTED)
    if args.peak:
        one_call(args.peak[0], args.peak[1], int(args.peak[2]), args.quick)
        return
    print(machine("pyig-explain", "alibi", "tensorflow-cpu", "tensorflow", "keras", "numpy"))
    print(f"TF_NUM_INTRAOP_THREADS={os.environ.get('TF_NUM_INTRAOP_THREADS', 'unset')}")
    missed: list[str] = []
    known = cases(args.quick)
    for short, case in known.items():
        if args.only in (None, short):
            timings = interleave(contestants(case), rounds=args.rounds or (2 if args.quick else 5))
            title = f"{case.name}, {N} steps; attributions agree to {apart(case):.0e} of the largest"
            missed += show_ratios(title, timings, "alibi", None if args.quick else WANTED[short])
    if args.only in (None, "memory"):
        names = {short: known[short].name for short in ("table", "digits")}
        # What a call adds on top of Keras and TensorFlow is a few MiB and scatters by some.
        missed += show_memory(__file__, "alibi", names, N, args.quick, tries=1 if args.quick else 3, spare=16)
    show_verdict(missed, args.quick)


if __name__ == "__main__":
    main()
