"""The command `pyig`: one function per subcommand; what is said on the terminal is printed here and nowhere else."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pyig import _core
from pyig.backends import BACKENDS
from pyig.demos import TRAINERS, choose_trainer
from pyig.errors import PyigError

_OPTIONAL = (
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "jax",
    "matplotlib",
    "pandas",
    "tqdm",
    "ipython",
    "ipywidgets",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status: 0, or 1 after an error that pyig explains.

    Parameters
    ----------
    arguments : sequence of str, optional
        What stands after ``pyig``; taken from the command line when left out.

    Examples
    --------
    >>> main(["info"])  # doctest: +ELLIPSIS
    pyig ...
    0
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except PyigError as error:
        print(f"pyig: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pyig", description="Integrated Gradients with accuracy you can check.")
    parser.add_argument("--version", action="version", version=f"pyig {version('pyig-explain')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train a small network and explain what it sees")
    demo.add_argument("--image", action="store_true", help="handwritten digits instead of heart patients")
    demo.add_argument("--framework", choices=list(TRAINERS), help="default: the first one that is installed")
    demo.add_argument("--report", type=Path, help="HTML file to write (default: report.html, report-image.html)")
    demo.add_argument("--rows", type=_count, default=12, help="patients to print (default: %(default)s)")
    demo.set_defaults(run=_demo)

    info = commands.add_parser("info", help="print versions, the instruction set in use and the backends")
    info.set_defaults(run=_info)
    return parser


def _demo(options: argparse.Namespace) -> None:
    trainer = choose_trainer(options.framework)
    if options.image:
        from pyig.demos import digits

        lines = digits.run(trainer, options.report or Path("report-image.html"))
    else:
        from pyig.demos import heart

        lines = heart.run(trainer, options.report or Path("report.html"), options.rows)
    for line in lines:
        print(line, flush=True)


def _info(options: argparse.Namespace) -> None:
    print(f"pyig {version('pyig-explain')}, Python {platform.python_version()}, {platform.platform()}")
    print(f"instruction set: {_core.isa()} (available: {', '.join(_core.isas())}; PYIG_ISA chooses)")
    print(f"backends known: {', '.join(BACKENDS)}")
    for name in ("numpy", *_OPTIONAL):
        print(f"  {name:14} {_version(name)}")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise ValueError
    return count
