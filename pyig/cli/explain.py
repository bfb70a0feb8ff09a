"""`pyig explain`: a file of rows in, a file of attributions out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

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
    opened_with,
    read_target,
    say_json,
)

_EXAMPLES = """\
  pyig explain heart.keras patients.csv --out attributions.parquet
  pyig explain model/ rows.jsonl --out a.csv --target predicted --rtol 0.001
  pyig explain package/ rows.parquet --out a.parquet --trust --id patient --on-error mark

A job that was stopped, by Ctrl-C or kill -9, goes on when the same command is called again: what is finished lies in
FILE.parts until FILE is written. The file is the same, to the byte, as that of a job that was left alone."""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = command(commands, "explain", "explain every row of a file", _EXAMPLES)
    parser.add_argument("artifact", metavar="ARTIFACT", help=ARTIFACT)
    parser.add_argument("rows", metavar="ROWS", help=ROWS)
    parser.add_argument("--out", metavar="FILE", required=True, help=f"attributions: {ROWS}")
    add_explanation(parser)
    add_artifact(parser)
    add_rows(parser)
    job = parser.add_argument_group("the job")
    job.add_argument(
        "--on-error",
        choices=("raise", "skip", "mark"),
        default="raise",
        help="rows that cannot be explained: an error before the work begins (default), left out, or kept with "
        "their problem and without numbers",
    )
    job.add_argument(
        "--chunk", metavar="N", type=at_least(1), help="rows kept together (default: 16 to 4096, by width)"
    )
    job.add_argument("--seed", metavar="N", type=at_least(0), default=0, help="of what is drawn at random (default: 0)")
    job.add_argument("--restart", action="store_true", help="throw away what an earlier run has kept")
    said = parser.add_argument_group("what is said")
    said.add_argument("--progress", action="store_true", default=None, help="a bar even where stderr is no terminal")
    said.add_argument("--quiet", action="store_true", help="no bar and no summary")
    said.add_argument("--json", action="store_true", help="the summary as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the job; say what came out, or how to go on."""
    from pyig.cli.progress import Bar
    from pyig.scale import Job

    artifact = open_artifact(options)
    job = Job(
        artifact=artifact,
        rows=options.rows,
        out=options.out,
        target=read_target(options.target, artifact),
        options=explain_options(options, artifact),
        opened={"kind": artifact.kind, **opened_with(options)},
        chunk=options.chunk or "auto",
        on_error=options.on_error,
        id_column=options.id,
        columns=options.columns,
        text=options.text,
        seed=options.seed,
        restart=options.restart,
    )
    bar, begin = Bar(Path(options.out).name, False if options.quiet else options.progress), time.perf_counter()
    try:
        account = job.run(bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"what is finished is kept in {options.out}.parts: run the same command again to go on"
        ) from None
    finally:
        bar.close()
    seconds = round(time.perf_counter() - begin, 3)
    if options.json:
        say_json({"out": options.out, **account.as_json(), "seconds": seconds})
    elif not options.quiet:
        _say(options.out, account, seconds)
    return DONE


def _say(out: str, account: Any, seconds: float) -> None:
    from pyig.explanation.verdict import percent

    rows = "1 row" if account.explained == 1 else f"{account.explained} rows"
    left = account.results - account.converged
    parts = [
        f"{out}: {rows} explained",
        f"{account.faulty} with problems" if account.faulty else "",
        f"{left} of {account.results} results not converged" if left else "all converged",
        f"completeness gap at most {percent(account.worst_gap)} of the attributions",
        f"{account.n_evals} gradients, {seconds:.3g} s",
        f"{account.resumed} rows were there from before" if account.resumed else "",
    ]
    print("; ".join(part for part in parts if part))
