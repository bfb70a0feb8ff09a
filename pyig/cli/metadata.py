"""`pyig metadata init`: write the explanation_metadata.json that an artifact still lacks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyig.cli.shared import ARTIFACT, add_artifact, command

_EXAMPLES = """\
  pyig metadata init model/
  pyig metadata init heart.keras --out explanation_metadata.json"""


def add(commands: Any) -> None:
    """Add the subcommand."""
    family = commands.add_parser("metadata", help="explanation_metadata.json: write a first one")
    verbs = family.add_subparsers(required=True, metavar="VERB")
    parser = command(verbs, "init", "write explanation_metadata.json from what the model itself tells", _EXAMPLES)
    parser.add_argument("artifact", metavar="ARTIFACT", help=ARTIFACT)
    parser.add_argument("--out", metavar="FILE", type=Path, help="default: in the artifact's directory")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    add_artifact(parser)
    parser.add_argument("--json", action="store_true", help="print the metadata instead of writing them")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build and write."""
    raise NotImplementedError
