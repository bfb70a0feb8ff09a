"""What the subcommands share: options of artifacts and explanations, and how results are said."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyig.errors import InputError

DONE, FAILED, INTERRUPTED = 0, 1, 130

ARTIFACT = "a .keras or .h5 file, a SavedModel directory, a directory with package.py, or a torch file"
ROWS = ".csv, .tsv, .json, .jsonl or .parquet"


def command(commands: Any, name: str, words: str, examples: str) -> argparse.ArgumentParser:
    """Add a subcommand with a help text and examples."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_artifact(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to open an artifact."""
    group = parser.add_argument_group("the artifact")
    group.add_argument("--kind", metavar="NAME", help="what it is, where its path cannot tell")
    group.add_argument("--signature", metavar="NAME", help="of a SavedModel (default: serving_default)")
    group.add_argument(
        "--with", dest="extra", metavar="NAME=VALUE", type=_pair, action="append", default=[],
        help="what else its kind can be told: layer=embedding, output=risk",
    )  # fmt: skip
    group.add_argument("--trust", action="store_true", help="run code that comes with it: package.py, lambdas, pickles")


def open_artifact(options: argparse.Namespace) -> Any:
    """Open the artifact that the options name."""
    from pyig.artifacts import load

    return load(options.artifact, options.kind, trust=options.trust, **opened_with(options))


def opened_with(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `load` is told beside the path."""
    signature = {} if options.signature is None else {"signature": options.signature}
    return signature | dict(options.extra)


def add_explanation(parser: argparse.ArgumentParser) -> None:
    """Add the options of an explanation."""
    group = parser.add_argument_group("the explanation (default: what the artifact asks for)")
    group.add_argument("--target", metavar="T", help="output to explain: its name or number, predicted, or top3")
    group.add_argument(
        "--value", metavar="NAME", help="F: probability, log_probability or log_odds (default: the output)"
    )
    group.add_argument("--baseline", metavar="B", help="a name such as zero, a number, or a file of rows")
    group.add_argument("--method", metavar="NAME", help="auto, adaptive, exact, expected, gausslegendre, simpson, ...")
    group.add_argument("--n-steps", metavar="N", type=at_least(1), help="gradients per row of a fixed rule")
    group.add_argument("--rtol", metavar="R", type=float, help="tolerance of the adaptive default (0.01)")
    group.add_argument("--max-evals", metavar="N", type=at_least(1), help="most gradients per row (512)")
    group.add_argument(
        "--batch-size", metavar="N", type=at_least(1), help="most rows of one model call (default: by width)"
    )


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the columns of a rows file are."""
    group = parser.add_argument_group("the rows")
    group.add_argument("--id", metavar="COLUMN", help="column that names the rows, and is no input")
    group.add_argument("--columns", metavar="COLUMN,...", type=names, help="columns to explain, in order")
    group.add_argument("--text", metavar="COLUMN,...", type=names, default=[], help="columns to read as text")


def explain_options(options: argparse.Namespace, artifact: Any) -> dict[str, Any]:
    """Return keyword arguments for `Artifact.explain`, those that were given."""
    known = ("value", "method", "n_steps", "rtol", "max_evals", "batch_size")
    found = {name: getattr(options, name) for name in known if getattr(options, name) is not None}
    if options.baseline is not None:
        found["baselines"] = _baseline(options, artifact)
    return found


def read_target(word: str | None, artifact: Any) -> Any:
    """Turn a word into a target: a name of the artifact's outputs, a number, or what `explain` knows itself."""
    if word is None or word in artifact.outputs:
        return word
    try:
        return int(word)
    except ValueError:
        pass
    if "," in word:
        try:
            return tuple(int(part) for part in word.split(","))
        except ValueError:
            pass
    return word


def _baseline(options: argparse.Namespace, artifact: Any) -> Any:
    word: str = options.baseline
    try:
        return float(word)
    except ValueError:
        pass
    if not Path(word).is_file():
        return word
    from pyig.baselines import several

    table, faults, count = read_table(word, artifact, options=options)
    if faults:
        raise InputError(f"expected baselines without gaps in {word}; {faults[0]}")
    rows = [{name: array[i].tolist() for name, array in table.items()} for i in range(count)]
    return rows[0] if count == 1 else several(rows)


def read_table(
    path: str, artifact: Any, most: int | None = None, options: argparse.Namespace | None = None
) -> tuple[dict[str, Any], list[Any], int]:
    """Read a whole file, or its first rows: a table, what is wrong with rows, and how many rows there are."""
    from pyig.scale import Rows

    chosen = None if options is None else options.columns
    rows = Rows(path, chosen or artifact.columns, () if options is None else options.text, or_all=not chosen)
    chunk = next(rows.chunks(rows.count if most is None else min(most, rows.count)))
    left_out = {None if options is None else options.id} - set(artifact.columns)
    table = {name: array for name, array in chunk.table.items() if name not in left_out}
    return table, [fault for fault in chunk.faults if fault.column not in left_out - {None}], rows.count


def names(text: str) -> list[str]:
    """Split names at their commas.

    Examples
    --------
    >>> names("age, sex"), names("")
    (['age', 'sex'], [])
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE; got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def at_least(least: int) -> Callable[[str], int]:
    """Return the reader of a whole number that is not too small."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}; got {text}")
        return value

    number.__name__ = "whole number"  # argparse says: invalid whole number value
    return number


def say_json(data: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(data, indent=2, default=str))
