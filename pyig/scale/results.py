"""Results on disk: attributions.csv, .tsv, .json, .jsonl or .parquet, written a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyig.errors import InputError, ModelError
from pyig.explanation.savefile import replace
from pyig.registry import Registry
from pyig.scale.parts import Part
from pyig.scale.records import NUMBERS

WRITERS = Registry(
    "kind of results file",
    {
        ".csv": "pyig.scale.text_results:write_csv",
        ".tsv": "pyig.scale.text_results:write_tsv",
        ".json": "pyig.scale.text_results:write_json",
        ".jsonl": "pyig.scale.text_results:write_lines",
        ".ndjson": "pyig.scale.text_results:write_lines",
        ".parquet": "pyig.scale.parquet_results:write_parquet",
    },
)


@dataclass(frozen=True)
class Layout:
    """The columns of the output, the same for every part.

    Attributes
    ----------
    id_name : str or None
        The user's column of names.
    marked : bool
        Whether there is a column of problems.
    kinds : dict of str to (str, bool)
        For each column of numbers its numpy kind (``"f4"``, ``"f8"``, ``"i8"``, ``"b1"``; ``"U"``; ``""`` where no
        part knows) and whether its cells are lists.
    """

    id_name: str | None
    marked: bool
    kinds: dict[str, tuple[str, bool]]

    @property
    def names(self) -> list[str]:
        """Return the names in order."""
        own = ["row", *([self.id_name] if self.id_name else [])]
        return [*own, *self.kinds, *(["problem"] if self.marked else [])]


def layout_of(headers: Iterable[Mapping[str, Any]], id_name: str | None, marked: bool) -> Layout:
    """Return the columns that the parts agree on, from their headers; a part without a result has no say."""
    kinds: dict[str, tuple[str, bool]] | None = None
    for header in headers:
        found = {name: (str(kind), bool(lists)) for name, (kind, lists) in header["columns"].items()}
        if found and kinds is not None and found != kinds:
            raise ModelError(
                "expected the same columns for all rows; the model gave "
                f"{', '.join(kinds)} first, and {', '.join(found)} from row {header['first']} on"
            )
        kinds = found or kinds
    kinds = kinds or {}
    fixed = {name: kinds.get(name, ("", False)) for name in NUMBERS}
    layout = Layout(id_name, marked, fixed | {name: kind for name, kind in kinds.items() if name not in fixed})
    twice = sorted({name for name in layout.names if layout.names.count(name) > 1})
    if twice:
        raise InputError(f"expected an id column of another name; {twice[0]!r} is a column of the results")
    return layout


def write_results(out: Path, layout: Layout, parts: Callable[[], Iterator[Part]]) -> None:
    """Write the output, and move it into place when it is whole."""
    write = WRITERS[out.suffix.lower()]
    replace(out, lambda file: write(file, layout, parts()))


def spread(part: Part, values: Sequence[Any], unknown: Any) -> list[Any]:
    """Give every output row its value; rows that were not explained have none."""
    if part.explained.all():
        return list(values)
    given = iter(values)
    return [next(given) if explained else unknown for explained in part.explained.tolist()]
