"""Read JSON as people write it: a comma before a closing bracket is reported by its line, and read over."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

from pyig.errors import InputError

# A string is consumed whole, so that a comma inside one is never taken for a trailing one.
_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)


class MetadataWarning(UserWarning):
    """A metadata file is read, although it is not what the format says."""


def loads(text: str, source: str) -> Any:
    """Parse JSON.

    Parameters
    ----------
    text : str
        What the file holds.
    source : str
        Its name, for messages.

    Raises
    ------
    InputError
        With the line and column of what is wrong.

    Warns
    -----
    MetadataWarning
        For trailing commas, with their lines.

    Examples
    --------
    >>> loads('{"a": [1, 2]}', "example")
    {'a': [1, 2]}
    """
    lines: list[int] = []

    def blank(match: re.Match[str]) -> str:
        if match[0] != ",":
            return match[0]
        line = text.count("\n", 0, match.start()) + 1
        if line not in lines:
            lines.append(line)
        return " "  # of the same length, so that later errors still name the right column

    strict = _TOKENS.sub(blank, text.removeprefix("\ufeff"))
    if lines:
        where = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines))}"
        warnings.warn(
            f"{source}: a comma before a closing bracket on {where} is not JSON; pyig reads over it, other readers "
            "refuse the file. Remove it",
            MetadataWarning,
            stacklevel=3,
        )
    try:
        return json.loads(strict, object_pairs_hook=_once(source))
    except json.JSONDecodeError as error:
        line = strict.splitlines()[error.lineno - 1].strip() if strict.strip() else ""
        raise InputError(
            f"{source}, line {error.lineno}, column {error.colno}: expected JSON; {error.msg}: {line[:60]!r}. "
            "Look for a missing comma or quote there or on the line before"
        ) from error


def _once(source: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            twice = [key for i, (key, _) in enumerate(items) if key in dict(items[:i])]
            warnings.warn(f"{source}: {twice[0]!r} is there twice; the last one counts", MetadataWarning, stacklevel=6)
        return found

    return pairs
