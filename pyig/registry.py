"""Tables of name -> "module:attribute", imported only when a name is asked for.

A table row is a string so that listing the known names costs no import; an object passes through unchanged, so a
user's own rule, view or baseline goes wherever a name goes. Third parties add rows through entry points.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from pyig.errors import unknown


class Registry(Mapping[str, Any]):
    """One table of lazily imported objects.

    Parameters
    ----------
    kind : str
        What the rows are, for error messages: ``"backend"``.
    rows : dict of str to str
        ``name -> "package.module:attribute"``.
    group : str, optional
        Entry point group whose rows are added after the built-in ones; a built-in name cannot be replaced.
    """

    def __init__(self, kind: str, rows: Mapping[str, str], group: str | None = None) -> None:
        self.kind = kind
        self._rows = dict(rows)
        self._group = group

    def _table(self) -> dict[str, str]:
        if self._group is not None:
            from importlib.metadata import entry_points  # here: it would be half the cost of `import pyig`

            found = {point.name: point.value for point in entry_points(group=self._group)}
            self._rows = found | self._rows
            self._group = None
        return self._rows

    def __getitem__(self, name: str) -> Any:
        rows = self._table()
        if name not in rows:
            raise unknown(self.kind, name, rows)
        module, _, attribute = rows[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:  # Mapping's own would import the object, and knows KeyError only
        return name in self._table()

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())

    def resolve(self, name_or_object: Any) -> Any:
        """Look a name up; anything that is not a string is already the object."""
        return self[name_or_object] if isinstance(name_or_object, str) else name_or_object
