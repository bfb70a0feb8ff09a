"""What would keep a model from being explained: it is run, and its gradient taken, on a few rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.artifact import Problem, Table
from pyig.artifacts.signatures import Tensor
from pyig.errors import ModelError, PyigError
from pyig.tree import flatten

_ROWS, _TRIED = 3, 8
_LENGTH = {2: 4, 3: 4, 4: 32, 5: 16}  # of an axis that may have any length, by rank


def check(artifact: Any, source: Any, rows: Table | None) -> Iterator[Problem]:
    """Yield the problems of an artifact on a few of the rows, or on invented ones.

    Parameters
    ----------
    artifact : NamedArtifact
    source : Source
        Its opened model.
    rows : Table, optional
    """
    where = "rows" if rows is not None else "invented rows"
    rows = _by_column(invented(source.inputs), artifact.groups) if rows is None else _few(rows)
    try:
        outputs = artifact.predict(rows)
    except ModelError as error:
        yield Problem("error", "predict", str(error), "Run it on rows that it knows")
        return
    except PyigError as error:
        yield Problem("error", where, f"they do not fit the model: {error}", "Give the model the columns that it takes")
        return
    yield from _outputs(outputs, where, artifact.outputs if artifact.named else ())
    try:
        part = source.part()
    except PyigError as error:
        yield Problem("error", "inputs", str(error), "Name the tensor that stands for the input with encoded=")
        return
    for note in part.notes:
        yield Problem(
            "warning", "gradient", note, "Compare the attributions' sum with the outputs: the gap is reported"
        )
    yield from _gradient(artifact, rows, np.asarray(outputs))


def invented(inputs: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return rows that fit the inputs: small numbers, ids 1 and 0, true, and a word."""
    found: dict[str, Any] = {}
    for name, place in inputs.items():
        shape = (None,) if place.shape is None else place.shape
        full = tuple(_LENGTH.get(len(shape), 4) if n is None else n for n in shape[1:])
        size = (_ROWS, *full)
        count = int(np.prod(size))
        if place.dtype == "string":
            value: Any = np.full(size, "a")
        elif place.dtype == "bool":
            value = np.ones(size, bool)
        elif place.floating:
            value = (0.1 + 0.8 * np.arange(count) / max(count, 1)).reshape(size)
        else:
            value = (np.arange(count) % 2).reshape(size)
        found[name] = value if shape else value[0]
        if not shape:
            found[name] = np.full(_ROWS, value.ravel()[0])
    return found


def _by_column(rows: Mapping[str, NDArray[Any]], groups: Mapping[str, Sequence[str]]) -> dict[str, NDArray[Any]]:
    """Return the rows as a table has them: the columns of a vector input one by one."""
    found = {name: values for name, values in rows.items() if name not in groups}
    for name, group in groups.items():
        values = rows[name].reshape(len(rows[name]), -1)
        found |= {column: values[:, place % values.shape[1]] for place, column in enumerate(group)}
    return found


def _outputs(outputs: Any, where: str, names: tuple[str, ...]) -> Iterator[Problem]:
    values = np.asarray(outputs)
    if not np.isfinite(values).all():
        yield Problem(
            "error", "predict", f"{where} give outputs that are NaN or infinite", "Look for missing values in the rows"
        )
    columns = int(np.prod(values.shape[1:]))
    if names and len(names) not in ((1, 2) if columns == 1 else (columns,)):
        yield Problem(
            "error",
            "output_names",
            f"the model has {columns} outputs; there are {len(names)} names",
            "Name each output",
        )


def _gradient(artifact: Any, rows: Table, outputs: NDArray[Any]) -> Iterator[Problem]:
    target = (0,) * (outputs.ndim - 1) if outputs.ndim > 2 else 0 if outputs.size > len(outputs) else None
    try:
        found = artifact.explain(rows, target, n_steps=8, allow_unused=True, progress=False)
    except PyigError as error:
        yield Problem(
            "error", "gradient", str(error), "Choose tensors to which gradients flow, with encoded= or layer="
        )
        return
    leaves = dict(zip(_names(found), flatten(found.attributions)[0], strict=True))
    for name, attributions in leaves.items():
        if not np.any(attributions) and name not in _fixed(found):
            what = "its attributions are all zero from a baseline of zeros"
            yield Problem("warning", name, what, "Look whether the output depends on it, and whether it differs from 0")


def _names(found: Any) -> list[str]:
    return [leaf.name for leaf in found.leaves()]


def _fixed(found: Any) -> set[str]:
    held = [note for note in found.meta["notes"] if note.startswith("held fixed")]
    return {name for note in held for name in note.partition(": ")[2].split(", ")}


def _few(rows: Table) -> Table:
    if hasattr(rows, "iloc"):
        return rows.iloc[:_TRIED]
    if isinstance(rows, Mapping):
        return {name: values[:_TRIED] for name, values in rows.items()}
    return rows[:_TRIED]
