"""Shared by the benchmarks: interleaved timing, medians and ratios, a table, and a line on the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import random
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one case, one number per round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)

    def over(self, other: Timing) -> float:
        """Median of the per-round ratios: the two ran within one round, so a burst of other load hits both."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def interleave(
    cases: Mapping[str, Callable[[], object]], rounds: int = 15, at_least: float = 2e-3, warmup: int = 1
) -> dict[str, Timing]:
    """Time every case once per round, in another order each round: what ran before leaves its traces in the memory.

    A case shorter than `at_least` seconds is repeated inside its sample until the sample is that long.
    """
    repeats = {}
    for name, call in cases.items():
        for _ in range(warmup):
            call()
        once = _sample(call, 1)
        repeats[name] = max(1, round(at_least / max(once, 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in cases}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(cases), len(cases)):
            samples[name].append(_sample(cases[name], repeats[name]))
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def _sample(call: Callable[[], object], repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def show_seconds(seconds: float) -> str:
    """Three digits and a unit that a reader can compare by eye."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out rows under headers: first column left, the others right."""
    lines = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    rendered = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([rendered[0], "  ".join("-" * width for width in widths), *rendered[1:]])


def machine(*distributions: str) -> str:
    """Say what ran: processor, cores, load, Python, and the versions of the installed distributions."""
    found = [f"{name} {version}" for name in distributions if (version := _version(name))]
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    head = f"{_processor()}, {len(_affinity())} cores, {load}, Python {platform.python_version()}"
    return "; ".join([head, *found])


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _affinity() -> Sequence[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def peak_memory() -> int:
    """Peak resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage of Linux counts what the parent had when it started this process
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
