"""What an accuracy costs, and whether it is reached where it is claimed.

Small networks of several families are trained on scikit-learn's data sets. Held-out samples are explained for the
predicted class, from zero, the mean and noise in turn. The truth is pyig's exact mode where it applies, else a midpoint
rule of 4096 nodes, both in float64; errors are relative L1 per sample. "Silent" is the share that claims to have met
the tolerance and misses it. Families with a star are not those that the scheme's constants were tuned on;
docs/numerics.md says which seeds were looked at.

    python benchmarks/accuracy.py [--quick] [--families tuned|held-out|NAME ...] [--seeds 11 12 13] [--plots FOLDER]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accuracy_parts import report
from accuracy_parts.families import FAMILIES, Family
from accuracy_parts.study import FIXED, Case, problems, study
from common import machine

RTOLS = (0.01, 0.001)
GROUPS = {"tuned": True, "held-out": False}
QUICK = ("MLP GELU, cancer", "MLP ReLU, wine")


def chosen(names: Sequence[str] | None, quick: bool) -> list[Family]:
    if quick and not names:
        return [replace(FAMILIES[name], steps=100, samples=12) for name in QUICK]
    found: list[Family] = []
    for name in names or GROUPS:
        found += [f for f in FAMILIES.values() if f.tuned == GROUPS[name]] if name in GROUPS else [FAMILIES[name]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two families, few samples, seconds")
    parser.add_argument("--families", nargs="+", choices=[*GROUPS, *FAMILIES], metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[11])
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write pictures there")
    options = parser.parse_args()
    print(machine("numpy", "torch", "scikit-learn", "captum"))
    rtols, fixed = (RTOLS[:1], FIXED[:8:2]) if options.quick else (RTOLS, FIXED)
    cases: list[Case] = []
    for family in chosen(options.families, options.quick):
        for seed in options.seeds:
            begin = time.perf_counter()
            for problem in problems(family, seed):
                cases.append(study(family, seed, problem, rtols, fixed, captum=not options.quick))
            print(
                f"  {family.name}, seed {seed}, reference {cases[-1].reference}: {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    for rtol in rtols:
        print(f"\n{100 * rtol:g} % per feature; seeds {options.seeds}; mean gradients per sample, all waste included")
        print(report.cost(cases, rtol))
    print(f"\nAt {100 * rtols[0]:g} %, seed {options.seeds[0]}: fill of batches for 100 samples; runs in batches of 64")
    print(report.running(cases, rtols[0]))
    if options.plots:
        from accuracy_parts import plots

        for path in plots.draw(cases, options.plots):
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
