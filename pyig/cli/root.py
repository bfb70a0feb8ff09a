"""From the words of a command line to a subcommand, and from its end to an exit status."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from pyig.cli import demo, explain, info, metadata, report, validate
from pyig.cli.shared import FAILED, INTERRUPTED
from pyig.errors import PyigError

_STATUS = """\
exit status:
  0    done
  1    an error, or problems that `pyig validate` found
  2    a command line that pyig cannot read
  130  interrupted with Ctrl-C; `pyig explain` goes on when it is called again

PYIG_TRACEBACK=1 shows where an error came from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return the exit status, which ``pyig --help`` explains.

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
    # Read when TensorFlow is imported. Without oneDNN the order of its sums, and so the last bit, is always the same.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt as interrupt:
        print(f"pyig: interrupted{f'; {interrupt}' if str(interrupt) else ''}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("PYIG_TRACEBACK"):
            raise
        message = _message(error)
        if getattr(options, "json", False):
            print(json.dumps({"error": type(error).__name__, "message": message}))
        print(f"pyig: {message}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyig",
        description="Integrated Gradients with accuracy you can check.",
        epilog=_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyig {version('pyig-explain')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (demo, explain, report, validate, info, metadata):
        command.add(commands)
    return parser


def _message(error: Exception) -> str:
    """Say in one line what went wrong; what pyig did not foresee keeps its type."""
    if isinstance(error, PyigError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        text = ": ".join([*names[:1], error.strerror])
        if error.errno in (errno.ENOSPC, errno.EFBIG):
            text += ". Make room, and run the same command again: finished parts of a job are kept"
    else:
        text = f"{type(error).__name__}: {error} (PYIG_TRACEBACK=1 shows where)"
    return " ".join(text.split())
