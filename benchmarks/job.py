"""A job of 100,000 tabular rows: rows per second, peak memory against the number of rows, and one kill -9.

The model is a numpy function, so that what is measured is the job: reading, chunks, parts, writing. Every run is a
process of its own; its peak is its maximum resident set, as the system counts it (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, peak_memory, table

import pyig

COLUMNS = tuple(f"x{i}" for i in range(13))
FORMATS = ("csv", "json", "parquet")


class Rational:
    """F = tanh(x @ w): cheap, smooth, no framework."""

    kind, columns, outputs, path = "numpy", COLUMNS, ("risk",), Path(__file__)

    def __init__(self) -> None:
        w = np.linspace(-1, 1, len(COLUMNS))
        self._ig = pyig.IntegratedGradients(
            lambda x: np.tanh(x @ w), gradient=lambda x: (1 - np.tanh(x @ w) ** 2)[:, None] * w
        )

    def explain(self, rows: Any, target: Any = None, **options: Any) -> pyig.Explanation:
        x = np.stack([rows[name] for name in COLUMNS], axis=1)
        return self._ig.explain(x, target=target, feature_names=COLUMNS, **options)


def write_rows(path: Path, count: int) -> None:
    x = np.random.default_rng(0).normal(size=(count, len(COLUMNS)))
    if path.suffix == ".csv":
        np.savetxt(path, x, fmt="%.6f", delimiter=",", header=",".join(COLUMNS), comments="")
    elif path.suffix == ".json":
        path.write_text(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in x.round(6).tolist()]))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(dict(zip(COLUMNS, x.T, strict=True))), path, row_group_size=20_000)


def work(rows: str, out: str) -> None:
    """Run one job and print what it took."""
    from pyig.scale import Job

    begin = time.perf_counter()
    account = Job(artifact=Rational(), rows=rows, out=out).run()
    seconds, peak = time.perf_counter() - begin, peak_memory() // 1024
    print(json.dumps({"seconds": seconds, "resumed": account.resumed, "peak": peak}))


def child(rows: Path, out: Path) -> subprocess.Popen[str]:
    line = [sys.executable, __file__, "--work", str(rows), str(out)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate()
    found: dict[str, Any] = json.loads(said)
    return found


def killed(rows: Path, out: Path) -> bool:
    """Kill a job after a third of it, and run it again; tell whether the file is the one that is there."""
    whole = out.read_bytes()
    out.unlink()
    process = child(rows, out)
    while len(list(out.with_name(f"{out.name}.parts").glob("*.npz"))) < 8:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert finished(child(rows, out))["resumed"] >= 8 * 4096
    return out.read_bytes() == whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs=2, default=(10_000, 100_000))
    parser.add_argument("--quick", action="store_true", help="fewer rows of one format: shows that it runs")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    if options.quick:
        options.rows = (10_000, 50_000)
    print(machine("numpy", "pyarrow", "pyig-explain"))
    lines = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for kind in FORMATS[: 1 if options.quick else None]:
            found = []
            for count in options.rows:
                rows = folder / f"rows-{count}.{kind}"
                write_rows(rows, count)
                found.append(finished(child(rows, folder / f"out-{count}.{kind}")))
            few, many = found
            same = killed(rows, folder / f"out-{options.rows[1]}.{kind}")
            peaks = [f"{run['peak'] / 1024:.0f} MB" for run in (few, many)]
            speed = f"{options.rows[1] / many['seconds']:.0f}"
            growth = f"{many['peak'] / few['peak']:.2f}"
            lines.append([kind, speed, *peaks, growth, "same bytes" if same else "OTHER BYTES"])
    heads = [f"peak, {count} rows" for count in options.rows]
    print(table(["rows and results", "rows/s", *heads, "ratio", "killed and resumed"], lines))


if __name__ == "__main__":
    main()
