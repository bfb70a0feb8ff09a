"""Files of rows for jobs, their results read back, and a way to stop a job."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from toy_artifact import COLUMNS

from pyig.scale.account import Account

OUTPUTS = [".csv", ".tsv", ".json", ".jsonl", ".parquet"]


def write_rows(path: Path, count: int, faulty: dict[int, str] | None = None) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(20, 80, count), rng.integers(100, 400, count), rng.integers(90, 200, count),
                  rng.integers(0, 40, count) / 10], axis=1)  # fmt: skip
    lines = [f"p{i},{r[0]:.0f},{r[1]:.0f},{r[2]:.0f},{r[3]}" for i, r in enumerate(x)]
    for row, line in (faulty or {}).items():
        lines[row] = line
    path.write_text("\n".join([f"patient,{','.join(COLUMNS)}", *lines]) + "\n")
    return x


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    return [{name: None if cell == "" else _plain(cell) for name, cell in row.items()} for row in rows]


def _plain(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


class Stop(BaseException):
    """What a test stops a job with: no error, so nobody looks for a row that is to blame."""


def after(chunks: int) -> Callable[[float, Account], None]:
    """Return a progress function that kills the job once so many chunks are kept."""
    seen: set[int] = set()

    def progress(done: float, account: Account) -> None:
        seen.add(account.done)
        if len(seen) > chunks:
            raise Stop

    return progress
