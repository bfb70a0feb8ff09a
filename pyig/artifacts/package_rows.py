"""What packages give for single rows, put together: one leaf per feature, and nothing lost.

Projections in the wild drop what has no word: padding, markers, tokens that match nothing. Their share goes to a
feature of its own, so that the sums stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Floats
from pyig.errors import ModelError
from pyig.explanation import Explanation
from pyig.explanation.table import targets_each
from pyig.projections.tokens import texts

REST = "(not projected)"
_ROUNDING = 1e-5

Table = Any


class Part(NamedTuple):
    """A feature of one row.

    Attributes
    ----------
    attributions : float64 () or (T,)
    values : object
        The feature's value, or T texts; None where the package gives none.
    """

    attributions: Floats
    values: Any = None


def read_first(answer: Any, output: str) -> dict[str, Part]:
    """Read what `project_attributions` of the first generation returns for a row.

    Numbers, lists of numbers, or pairs of words and numbers, by feature; or all that by output.
    """
    if not isinstance(answer, Mapping):
        raise ModelError(
            f"expected project_attributions() to return a dict of features; got {type(answer).__qualname__}"
        )
    if output in answer and isinstance(answer[output], Mapping):
        answer = answer[output]
    return {str(name): _part(str(name), value) for name, value in answer.items()}


def read_second(answer: Any, output: str) -> dict[str, Part]:
    """Read what `project_attributions` of the second generation returns for a row: a GEM node for each output."""
    if not isinstance(answer, Mapping):
        raise ModelError(
            f"expected project_attributions() to return a dict of outputs; got {type(answer).__qualname__}"
        )
    node = answer.get(output, next(iter(answer.values())) if len(answer) == 1 else None)
    if hasattr(node, "render"):
        node = node.render()
    if not isinstance(node, Mapping):
        raise ModelError(
            f"expected project_attributions() to explain {output!r}; it gives {', '.join(map(str, answer)) or None}"
        )
    found: dict[str, Part] = {}
    for leaf in _leaves(node):
        name = str(leaf.get("feature-name") or leaf.get("display-name") or "")
        if leaf.get("type") == "text":
            part = Part(np.asarray(leaf.get("text-attributions", []), np.float64), list(leaf.get("text-segments", [])))
        else:
            part = Part(np.asarray(leaf.get("attribution", 0.0), np.float64), leaf.get("value"))
        if name in found:
            raise ModelError(f"expected each feature once; project_attributions() gives {name!r} twice")
        found[name] = part
    return found


def collect(
    encoded: Explanation,
    answers: Sequence[Sequence[Mapping[str, Part]]],
    rows: Table,
    start: Table,
    with_rest: bool = False,
) -> Explanation:
    """Return the explanation in the package's features.

    What they lack has a place of its own as soon as something is lacking, and always where a feature has parts: a file
    of results, which is written in pieces, has the same columns in each.

    Parameters
    ----------
    encoded : Explanation
        Of the encoded tensors.
    answers : list of list of dict
        By row and target.
    rows, start : DataFrame
        The user's rows, and the baseline's where it is a table with such columns.
    with_rest : bool
        Give the rest its place in any case.
    """
    several = encoded.values.ndim == 2
    names = list(dict.fromkeys(name for row in answers for answer in row for name in answer))
    leaves = {name: _leaf(name, answers, rows) for name in names}
    phi: dict[str, Floats] = {name: leaf[0] for name, leaf in leaves.items()}
    inputs: dict[str, NDArray[Any]] = {name: leaf[1] for name, leaf in leaves.items()}
    baselines = {name: _baseline(name, inputs[name], start) for name in names}
    rest = _rest(encoded, phi)
    notes = list(encoded.meta.get("notes", []))
    if rest.any():
        notes.append(f"the package's projection leaves out a part of the attributions; it stands under {REST!r}")
    if with_rest or rest.any() or any(part.ndim > 2 for part in phi.values()):
        phi[REST], inputs[REST] = rest, np.full(len(encoded), "", np.str_)
        baselines[REST] = inputs[REST]
    return replace(
        encoded,
        attributions={name: part if several else part[:, 0] for name, part in phi.items()},
        inputs=inputs,
        baselines=baselines,
        feature_names=None,
        standard_error=None,
        meta=encoded.meta | {"notes": notes, "summed": True},
    )


def _rest(encoded: Explanation, phi: Mapping[str, Floats]) -> Floats:
    """Return what the features lack to the sums, (N, K); 0 where that is rounding."""
    shape = (len(encoded), targets_each(encoded))
    leaves = [np.asarray(leaf.attributions, np.float64).reshape(*shape, -1) for leaf in encoded.leaves()]
    features = [part.reshape(*shape, -1) for part in phi.values()]
    whole = sum((leaf.sum(axis=2) for leaf in leaves), start=np.zeros(shape))
    kept = sum((part.sum(axis=2) for part in features), start=np.zeros(shape))
    size = sum((np.abs(part).sum(axis=2) for part in (*leaves, *features)), start=np.zeros(shape))
    lost = whole - kept
    return np.asarray(np.where(np.abs(lost) > _ROUNDING * size, lost, 0.0))


def _leaf(name: str, answers: Sequence[Sequence[Mapping[str, Part]]], rows: Table) -> tuple[Floats, NDArray[Any]]:
    """Return attributions (N, K) or (N, K, T), and values (N,) or (N, T), padded where texts differ in length."""
    n, k = len(answers), max(map(len, answers))
    parts = [[answer.get(name) for answer in row] for row in answers]
    lengths = [part.attributions.size for row in parts for part in row if part is not None and part.attributions.ndim]
    if not lengths:
        phi = np.array([[0.0 if part is None else float(part.attributions) for part in row] for row in parts])
        return phi.reshape(n, k), _column(name, [row[0] for row in parts], rows)
    phi = np.zeros((n, k, max(lengths)))
    words: list[list[str]] = [[""] * max(lengths) for _ in range(n)]
    known = any(part is not None and part.values is not None for row in parts for part in row)
    for i, row in enumerate(parts):
        for j, part in enumerate(row):
            if part is not None:
                flat = part.attributions.reshape(-1)
                phi[i, j, : flat.size] = flat
                words[i][: len(part.values or [])] = map(str, part.values or [])
    return phi, np.array(words, np.str_) if known else np.full(phi[:, 0].shape, np.nan)


def _column(name: str, parts: Sequence[Part | None], rows: Table) -> NDArray[Any]:
    """Return the values of a feature of one number per row: the package's, else those of the user's column."""
    given = [None if part is None else part.values for part in parts]
    if all(value is None for value in given):
        if name not in rows.columns:
            return np.full(len(parts), np.nan)
        given = list(rows[name])
    return plain(given)


def plain(values: Sequence[Any]) -> NDArray[Any]:
    """Return values of a column as numbers, or as text where one of them is no number; nothing is NaN, or ""."""
    numbers = [value.item() if isinstance(value, np.generic) else value for value in values]
    missing = [value is None or value != value for value in numbers]
    if all(gone or isinstance(value, (int, float)) for value, gone in zip(numbers, missing, strict=True)):
        return np.array([np.nan if gone else value for value, gone in zip(numbers, missing, strict=True)])
    return texts(np.array(["" if gone else value for value, gone in zip(numbers, missing, strict=True)], dtype=object))


def _baseline(name: str, inputs: NDArray[Any], start: Table) -> NDArray[Any]:
    if start is not None and inputs.ndim == 1 and name in getattr(start, "columns", ()):
        values = list(start[name])
        if all(np.ndim(value) == 0 for value in values) and len(values) == len(inputs):
            found = plain(values)
            return found if found.dtype.kind != "U" or inputs.dtype.kind == "U" else np.full(inputs.shape, np.nan)
    return np.full(
        inputs.shape,
        "" if inputs.dtype.kind == "U" else np.nan,
        dtype=inputs.dtype if inputs.dtype.kind == "U" else np.float64,
    )


def _leaves(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if node.get("type") != "container":
        return [node]
    return [leaf for child in node.get("contents", []) for leaf in _leaves(child)]


def _part(name: str, value: Any) -> Part:
    pair = isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], (list, tuple))
    if pair and all(isinstance(word, str) for word in value[0]):
        if np.ndim(value[1]) != 1 or len(value[0]) != len(value[1]):
            raise ModelError(
                f"expected a number for each of the {len(value[0])} words of {name!r}; got {np.size(value[1])}"
            )
        return Part(np.asarray(value[1], np.float64), list(value[0]))
    try:
        return Part(np.asarray(value, np.float64))
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"expected attributions of {name!r} as a number, numbers, or a pair of words and numbers; got {value!r:.60}"
        ) from error
