"""`pyig info`: what is installed, or what an artifact holds."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pyig.cli.shared import ARTIFACT, DONE, add_artifact, command, open_artifact, say_json

_OPTIONAL = (
    "torch",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "jax",
    "matplotlib",
    "pandas",
    "pyarrow",
    "tqdm",
    "ipython",
    "ipywidgets",
)
_WIDTH = 100
_EXAMPLES = """\
  pyig info
  pyig info heart.keras
  pyig info model/ --signature serving_default --json"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    parser = command(commands, "info", "print versions and backends, or what an artifact holds", _EXAMPLES)
    parser.add_argument("artifact", metavar="ARTIFACT", nargs="?", help=ARTIFACT)
    add_artifact(parser)
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the one or the other."""
    if options.artifact is None:
        _installation(options.json)
        return DONE
    artifact = open_artifact(options)
    told = {"path": str(artifact.path), "kind": artifact.kind, "columns": list(artifact.columns)}
    told |= {"outputs": list(artifact.outputs), "defaults": dict(artifact.defaults)}
    told |= artifact.describe()
    if options.json:
        say_json(told)
    else:
        print("\n".join(lines(told)))
    return DONE


def lines(data: Any, indent: str = "") -> Iterator[str]:
    r"""Lay JSON data out for reading.

    Examples
    --------
    >>> print("\n".join(lines({"kind": "keras", "inputs": {"age": {"shape": [None, 1]}}, "outputs": ["a", "b"]})))
    kind: keras
    inputs:
      age: shape [any, 1]
    outputs: a, b
    """
    for name, value in data.items() if isinstance(data, Mapping) else (("-", item) for item in data):
        label = f"{indent}{name}" if name == "-" else f"{indent}{name}:"
        if not _nested(value):
            yield f"{label} {_word(value)}"
        elif isinstance(value, (list, tuple)) and not any(map(_nested, value)):
            yield f"{label} {', '.join(map(_word, value)) or 'none'}"
        elif (line := _one_line(value)) is not None:
            yield f"{label} {line}"
        else:
            yield label
            yield from lines(value, indent + "  ")


def _one_line(value: Any) -> str | None:
    """Write a mapping of a few plain values on one line; None where it is none, or too long."""
    if not isinstance(value, Mapping) or not value:
        return None if value else "none"
    if any(isinstance(item, Mapping) or (_nested(item) and any(map(_nested, item))) for item in value.values()):
        return None
    shown = {name: f"[{', '.join(map(_word, v))}]" if _nested(v) else _word(v) for name, v in value.items()}
    line = ", ".join(f"{name} {text}" for name, text in shown.items())
    return line if len(line) <= _WIDTH else None


def _word(value: object) -> str:
    return "any" if value is None else str(value)


def _nested(value: object) -> bool:
    return isinstance(value, (Mapping, list, tuple))


def _installation(as_json: bool) -> None:
    from pyig import _core
    from pyig.backends import BACKENDS

    pyig, isas = version("pyig-explain"), ", ".join(_core.isas())
    packages = {name: _version(name) for name in ("numpy", *_OPTIONAL)}
    if as_json:
        told = {"pyig": pyig, "python": platform.python_version(), "platform": platform.platform()}
        say_json(told | {"isa": _core.isa(), "isas": _core.isas(), "backends": list(BACKENDS), "packages": packages})
        return
    print(f"pyig {pyig}, Python {platform.python_version()}, {platform.platform()}")
    print(f"instruction set: {_core.isa()} (available: {isas}; PYIG_ISA chooses)")
    print(f"backends known: {', '.join(BACKENDS)}")
    for name, found in packages.items():
        print(f"  {name:14} {found or 'not installed'}")


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
