"""An explanation of encoded tensors -> one in the user's features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pyig.contracts import Floats
from pyig.errors import InputError, unknown
from pyig.explanation import Explanation
from pyig.explanation.table import targets_each
from pyig.projections.columns import Identity
from pyig.projections.contract import Encoded, Feature, check_sums, label_of

_SPREAD = "standard errors of single elements do not add up to those of a feature, and were left out"


def project(explanation: Explanation, projections: Any) -> Explanation:
    """Return the explanation in the user's features.

    Parameters
    ----------
    explanation : Explanation
        Of the encoded tensors.
    projections : dict of str to Projection, or Projection
        By the name of each tensor in the model's input (``"0"``, ``"pair.1"`` in lists and nestings, as the report
        writes them); a tensor that is not named stays as it is. A lone tensor needs no name.

    Returns
    -------
    Explanation
        `attributions`, `inputs` and `baselines` are dicts with one entry per feature, (N,) or (N, T), attributions
        with a target axis behind N where several targets were asked. Everything else is as the engine gave it; `error`
        bounds the error of the features too where they are sums of elements, as all are but a combiner's.

    Raises
    ------
    InputError
        Where a projection does not fit its tensor, loses attributions, or two give a feature of one name.

    Examples
    --------
    >>> import numpy as np, pyig
    >>> from pyig.projections import OneHot, project
    >>> ig = pyig.IntegratedGradients(lambda x: x @ [1.0, 2.0, 4.0], gradient=lambda x: x * 0 + [1.0, 2.0, 4.0])
    >>> encoded = ig.explain(np.array([[0.0, 1.0, 0.0]]), n_steps=2)
    >>> e = project(encoded, OneHot(["red", "green", "blue"], name="colour"))
    >>> e.inputs["colour"], e.attributions["colour"]
    (array(['green'], dtype='<U7'), array([2.]))
    """
    tensors, notes = _encoded(explanation), []
    table = _table(projections, [tensor.name for tensor in tensors])
    several = explanation.values.ndim == 2
    found: dict[str, Feature] = {}
    owner: dict[str, str] = {}
    for tensor in tensors:
        projection = table.get(tensor.name, Identity())
        features = projection(tensor)
        notes += [note for note in [getattr(projection, "note", None)] if note]
        what = f"the projection of {label_of(tensor)!r}"
        check_sums(what, tensor.attributions, [feature.attributions for feature in features.values()])
        for name in features:
            if name in found:
                raise InputError(f"expected features of different names; {owner[name]} and {what} both give {name!r}")
            owner[name] = what
        found |= features
    if not found:
        raise InputError("expected projections that give at least one feature; got none")
    dtypes = [leaf.attributions.dtype for leaf in explanation.leaves()]
    if explanation.standard_error is not None:
        notes.append(_SPREAD)
    notes = list(dict.fromkeys([*explanation.meta.get("notes", []), *notes]))
    return _replaced(explanation, found, np.result_type(*dtypes), several, notes)


def _replaced(
    explanation: Explanation, features: Mapping[str, Feature], dtype: Any, several: bool, notes: list[str]
) -> Explanation:
    phi: dict[str, Any] = {}
    for name, feature in features.items():
        wide = feature.attributions.astype(dtype)
        phi[name] = wide if several else wide[:, 0]
    return replace(
        explanation,
        attributions=phi,
        inputs={name: feature.inputs for name, feature in features.items()},
        baselines={name: feature.baselines for name, feature in features.items()},
        feature_names=_labels(features),
        standard_error=None,
        meta=explanation.meta | {"notes": notes, "summed": True},
    )


def _labels(features: Mapping[str, Feature]) -> tuple[str, ...] | None:
    """Name every part; None where all names are what the report writes by itself."""
    if all(feature.labels is None for feature in features.values()):
        return None
    out: list[str] = []
    for name, feature in features.items():
        shape = feature.inputs.shape[1:]
        own = [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(shape)] if shape else [name]
        out += own if feature.labels is None else feature.labels
    return tuple(out)


def _encoded(explanation: Explanation) -> list[Encoded]:
    n = len(explanation)
    k = targets_each(explanation)
    out = []
    for leaf in explanation.leaves():
        phi: Floats = np.asarray(leaf.attributions, np.float64).reshape(n, k, *leaf.inputs.shape[1:])
        out.append(Encoded(leaf.name, phi, leaf.inputs, leaf.baselines))
    return out


def _table(projections: Any, names: list[str]) -> dict[str, Any]:
    if not isinstance(projections, Mapping):
        if len(names) != 1:
            raise InputError(f"expected projections as a dict by tensor, {', '.join(names)}; got one projection")
        return {names[0]: projections}
    for name in projections:
        if name not in names:
            raise unknown("tensor", name, [name or "''" for name in names])
    return dict(projections)
