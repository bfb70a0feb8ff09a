"""`pyig validate`: every problem of an artifact, with its cure."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from pyig.cli.shared import (
    ARTIFACT,
    DONE,
    FAILED,
    ROWS,
    add_artifact,
    add_rows,
    at_least,
    command,
    open_artifact,
    read_table,
    say_json,
)
from pyig.errors import PyigError

_EXAMPLES = """\
  pyig validate package/ --trust
  pyig validate model/ rows.csv --json"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = command(commands, "validate", "look for what would keep an artifact from being explained", _EXAMPLES)
    parser.add_argument("artifact", metavar="DIR", help=ARTIFACT)
    parser.add_argument("rows", metavar="ROWS", nargs="?", help=f"rows to try it on, {ROWS}; default: invented ones")
    parser.add_argument("--limit", type=at_least(1), default=100, help="rows to try (default: %(default)s)")
    add_artifact(parser)
    add_rows(parser)
    parser.add_argument("--json", action="store_true", help="the problems as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was found; fail where something is an error."""
    from pyig.artifacts import Problem

    problems: list[Problem] = []
    place = options.artifact
    try:
        artifact = open_artifact(options)
        place = options.rows or place
        table = None
        if options.rows is not None:
            table, faults, _ = read_table(options.rows, artifact, options.limit, options)
            cure = "Correct the row, or explain with --on-error skip or mark"
            problems += [Problem("error", f"{options.rows}, row {f.row}, {f.column}", f.what, cure) for f in faults]
            table = table if not faults else None
        place = options.artifact
        problems += artifact.problems(table)
    except PyigError as error:  # what cannot even be opened has one problem, and its message has the cure
        problems.append(Problem("error", place, str(error), ""))
    failed = any(problem.level == "error" for problem in problems)
    if options.json:
        say_json({"ok": not failed, "problems": [asdict(problem) for problem in problems]})
        return FAILED if failed else DONE
    for problem in problems:
        print(str(problem).rstrip(". ") + ".")
    errors = sum(problem.level == "error" for problem in problems)
    print(f"{options.artifact}: {_plural(errors, 'error')}, {_plural(len(problems) - errors, 'warning')}")
    return FAILED if failed else DONE


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
