"""Draw the README's pictures from a real run of the demos: ``python tools/pictures.py`` (needs torch, scikit-learn)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from pyig import IntegratedGradients
from pyig.demos import choose_trainer, table

FOLDER = Path(__file__).parents[1] / "docs" / "images"


def patient() -> None:
    """Bars of the held-out patient whose risk is highest."""
    train, test = table.read()
    model = choose_trainer("torch").risk(train.x, train.y, seed=0)
    explained = IntegratedGradients(model).explain(
        test.x, baselines=train.x.mean(axis=0, keepdims=True), feature_names=test.names, n_steps=200
    )
    figure = explained.plot("bars", sample=int(np.argmax(explained.values)), top=8)
    figure.savefig(FOLDER / "patient.png", dpi=110)


def digit() -> None:
    """Heat map and overlay of a held-out digit."""
    data = load_digits()
    images, labels = (data.images / 16).astype(np.float32), data.target.astype(np.int64)
    model = choose_trainer("torch").digits(images[360:], labels[360:], seed=0)
    figure = IntegratedGradients(model).explain(images[3:4], n_steps=200).plot("image")
    figure.savefig(FOLDER / "digit.png", dpi=90)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    patient()
    digit()
