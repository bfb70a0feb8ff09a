"""Tables of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from common import show_seconds, table

from accuracy_parts.study import RULES, Case


def cost(cases: Sequence[Case], rtol: float) -> str:
    """How many gradients the tolerance costs, and how often the claim is wrong; means over the seeds."""
    captum = any("captum" in case.curves for case in cases)
    head = ["family", "F", "gradients", "P95 n", "typical", "strict", "P95 %", "silent %", "typ.", "str.", "open %"]
    head += ["best fixed", *(["captum"] if captum else [])]
    rows = [[*_row(group, rtol), *([_nodes([c.needed("captum", rtol) for c in group])] if captum else [])]
            for group in _groups(cases)]  # fmt: skip
    return table(head, rows)


def _row(group: list[Case], rtol: float) -> list[str]:
    runs = {name: [case.runs[name, rtol] for case in group] for name in ("p95", "typical", "strict")}
    evals = {name: np.concatenate([run.evals for run in found]) for name, found in runs.items()}
    silent = {name: 100 * np.mean([run.silent(rtol) for run in found]) for name, found in runs.items()}
    worst = 100 * np.mean([run.p95() for run in runs["p95"]])
    unmet = 100 * np.mean([1 - run.converged.mean() for run in runs["p95"]])
    name, usual = group[0].family.name + ("" if group[0].family.tuned else " *"), evals["p95"]
    return [
        name, group[0].what, f"{usual.mean():.1f}", f"{np.quantile(usual, 0.95):.0f}",
        f"{evals['typical'].mean():.1f}", f"{evals['strict'].mean():.1f}", f"{worst:.2g}",
        *(f"{silent[name]:.1f}" for name in ("p95", "typical", "strict")), f"{unmet:.0f}", _best(group, rtol),
    ]  # fmt: skip


def running(cases: Sequence[Case], rtol: float) -> str:
    """How full the calls are, how many rows stay open, time and memory, and what the automatic choice is."""
    head = [
        "family",
        "F",
        "fill 32",
        "64",
        "128 %",
        "samples",
        "open rows",
        "seconds",
        "peak MiB",
        "auto",
        "gradients",
        "P95 %",
    ]
    rows = []
    for group in _groups(cases):
        run, auto = group[0].runs["p95", rtol], group[0].runs["auto", rtol]
        rows.append([
            group[0].family.name, group[0].what, *(f"{100 * share:.0f}" for share in group[0].fill.values()),
            len(run.evals), run.meta["open_rows"], show_seconds(run.seconds),
            "-" if run.peak is None else f"{run.peak / 2**20:.1f}",
            auto.meta["method"], f"{auto.evals.mean():.1f}", f"{100 * auto.p95():.2g}",
        ])  # fmt: skip
    return table(head, rows)


def _groups(cases: Sequence[Case]) -> Iterator[list[Case]]:
    """The seeds of one family and F."""
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.family.name, case.what), []).append(case)
    yield from groups.values()


def _best(group: list[Case], rtol: float) -> str:
    found = {rule: np.mean([case.needed(rule, rtol) for case in group]) for rule in RULES}
    rule = min(found, key=found.__getitem__)
    return f"{rule} {_nodes([float(found[rule])])}" if np.isfinite(found[rule]) else _nodes([np.inf])


def _nodes(needed: list[float]) -> str:
    mean = np.mean(needed)
    return f"{mean:.0f}" if np.isfinite(mean) else "> 256"
