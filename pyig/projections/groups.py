"""Features that are reported together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pyig.errors import InputError, InputTypeError, unknown
from pyig.explanation import Explanation
from pyig.projections.contract import Array

_SEPARATOR = ", "


def grouped(explanation: Explanation, groups: Mapping[str, Sequence[str]]) -> Explanation:
    """Add features up to groups.

    Parameters
    ----------
    explanation : Explanation
        In the user's features, as `project` returns it.
    groups : dict of str to sequence of str
        The features of each group; no feature belongs to two. The others stay as they are.

    Returns
    -------
    Explanation
        A group is one feature (N,); its value is text, the members' values one after the other.

    Raises
    ------
    InputError
        For a feature that is not there, is in two groups, or has the name of a group.
    """
    if not isinstance(explanation.attributions, dict):
        raise InputTypeError(
            "expected an explanation by feature, as project() returns it; got one of "
            f"{type(explanation.attributions).__qualname__}"
        )
    owner = _owners(explanation.attributions, groups)
    axes = explanation.values.ndim
    phi: dict[str, Array] = {}
    inputs: dict[str, Array] = {}
    baselines: dict[str, Array] = {}
    for leaf in explanation.leaves():
        group = owner.get(leaf.name)
        if group is None:
            phi[leaf.name], inputs[leaf.name] = leaf.attributions, leaf.inputs
            baselines[leaf.name] = leaf.baselines
            continue
        total = leaf.attributions.sum(axis=tuple(range(axes, leaf.attributions.ndim)), dtype=np.float64)
        start, end = _text(leaf.baselines), _text(leaf.inputs)
        if group in phi:
            phi[group] = phi[group] + total
            inputs[group] = _joined(inputs[group], end)
            baselines[group] = _joined(baselines[group], start)
        else:
            phi[group], inputs[group], baselines[group] = total, end, start
    dtypes = {leaf.attributions.dtype for leaf in explanation.leaves()}
    phi = {name: part.astype(np.result_type(*dtypes)) for name, part in phi.items()}
    return replace(
        explanation, attributions=phi, inputs=inputs, baselines=baselines, feature_names=None, standard_error=None
    )


def _owners(features: Mapping[str, Array], groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    owner: dict[str, str] = {}
    for group, members in groups.items():
        if isinstance(members, str):
            raise InputTypeError(f"expected group {group!r} as a list of features; got the text {members!r}")
        for name in members:
            if name not in features:
                raise unknown("feature", name, features)
            if name in owner:
                raise InputError(f"expected every feature in one group; {name!r} is in {owner[name]!r} and {group!r}")
            owner[name] = group
        if group in features and group not in members:
            raise InputError(f"expected groups named unlike the features; {group!r} is both")
    return owner


def _text(values: Array) -> Array:
    flat = values.reshape(len(values), -1)
    return np.array([_SEPARATOR.join(map(_written, row)) for row in flat.tolist()] or [""])[: len(values)]


def _written(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _joined(one: Array, other: Array) -> Array:
    return np.array([f"{a}{_SEPARATOR}{b}" for a, b in zip(one, other, strict=True)] or [""])[: len(one)]
