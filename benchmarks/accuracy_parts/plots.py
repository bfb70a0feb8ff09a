"""Pictures for `docs/numerics.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from accuracy_parts.study import Case

SHOWN = ("MLP GELU, digits", "ViT-like", "CNN ReLU", "BN-ResNet")
LINES = {"Gauss-Legendre": "#1f77b4", "midpoint": "#2ca02c", "captum trapezoid": "#7f7f7f"}
PYIG = "#d62728"
KINDS = {"smooth": "#1f77b4", "attention": "#9467bd", "relu": "#ff7f0e", "cnn": "#2ca02c", "resnet": "#8c564b"}


def draw(cases: Sequence[Case], folder: Path) -> list[Path]:
    """Write both pictures; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_errors(cases, folder / "accuracy-cost.png"), _claims(cases, folder / "accuracy-claims.png")]


def _errors(cases: Sequence[Case], path: Path) -> Path:
    """P95 error against gradients, one panel per family."""
    names = [name for name in SHOWN if any(case.family.name == name for case in cases)]
    names = names or list(dict.fromkeys(case.family.name for case in cases))[:4]
    figure, grid = plt.subplots(2, len(names), figsize=(3.1 * len(names), 5.6), sharex=True, sharey=True, squeeze=False)
    for column, name in enumerate(names):
        for row, what in enumerate(("logit", "probability")):
            shown = [case for case in cases if case.family.name == name and case.what == what]
            if shown:
                _panel(grid[row, column], shown[0])
            grid[row, column].set_title(f"{name}: {what}", fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("gradients per sample", fontsize=9)
    for axes in grid[:, 0]:
        axes.set_ylabel("95th percentile of the L1 error", fontsize=9)
    handles = grid[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="lower center", ncols=5, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    return _save(figure, path)


def _panel(axes: Axes, case: Case) -> None:
    for rule, colour in LINES.items():
        if rule in case.curves:
            points = sorted(case.curves[rule].items())
            axes.plot(*zip(*points, strict=True), color=colour, label=rule, marker=".", markersize=4, linewidth=1)
    mine = sorted((run.evals.mean(), run.p95()) for (name, _), run in case.runs.items() if name == "p95")
    axes.plot(*zip(*mine, strict=True), color=PYIG, label="pyig, mean gradients", marker="D", markersize=5, linewidth=1)
    for (name, rtol), _ in case.runs.items():
        if name == "p95":
            axes.axhline(rtol, color=PYIG, linestyle=":", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(4, 600)
    axes.set_ylim(1e-5, 10)
    axes.tick_params(labelsize=8)


def _claims(cases: Sequence[Case], path: Path) -> Path:
    """True error against the claimed one, a dot per sample."""
    rtols = sorted({rtol for case in cases for _, rtol in case.runs}, reverse=True)
    figure, grid = plt.subplots(1, len(rtols), figsize=(4.6 * len(rtols), 4.4), squeeze=False)
    for axes, rtol in zip(grid[0], rtols, strict=True):
        for kind, colour in KINDS.items():
            runs = [case.runs["p95", rtol] for case in cases if case.family.kind == kind]
            if runs:
                claimed = np.concatenate([run.claimed for run in runs])
                error = np.concatenate([run.error for run in runs])
                axes.scatter(
                    claimed, np.maximum(error, 1e-3 * rtol), s=5, alpha=0.5, color=colour, label=kind, linewidths=0
                )
        ends = np.array([1e-2 * rtol, 5 * rtol])
        axes.plot(ends, ends, color="black", linewidth=0.8)
        axes.axhline(rtol, color=PYIG, linestyle=":", linewidth=0.8)
        axes.axvline(rtol, color=PYIG, linestyle=":", linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=(1e-3 * rtol, 5 * rtol))
        axes.set_title(f"rtol = {rtol:g}", fontsize=10)
        axes.set_xlabel("claimed relative L1 error", fontsize=9)
        axes.tick_params(labelsize=8)
    grid[0, 0].set_ylabel("true relative L1 error", fontsize=9)
    grid[0, 0].legend(fontsize=8, markerscale=3, frameon=False, loc="upper left")
    figure.tight_layout()
    return _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
