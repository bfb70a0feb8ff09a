"""Targets by label: those that the metadata lists, and those that the model returns row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.metadata_bind import Binding
from pyig.errors import InputError, unknown
from pyig.projections.tokens import texts

Array = NDArray[Any]
_WORDS = ("predicted", "top")


class Labels:
    """What the columns of the output are called.

    Attributes
    ----------
    names : tuple of str
        One per column; empty where the metadata lists none.
    key : str, optional
        The output that has the labels, row by row.
    binary : bool
        Whether two labels stand for one column, the probability of the second.

    Raises
    ------
    InputError
        When that output does not exist, or there are not as many labels as columns.
    """

    def __init__(self, binding: Binding) -> None:
        item = binding.output
        self._where = f"outputs.{item.name}"
        self.names = tuple(str(name) for name in item.index_name_mapping or ())
        self.key = item.index_name_mapping_key
        known = {} if binding.signature is None else binding.model.signature(binding.signature).outputs
        if self.key is not None and self.key not in known:
            raise InputError(f"{self._where}.index_name_mapping_key: {unknown('output', self.key, known)}")
        shape = binding.cut.output.shape
        width = 1 if shape is None or len(shape) < 2 else shape[-1]
        if self.names and shape is not None and width is not None and len(self.names) not in (width, _two(width)):
            raise InputError(
                f"{self._where}.index_name_mapping: expected {width} labels, one per column of "
                f"{binding.cut.output}; got {len(self.names)}"
            )
        self._width = width
        self.binary = width == 1 and len(self.names) == 2

    def target(self, given: Any, rows: Callable[[], Array]) -> Any:
        """Return a target as the explainer takes it: labels become column numbers.

        Parameters
        ----------
        given : Any
            A label, a list of one label per row, or any other target.
        rows : callable
            Fetches the labels of each row, (N, C).
        """
        if isinstance(given, (list, np.ndarray)) and len(given) and all(isinstance(item, str) for item in given):
            return np.array([self._column(label, i, rows) for i, label in enumerate(given)])
        if not isinstance(given, str) or (given.startswith(_WORDS) and given not in self.names):
            return given
        if self.key is None:
            return self._column(given, 0, rows)
        return np.array([self._column(given, i, rows) for i in range(len(rows()))])

    def flat(self, rows: Callable[[], Array]) -> tuple[str, ...] | None:
        """Return a label for each column, where all rows have the same."""
        if self.key is None:
            return self.names or None
        found = texts(rows())
        same = found.ndim == 2 and bool((found == found[:1]).all())
        return tuple(found[0]) if same else None

    def _column(self, label: str, row: int, rows: Callable[[], Array]) -> int:
        names = list(self.names) if self.key is None else [str(item) for item in texts(rows())[row].ravel()]
        if not names:
            raise InputError(
                f"expected target= as a column number; got {label!r}, and {self._where} has no index_name_mapping"
            )
        if label not in names:
            raise unknown("label", label, names)
        return names.index(label)


def _two(width: int) -> int:
    """Return how many labels a column may have: one of a binary model stands for two."""
    return 2 if width == 1 else width
