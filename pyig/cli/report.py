"""`pyig report`: a page of HTML about some rows, or about a saved explanation."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from pyig.cli.shared import (
    ARTIFACT,
    DONE,
    ROWS,
    add_artifact,
    add_explanation,
    add_rows,
    at_least,
    command,
    explain_options,
    open_artifact,
    read_table,
    read_target,
    say_json,
)
from pyig.errors import InputError

_EXAMPLES = """\
  pyig report heart.keras patients.csv --out report.html
  pyig report explanation.npz --out report.html --top 5"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = command(commands, "report", "write a self-contained HTML page about some rows", _EXAMPLES)
    parser.add_argument("artifact", metavar="ARTIFACT", help=f"{ARTIFACT}; or a saved explanation (.npz), without rows")
    parser.add_argument("rows", metavar="ROWS", nargs="?", help=ROWS)
    parser.add_argument("--out", metavar="FILE", type=Path, default=Path("report.html"), help="default: %(default)s")
    parser.add_argument("--limit", type=at_least(1), default=100, help="rows to explain (default: the first 100)")
    parser.add_argument("--samples", type=at_least(0), default=20, help="rows to show in detail (default: 20)")
    parser.add_argument("--top", type=at_least(1), default=15, help="features per row (default: 15)")
    parser.add_argument("--title", help="heading of the page")
    add_explanation(parser)
    add_artifact(parser)
    add_rows(parser)
    parser.add_argument("--json", action="store_true", help="say what was written as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explain, or load, and write the page."""
    explanation, left = _explain(options) if options.rows is not None else (_load(options.artifact), 0)
    explanation.to_html(options.out, samples=options.samples, top=options.top, title=options.title)
    if options.json:
        say_json({"out": str(options.out), "rows": len(explanation), "left": left, "verdict": explanation.verdict()})
        return DONE
    rows = "1 row" if len(explanation) == 1 else f"{len(explanation)} rows"
    more = f" ({left} more in the file: --limit)" if left else ""
    print(f"{options.out}: {rows}{more}; {explanation.verdict()}")
    return DONE


def _load(path: str) -> Any:
    from pyig.explanation import Explanation

    if not path.endswith(".npz"):
        raise InputError(f"expected rows to explain, or a saved explanation (.npz); got {path!r} alone")
    return Explanation.load(path)


def _explain(options: argparse.Namespace) -> tuple[Any, int]:
    artifact = open_artifact(options)
    table, faults, count = read_table(options.rows, artifact, options.limit, options)
    if faults:
        broken = {fault.row for fault in faults}
        print(f"left out: {'; '.join(map(str, faults[:5]))}{', ...' if len(faults) > 5 else ''}")
        whole = np.array([row for row in range(min(count, options.limit)) if row not in broken], dtype=np.int64)
        if not len(whole):
            raise InputError(f"expected a row that can be explained among the first {options.limit}; {faults[0]}")
        table = {name: array[whole] for name, array in table.items()}
    chosen = {"rng": 0, **explain_options(options, artifact), "progress": False}
    found = artifact.explain(table, target=read_target(options.target, artifact), **chosen)
    return found, count - min(count, options.limit)
