"""The heart disease table as numbers: empty cells filled, texts one-hot, some patients held out."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MEANINGS = {  # column -> what a reader needs to know; see data/README.md
    "age": "years",
    "sex": "1 = male",
    "cp": "kind of chest pain",
    "trestbps": "blood pressure at rest, mm Hg",
    "chol": "serum cholesterol, mg/dl",
    "fbs": "1 = fasting blood sugar above 120 mg/dl",
    "restecg": "electrocardiogram at rest",
    "thalach": "highest heart rate reached",
    "exang": "1 = angina under exercise",
    "oldpeak": "ST depression under exercise",
    "slope": "of the ST segment: 1 up, 2 flat, 3 down",
    "ca": "vessels coloured by fluoroscopy, 0 to 3",
    "thal": "thallium scan",
}
TEXTS = ("cp", "restecg", "thal")


@dataclass(frozen=True)
class Table:
    """Numbers in the table's own units.

    Attributes
    ----------
    x : float32 (N, D)
    y : float32 (N,)
        1 where a vessel is narrowed.
    names : tuple of str
        ``"age"``, ``"cp=asymptomatic"``, ...
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    names: tuple[str, ...]


def read(held_out: float = 0.25, seed: int = 0) -> tuple[Table, Table]:
    """Return the patients to learn from and the held-out ones; fillings come from the former alone."""
    path = Path(__file__).parents[1] / "data" / "heart_disease.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    order = np.random.default_rng(seed).permutation(len(rows))
    test, train = np.split(order, [round(held_out * len(rows))])
    columns, names = [], []
    for name in MEANINGS:
        cells = [row[name] for row in rows]
        known = [cells[i] for i in train if cells[i]]
        if name in TEXTS:
            common = Counter(known).most_common(1)[0][0]
            filled = [cell or common for cell in cells]
            for level in sorted(set(known)):
                columns.append(np.array([cell == level for cell in filled], np.float32))
                names.append(f"{name}={level}")
        else:
            middle = float(np.median(np.array(known, np.float64)))
            columns.append(np.array([float(cell) if cell else middle for cell in cells], np.float32))
            names.append(name)
    x, y = np.stack(columns, axis=1), np.array([row["target"] for row in rows], np.float32)
    return Table(x[train], y[train], tuple(names)), Table(x[test], y[test], tuple(names))


def describe(name: str, value: float) -> str:
    """Say a cell in words: ``"age 63"``, ``"cp=asymptomatic"``, ``"not cp=asymptomatic"``."""
    if "=" in name:
        return name if value else f"not {name}"
    return f"{name} {value:g}"
