"""What pyig adds to the bare gradients, and what others add: time and memory at the same nodes.

Run ``python benchmarks/overhead.py`` (``--quick`` for a look, ``--only mlp`` for one model). Everything within one
table is timed interleaved in one process; a ratio is the median of the per-round ratios, so that other load on the
machine hits both sides. The bare gradients and captum also run at their best chunk, found before the rounds begin.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from common import Timing, interleave, machine, show_seconds, table
from overhead_parts.bare import bare
from overhead_parts.models import Case, cases
from overhead_parts.ours import adaptive, ours
from overhead_parts.peers import captum, peers

Call = Callable[[], object]
N = 50
TARGETS = {  # (numerator, denominator, limit, whether the ratio may not exceed the limit or must reach it)
    "mlp": [("pyig", "bare", 1.3, "<="), ("captum", "pyig", 5.0, ">=")],
    "cnn": [("pyig", "bare, best chunk", 1.1, "<="), ("captum", "pyig", 2.0, ">=")],
    "image": [("pyig", "bare", 1.05, "<=")],
}
FLAT = 1.1  # memory at ten times the steps
ADAPTIVE, SINGLY = "pyig, rtol=0.05", "bare, one by one"
PER_GRADIENT = 1.1  # time of the adaptive run, per gradient that it took


def best(calls: dict[int, Call]) -> int:
    """Return the key of the fastest call."""
    seconds = {}
    for key, call in calls.items():
        call()
        begin = time.perf_counter()
        call()
        seconds[key] = time.perf_counter() - begin
    return min(seconds, key=seconds.__getitem__)


def contestants(short: str, case: Case, n: int) -> dict[str, Call]:
    """Return everything that runs against everything on one model."""
    chunks = sorted({1, 2, 5, 10, 25, n} if short != "mlp" else {1, 5, n})
    chunk = best({size: lambda size=size: bare(case, n, size) for size in chunks})
    batch = best({size: captum(case, n, size * len(case.x)) for size in chunks})
    found: dict[str, Call] = {"bare": lambda: bare(case, n, n)}
    found["bare, best chunk"] = lambda: bare(case, n, chunk)
    found["pyig"] = ours(case, n)
    if short == "image":
        found[SINGLY] = lambda: bare(case, n, 1)
        found[ADAPTIVE] = adaptive(case)[0]
    found["captum"] = captum(case, n)
    found["captum, best batch"] = captum(case, n, batch * len(case.x))
    return found | peers(short, case, n)


def check(case: Case, n: int) -> None:
    """Fail when the contestants do not compute the same thing."""
    reference = bare(case, n, n)
    for call in (ours(case, n), captum(case, n)):
        apart = float((call() - reference).abs().sum() / reference.abs().sum())
        assert apart < 1e-3, f"{case.name}: attributions differ by {apart:.1e} of their size"


def show(short: str, case: Case, timings: dict[str, Timing], judge: bool) -> list[str]:
    """Print the table of one model, and return what misses its target; small sizes are not judged."""
    rows = [
        (name, show_seconds(t.median), show_seconds(t.best), f"{t.over(timings['bare, best chunk']):.2f}",
         f"{t.over(timings['pyig']):.2f}")
        for name, t in timings.items()
    ]  # fmt: skip
    print(f"\n{case.name}, {N} gradients per row")
    print(table(["", "median", "best", "/ bare, best chunk", "/ pyig"], rows))
    missed = []
    for one, other, limit, sign in TARGETS[short] if judge else ():
        ratio = timings[one].over(timings[other])
        kept = ratio <= limit if sign == "<=" else ratio >= limit
        line = f"{one} / {other} = {ratio:.2f}, wanted {sign} {limit}"
        print(f"  {'kept' if kept else 'MISSED'}: {line}")
        missed += [] if kept else [f"{case.name}: {line}"]
    if ADAPTIVE in timings:
        taken = adaptive(case)[1]
        ratio = timings[ADAPTIVE].over(timings[SINGLY]) * N / taken
        line = f"{ADAPTIVE} / {taken} bare gradients = {ratio:.2f}, wanted <= {PER_GRADIENT}"
        print(f"  {'kept' if ratio <= PER_GRADIENT or not judge else 'MISSED'}: {line}")
        missed += [] if ratio <= PER_GRADIENT or not judge else [f"{case.name}: {line}"]
    return missed


def peak(who: str, short: str, n: int, quick: bool, threads: int) -> tuple[float, float]:
    """Return in MiB the peak of a fresh process with one call, and what the call added: the least of three runs."""
    script = Path(__file__).parent / "overhead_parts" / "peak.py"
    words = [str(script), who, short, str(n), "quick" if quick else "full", str(threads)]
    runs = []
    for _ in range(1 if quick else 3):
        done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
        runs.append(tuple(float(number) / (1 << 20) for number in done.stdout.split()))
    return min(run[0] for run in runs), min(run[1] for run in runs)


def memory(quick: bool, threads: int) -> list[str]:
    """Print peak memory at n and 10 n steps, and return what misses its target."""
    rows, missed = [], []
    for who, short in [("pyig", short) for short in TARGETS] + [("bare", "mlp"), ("captum", "mlp")]:
        few, many = (peak(who, short, steps, quick, threads) for steps in (N, 10 * N))
        name, ratio = cases(quick)[short].name, many[0] / few[0]
        shown = (f"{few[0]:.0f} MiB", f"{many[0]:.0f} MiB", f"{ratio:.2f}", f"{few[1]:.0f} MiB", f"{many[1]:.0f} MiB")
        rows.append((f"{who}, {name}", *shown))
        if who == "pyig" and not quick and ratio > FLAT:
            missed.append(f"memory, {name}: {ratio:.2f}, wanted <= {FLAT}")
    print("\nPeak memory of a fresh process with one call, and what the call adds to what was there")
    print(table(["", f"n = {N}", f"n = {10 * N}", "ratio", f"adds, n = {N}", f"adds, n = {10 * N}"], rows))
    return missed


def profile(call: Call) -> None:
    """Print where the time of one call goes."""
    call()
    watch = cProfile.Profile()
    watch.runcall(call)
    pstats.Stats(watch).sort_stats("tottime").print_stats(18)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: shows that it runs")
    parser.add_argument("--only", choices=[*TARGETS, "memory"], help="one part")
    parser.add_argument("--rounds", type=int, help="rounds per table")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of torch; its own choice if left out"
    )
    parser.add_argument("--profile", action="store_true", help="say where pyig's time goes")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(machine("pyig-explain", "torch", "captum", "saliency", "shap", "alibi", "numpy"))
    print(f"torch on {args.threads} thread(s)")
    missed: list[str] = []
    for short, case in cases(args.quick).items():
        if args.only not in (None, short):
            continue
        check(case, N)
        calls = contestants(short, case, N)
        rounds = args.rounds or (3 if args.quick else {"mlp": 41, "cnn": 15, "image": 15}[short])
        missed += show(short, case, interleave(calls, rounds=rounds), judge=not args.quick)
        if args.profile:
            profile(calls["pyig"])
    if args.only in (None, "memory"):
        missed += memory(args.quick, args.threads)
    verdict = "small sizes: no target is judged" if args.quick else "every target is kept"
    print("\n" + ("\n".join(["missed:", *missed]) if missed else verdict))
    print(machine())


if __name__ == "__main__":
    main()
