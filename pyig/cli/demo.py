"""`pyig demo`: train a small network and explain what it sees."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyig.cli.shared import DONE, at_least


def add(commands: Any) -> None:
    """Add the subcommand."""
    from pyig.demos import TRAINERS

    demo = commands.add_parser("demo", help="train a small network and explain what it sees")
    demo.add_argument("--image", action="store_true", help="handwritten digits instead of heart patients")
    demo.add_argument("--framework", choices=list(TRAINERS), help="default: the first one that is installed")
    demo.add_argument("--report", type=Path, help="HTML file to write (default: report.html, report-image.html)")
    demo.add_argument("--rows", type=at_least(0), default=12, help="patients to print (default: %(default)s)")
    demo.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Train, explain, print as it goes."""
    from pyig.demos import choose_trainer

    trainer = choose_trainer(options.framework)
    if options.image:
        from pyig.demos import digits

        lines = digits.run(trainer, options.report or Path("report-image.html"))
    else:
        from pyig.demos import heart

        lines = heart.run(trainer, options.report or Path("report.html"), options.rows)
    for line in lines:
        print(line, flush=True)
    return DONE
