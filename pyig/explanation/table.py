"""The explanation as a long table: one row per sample, target and feature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyig.errors import missing
from pyig.explanation.arrays import Array, Leaf
from pyig.tree import flatten, is_frame

if TYPE_CHECKING:
    from pyig.explanation.record import Explanation


def feature_labels(explanation: Explanation, places: Sequence[int] | None = None) -> list[str]:
    """Name scalar features of a sample, leaf after leaf: the user's names, else ``x[3]``, ``image[0, 4]``.

    All of them, or those at `places`: a picture has a hundred thousand, of which a list shows ten.
    """
    if explanation.feature_names is not None:
        named = explanation.feature_names
        return list(named) if places is None else [named[place] for place in places]
    if places is not None:
        return [_label(explanation.leaves(), place) for place in places]
    labels = []
    for leaf in explanation.leaves():
        shape = leaf.inputs.shape[1:]
        name = leaf.name or "x"
        labels += [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(shape)] if shape else [name]
    return labels


def _label(leaves: Sequence[Leaf], place: int) -> str:
    for leaf in leaves:
        shape = leaf.inputs.shape[1:]
        if place < math.prod(shape):
            index = ", ".join(str(int(part)) for part in np.unravel_index(place, shape)) if shape else ""
            return f"{leaf.name or 'x'}[{index}]" if shape else leaf.name or "x"
        place -= math.prod(shape)
    raise IndexError(f"expected a feature of the explanation; got one {place} beyond the last")


def targets_each(explanation: Explanation) -> int:
    """Return K, the number of targets of each sample."""
    return 1 if explanation.values.ndim == 1 else int(explanation.values.shape[1])


def sample_labels(explanation: Explanation) -> list[Any]:
    """Name every sample: the row labels of a DataFrame, else 0 to N - 1."""
    return list(explanation.inputs.index) if is_frame(explanation.inputs) else list(range(len(explanation)))


def target_label(explanation: Explanation, i: int, k: int = 0) -> str | None:
    """Name the target of a path: its output's name or its flat index; None where there is none."""
    if explanation.targets is None:
        return None
    target = int(explanation.targets.reshape(len(explanation), -1)[i, k])
    known = explanation.output_names
    return known[target] if known is not None and 0 <= target < len(known) else str(target)


def flat_columns(explanation: Explanation) -> tuple[Array, Array, Array]:
    """Return attributions (N, K, D), inputs (N, D) and baselines (N, D), all leaves side by side."""
    leaves, n = explanation.leaves(), len(explanation)
    k = targets_each(explanation)
    sizes = [int(np.prod(leaf.inputs.shape[1:])) for leaf in leaves]
    attributions = [leaf.attributions.reshape(n, k, d) for leaf, d in zip(leaves, sizes, strict=True)]
    inputs = [_plain(leaf.inputs).reshape(n, d) for leaf, d in zip(leaves, sizes, strict=True)]
    baselines = [_plain(leaf.baselines).reshape(n, d) for leaf, d in zip(leaves, sizes, strict=True)]
    return np.concatenate(attributions, axis=2), np.concatenate(inputs, axis=1), np.concatenate(baselines, axis=1)


def to_frame(explanation: Explanation) -> Any:
    """See `Explanation.to_frame`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise missing("pandas", "Explanation.to_frame", "frames") from error

    attributions, inputs, baselines = flat_columns(explanation)
    n, k, d = attributions.shape
    columns = {"sample": np.repeat(np.array(sample_labels(explanation)), k * d)}
    if explanation.targets is not None:
        labels = [target_label(explanation, i, j) for i in range(n) for j in range(k)]
        columns["target"] = np.repeat(np.array(labels if explanation.output_names else explanation.targets.ravel()), d)
    columns["feature"] = np.tile(np.array(feature_labels(explanation), dtype=object), n * k)
    columns["value"] = np.repeat(inputs[:, None], k, axis=1).ravel()
    columns["baseline"] = np.repeat(baselines[:, None], k, axis=1).ravel()
    columns["attribution"] = attributions.ravel()
    if explanation.standard_error is not None:
        parts = [leaf.reshape(n, k, -1) for leaf in flatten(explanation.standard_error)[0]]
        columns["standard_error"] = np.concatenate(parts, axis=2).ravel()
    return pd.DataFrame(columns)


def _plain(array: Array) -> Array:
    """Text inputs (held fixed) stand beside numbers only as objects."""
    return array if array.dtype.kind in "fiub" else array.astype(object)
