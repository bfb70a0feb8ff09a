"""`pyig metadata init`: write the explanation_metadata.json that a model still lacks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyig.cli.shared import ARTIFACT, DONE, command, say_json
from pyig.errors import InputError

_EXAMPLES = """\
  pyig metadata init model/
  pyig metadata init heart.keras --out explanation_metadata.json

Inputs, outputs, and for inputs without gradients the tensor behind them are filled in; names of features and
baselines are for whoever knows them. `pyig validate` checks the result."""


def add(commands: Any) -> None:
    """Add the subcommand."""
    family = commands.add_parser("metadata", help="write a first explanation_metadata.json")
    verbs = family.add_subparsers(required=True, metavar="VERB")
    parser = command(verbs, "init", "write explanation_metadata.json from what the model itself tells", _EXAMPLES)
    parser.add_argument("artifact", metavar="ARTIFACT", help=ARTIFACT)
    parser.add_argument("--out", metavar="FILE", type=Path, help="default: in the directory of the artifact")
    parser.add_argument("--signature", metavar="NAME", help="of a SavedModel (default: serving_default)")
    parser.add_argument("--output", metavar="NAME", help="which output, where there are several")
    parser.add_argument("--trust", action="store_true", help="run code that comes with it")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print the metadata instead of writing them")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build, and write unless a file is there."""
    from pyig.artifacts import metadata

    path = Path(options.artifact)
    if not path.exists():
        raise InputError(f"expected a file or directory; {str(path)!r} does not exist")
    out = options.out or (path if path.is_dir() else path.parent) / metadata.FILE_NAME
    if out.exists() and not options.force and not options.json:
        raise InputError(f"expected a new file; {str(out)!r} is there. Replace it with --force, or choose --out")
    built = metadata.build(path, signature=options.signature, output=options.output, trust=options.trust)
    if options.json:
        say_json(metadata.to_dict(built))
        return DONE
    names = ", ".join([*(item.name for item in built.inputs), *(item.name for item in built.outputs)])
    print(f"{metadata.write(built, out)}: {names}")
    return DONE
