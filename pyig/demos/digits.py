"""The demo on pictures: which pixels make a network read a digit as it does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pyig.demos import Trainer
from pyig.errors import missing
from pyig.explainer import IntegratedGradients

SEED = 0


def run(trainer: Trainer, report: Path) -> Iterator[str]:
    """Fit on scikit-learn's digits, explain one held-out image of each, write the report; yield the lines to print.

    Raises
    ------
    MissingPackageError
        scikit-learn, which brings the images, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise missing("scikit-learn", "pyig demo --image", "demo") from error

    data = load_digits()
    images, labels = (data.images / 16).astype(np.float32), data.target.astype(np.int64)
    test, train = np.split(np.random.default_rng(SEED).permutation(len(images)), [len(images) // 5])
    start = time.perf_counter()
    model = trainer.digits(images[train], labels[train], SEED)
    yield f"Handwritten digits, 8 x 8 pixels: {len(train)} to learn from, {len(test)} held out."
    yield f"A convolutional network, {trainer.label}, fitted in {time.perf_counter() - start:.1f} s."
    images, labels = images[test], labels[test]
    reads = trainer.predict(model, images).argmax(axis=1)
    yield f"It reads {np.mean(reads == labels):.1%} of the held-out images right."

    chosen = np.array([np.flatnonzero(labels == digit)[0] for digit in range(10)])
    start = time.perf_counter()
    explained = IntegratedGradients(model).explain(images[chosen], target=reads[chosen])
    seconds = time.perf_counter() - start
    yield ""
    yield "Each image is compared with a black one. A pixel's share is what it adds to the score (logit) of the"
    yield "digit that the network reads; all shares add up to the difference in score, but for the gap."
    yield ""
    yield f"{'digit':>5}  {'read as':>7}  {'score':>6}  {'of black':>8}  {'sum of shares':>13}  {'gap':>8}"
    for i, row in enumerate(chosen):
        total = explained.attributions[i].sum()
        yield (
            f"{labels[row]:5d}  {reads[row]:7d}  {explained.values[i]:6.2f}  "
            f"{explained.baseline_values[i]:8.2f}  {total:13.2f}  {explained.deltas[i]:+8.0e}"
        )
    yield ""
    yield f"{int(explained.n_evals.sum())} gradients in {seconds:.2f} s; {explained.verdict()}."
    explained.to_html(report, title="Digits: which pixels make the network read them as it does")
    yield f"The pictures are in {report}"
