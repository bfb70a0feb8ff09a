"""An Explanation as columns: one output row per sample, or one per sample and target."""

from __future__ import annotations

import numpy as np

from pyig.explanation import Explanation
from pyig.explanation.arrays import Leaf
from pyig.explanation.table import feature_labels, target_label
from pyig.scale.columns import Array
from pyig.tree import flatten

NUMBERS = ("prediction", "baseline_prediction", "target", "delta", "error", "n_evals", "converged")
ATTRIBUTION, SPREAD = "attribution.", "standard_error."


def columns_of(explanation: Explanation) -> dict[str, Array]:
    """Return the columns of a result.

    Returns
    -------
    dict of str to array
        ``prediction`` F(x), ``baseline_prediction`` F(x'), ``target`` (absent where the model has one output),
        ``delta`` the completeness gap, ``error``, ``n_evals``, ``converged``, each (R,) with R = N or N * K, sample
        after sample; then ``attribution.<feature>``, (R,) or (R, T), and ``standard_error.<feature>`` where it is
        known.
    """
    found = {
        "prediction": explanation.values,
        "baseline_prediction": explanation.baseline_values,
        "target": _targets(explanation),
        "delta": explanation.deltas,
        "error": explanation.error,
        "n_evals": explanation.n_evals,
        "converged": explanation.converged,
    }
    columns = {name: array.ravel() for name, array in found.items() if array is not None}
    leaves = explanation.leaves()
    columns |= _features(explanation, leaves, ATTRIBUTION, [leaf.attributions for leaf in leaves])
    if explanation.standard_error is not None:
        columns |= _features(explanation, leaves, SPREAD, flatten(explanation.standard_error)[0])
    return columns


def _features(explanation: Explanation, leaves: list[Leaf], prefix: str, arrays: list[Array]) -> dict[str, Array]:
    """Give every feature a column: a leaf of the dict is one, and so is every number of a lone array's row."""
    results, lead = explanation.values.size, explanation.values.ndim
    flat = [array.reshape(results, *_width(array.shape[lead:])) for array in arrays]
    if len(leaves) == 1 and not leaves[0].name:
        wide = flat[0].reshape(results, -1)
        return {f"{prefix}{name}": wide[:, i] for i, name in enumerate(feature_labels(explanation))}
    return {f"{prefix}{leaf.name}": array for leaf, array in zip(leaves, flat, strict=True)}


def _width(shape: tuple[int, ...]) -> tuple[int, ...]:
    return () if not shape else (int(np.prod(shape)),)


def _targets(explanation: Explanation) -> Array | None:
    if explanation.targets is None:
        return None
    if explanation.output_names is None:
        return explanation.targets
    count = 1 if explanation.targets.ndim == 1 else explanation.targets.shape[1]
    return np.array([[target_label(explanation, i, k) or "" for k in range(count)] for i in range(len(explanation))])
