"""The demo on a table: which findings move a network's opinion of a patient, and whether the account adds up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pyig.demos import Trainer
from pyig.demos.table import MEANINGS, Table, describe, read
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation

SEED = 0
TOLERANCE = 1e-3  # on one small table the gradients cost next to nothing


def run(trainer: Trainer, report: Path, rows: int = 12) -> Iterator[str]:
    """Fit, explain the held-out patients, write the report; yield the lines to print as they become known.

    Parameters
    ----------
    trainer : Trainer
        The framework.
    report : Path
        Where the HTML report goes.
    rows : int
        How many patients the printed table shows; the report holds them all.
    """
    train, test = read(seed=SEED)
    start = time.perf_counter()
    model = trainer.risk(train.x, train.y, SEED)
    yield f"Heart disease table (Cleveland): {len(train.y)} patients to learn from, {len(test.y)} held out."
    yield f"A {train.x.shape[1]}-16-1 network, {trainer.label}, fitted in {time.perf_counter() - start:.1f} s."

    start = time.perf_counter()
    mean = train.x.mean(axis=0, keepdims=True)
    explained = IntegratedGradients(model).explain(test.x, baselines=mean, feature_names=test.names, rtol=TOLERANCE)
    seconds = time.perf_counter() - start
    right = int(np.sum((explained.values > 0.5) == test.y))
    yield f"It judges {right} of the {len(test.y)} held-out patients right ({right / len(test.y):.0%})."
    yield ""
    yield "Each held-out patient is compared with the mean patient of those it learned from, whose risk"
    yield f"the network puts at {explained.baseline_values[0]:.3f}. A feature's share is what it adds to that risk."
    yield "All shares of a patient add up to that patient's risk, but for the gap: the error of the integration."
    yield ""
    yield from _patients(explained, test, rows)
    yield ""
    yield from _features(explained, test)
    yield ""
    yield f"{int(explained.n_evals.sum())} gradients in {seconds:.2f} s; {explained.verdict()}."
    explained.to_html(
        report, samples=len(test.y), title="Heart disease: what moves the network's opinion of each patient"
    )
    yield f"Every patient is in {report}"


def _patients(explained: Explanation, test: Table, rows: int) -> Iterator[str]:
    yield f"{'sample':>6}  {'truth':7}  {'risk':>5}  {'what moves it most':73}  {'gap':>8}"
    for i in range(min(rows, len(test.y))):
        shares = explained.attributions[i]
        top = np.argsort(-np.abs(shares))[:3]
        why = "   ".join(f"{describe(test.names[j], test.x[i, j])} {shares[j]:+.2f}" for j in top)
        truth = "ill" if test.y[i] else "healthy"
        yield f"{i:6d}  {truth:7}  {explained.values[i]:5.2f}  {why:73}  {explained.deltas[i]:+8.0e}"
    if rows < len(test.y):
        yield f"    ...  and {len(test.y) - rows} more"


def _features(explained: Explanation, test: Table) -> Iterator[str]:
    size = np.abs(explained.attributions).mean(axis=0)
    yield f"Mean size of a feature's share over the {len(test.y)} patients"
    for j in np.argsort(-size)[:8]:
        name = test.names[j]
        bar = "#" * round(30 * size[j] / size.max())
        yield f"  {name:28} {size[j]:.3f}  {bar:30}  {MEANINGS[name.split('=')[0]]}"
