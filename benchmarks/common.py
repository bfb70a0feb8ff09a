"""Shared by the benchmarks: interleaved timing, medians and ratios, a table, and a line on the machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FLAT = 1.1  # what peak memory may grow by, from n to 10 n steps


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


# --- beside a peer ---------------------------------------------------------------------------------------------------
def peer_arguments(doc: str | None, parts: Iterable[str]) -> argparse.Namespace:
    """Read what the command line of a benchmark beside a peer says."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: shows that it runs")
    parser.add_argument("--only", choices=[*parts, "memory"], help="one part")
    parser.add_argument("--rounds", type=int, help="rounds per table")
    parser.add_argument("--peak", nargs=3, metavar=("WHO", "CASE", "STEPS"), help="one call in this process")
    return parser.parse_args()


def show_ratios(title: str, timings: Mapping[str, Timing], peer: str, wanted: float | None) -> list[str]:
    """Print how many times as long the peer takes as each contestant, and return what misses its target."""
    rows = [
        (name, show_seconds(t.median), show_seconds(t.best), f"{timings[peer].over(t):.1f}x")
        for name, t in timings.items()
    ]
    print(f"\n{title}")
    print(table(["", "median", "best", f"{peer} / this"], rows))
    if wanted is None:
        return []
    ratio = timings[peer].over(timings["pyig"])
    print(f"  {'kept' if ratio >= wanted else 'MISSED'}: {peer} / pyig = {ratio:.1f}, wanted >= {wanted:g}")
    return [] if ratio >= wanted else [f"{title}: {ratio:.1f}, wanted >= {wanted:g}"]


def show_memory(
    script: str, peer: str, names: Mapping[str, str], n: int, quick: bool, tries: int, spare: float
) -> list[str]:
    """Print what one call adds to the peak memory of a fresh process at n and 10 n steps, and return what grows.

    `names` are the cases by their short names. A process scatters by some MiB: `spare` of them are no growth.
    """
    rows, missed = [], []
    for who in ("pyig", peer):
        for short, name in names.items():
            few, many = (
                min(_peak([script, *(["--quick"] if quick else [])], who, short, steps) for _ in range(tries))
                for steps in (n, 10 * n)
            )
            rows.append((f"{who}, {name}", f"{few:.0f} MiB", f"{many:.0f} MiB"))
            if who == "pyig" and not quick and many > FLAT * few + spare:
                missed.append(f"memory, {name}: {few:.0f} and {many:.0f} MiB")
    print("\nWhat one call adds to the peak memory of a fresh process")
    print(table(["", f"{n} steps", f"{10 * n} steps"], rows))
    return missed


def _peak(script: Sequence[str], who: str, short: str, steps: int) -> float:
    command = [sys.executable, *script, "--peak", who, short, str(steps)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def peak_of(warm: Callable[[], object], call: Callable[[], object]) -> float:
    """Return the MiB that a call adds to the peak memory of this process, once another has loaded what it takes."""
    warm()
    before = peak_memory()
    call()
    return (peak_memory() - before) / 2**20


def show_verdict(missed: Sequence[str], quick: bool) -> None:
    """Say whether every target is kept, and how loaded the machine is by now."""
    verdict = "small sizes: no target is judged" if quick else "every target is kept"
    print("\n" + ("\n".join(["missed:", *missed]) if missed else verdict))
    print(machine())
