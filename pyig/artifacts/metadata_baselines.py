"""Baselines in the user's words -> baselines of the explained tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts import metadata_rows
from pyig.artifacts.metadata_bind import Binding, Bound
from pyig.artifacts.metadata_tail import Given, encode, encode_given
from pyig.artifacts.metadata_tail import given as given_values
from pyig.baselines import several
from pyig.errors import InputError
from pyig.tree import is_frame

Array = NDArray[Any]


class Baselines:
    """The starts of the paths, as the metadata or the user has them.

    Attributes
    ----------
    singles : list
        Each as `IntegratedGradients.explain` takes it: a dict by feature, a number or a name.
    words : list of dict
        What stands for the features of each in the user's words, with one row.
    """

    def __init__(self, singles: Sequence[Any], words: Sequence[Mapping[str, Any]]) -> None:
        self.singles = list(singles)
        self.words = [dict(one) for one in words]

    @property
    def together(self) -> Any:
        """All of them, averaged, as the explainer takes them."""
        return self.singles[0] if len(self.singles) == 1 else several(self.singles)


def from_metadata(binding: Binding, raw: Mapping[str, Any], explained: Mapping[str, Array]) -> Baselines:
    """Return the baselines of the file; a feature without any starts at zero.

    Parameters
    ----------
    raw : dict
        The model's inputs, for their shapes.
    explained : dict of array
        The explained tensors, by feature.
    """
    counts = [len(bound.item.input_baselines or bound.item.encoded_baselines or ()) for bound in binding.features]
    count = max(1, *counts)
    given: list[dict[str, Array]] = [{} for _ in range(count)]
    words: list[dict[str, Any]] = [{} for _ in range(count)]
    for bound in binding.features:
        name, where = bound.item.name, f"inputs.{bound.item.name}"
        for i, value in enumerate(bound.item.encoded_baselines or ()):
            given[i][name] = _filled(value, explained[name], f"{where}.encoded_baselines[{i}]")
        for i, value in enumerate(bound.item.input_baselines or ()):
            if bound.parsed:
                words[i][name], given[i][name] = _parsed(binding, bound, value, raw, f"{where}.input_baselines[{i}]")
                continue
            rows = _raw(bound, value, raw, explained, f"{where}.input_baselines[{i}]")
            given[i] |= encode(binding, rows, [bound]) if bound.feed is not None else {name: rows[name]}
            if bound.feed is not None:
                words[i][name] = rows[bound.feed]
    return Baselines(given, words)


def from_user(binding: Binding, given: Any, raw: Mapping[str, Any], explained: Mapping[str, Array]) -> Baselines:
    """Return what the user passed: rows in the user's words (several are averaged), or what the explainer takes itself.

    A row names all the inputs of a feature, or none of them: a feature that is left out starts at zero.
    """
    rows: Any = given.items if isinstance(given, several) else given
    if is_frame(rows):
        rows = rows.to_dict("records")
    if isinstance(rows, Mapping):
        rows = [rows]
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
        return Baselines([given], [{}])
    made, words = [], []
    for row in rows:
        table = {str(name): [value] for name, value in row.items()}
        features = [bound for bound in binding.features if bound.feed is not None and _named(bound, table)]
        _check_names(table, binding)
        values = metadata_rows.read(table, features, {}, ())
        for bound in features:
            if bound.direct and bound.sparse is not None:  # the path goes through every place
                values[bound.sparse.indices] = np.ones_like(values[bound.sparse.indices])
        made.append(encode(binding, values, features))
        words.append({bound.item.name: values[str(bound.feed)] for bound in features})
    return Baselines(made, words)


def _raw(
    bound: Bound, value: Any, raw: Mapping[str, Any], explained: Mapping[str, Array], where: str
) -> dict[str, Any]:
    """Return one row of the model's inputs that holds a baseline."""
    if bound.feed is None:
        return {bound.item.name: _filled(value, explained[bound.item.name], where)}
    if bound.sparse is not None and bound.item.encoded_tensor_name:
        assert bound.source is not None
        values, mask, weights = metadata_rows.padded([value], bound.item.name, bound.source.dtype)
        rest = {} if bound.weights is None else {bound.weights[0]: weights}
        return {bound.feed: values, bound.sparse.indices: mask} | rest
    return {bound.feed: _filled(value, np.asarray(raw[bound.feed]), where)}


def _parsed(binding: Binding, bound: Bound, value: Any, raw: Mapping[str, Any], where: str) -> tuple[Array, Array]:
    """Return a baseline of values that the model makes itself, and its explained tensor, with one row each."""
    own = given_values(binding, raw, bound)
    if own.mask is None:
        start = Given(_filled(value, own.values, where))
    else:
        kind = "string" if own.values.dtype.kind == "U" else "number"
        values, mask, weights = metadata_rows.padded([value], bound.item.name, kind)
        start = Given(values, mask, None if own.weights is None else weights)
    return start.values, encode_given(binding, bound, start)


def _filled(value: Any, like: Array, where: str) -> Array:
    """Return a baseline with one row, shaped as the rows of `like`; a number or a word fills all of it."""
    shape = like.shape[1:]
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.zeros(0, object)
    if array.ndim and array.shape != shape and array.size == np.prod(shape):
        array = array.reshape(shape)  # as (3,) for (3, 1): the service was as generous
    if array.dtype.kind not in "fiubUS" or (array.ndim and array.shape != shape):
        raise InputError(f"{where}: expected a number, or values of shape {shape}; got {value!r}")
    words, numbers = like.dtype.kind in "USO", array.dtype.kind in "fiub"
    if words == numbers:
        raise InputError(f"{where}: expected {'text' if words else 'numbers'}, as the rows have; got {value!r}")
    return np.ascontiguousarray(np.broadcast_to(array, (1, *shape)))


def _named(bound: Bound, table: Mapping[str, Any]) -> bool:
    item = bound.item
    spread = [str(name) for name in item.index_feature_mapping or ()]
    own = [item.name, str(bound.feed), str(item.input_tensor_name)]
    return any(name in table for name in own) or (bool(spread) and all(name in table for name in spread))


def _check_names(table: Mapping[str, Any], binding: Binding) -> None:
    known: list[str] = []
    for bound in binding.features:
        known += [bound.item.name, str(bound.feed), str(bound.item.input_tensor_name), *bound.taken]
        known += map(str, bound.item.index_feature_mapping or ())
    strange = [name for name in table if name not in known]
    if strange:
        said = ", ".join(dict.fromkeys(bound.item.name for bound in binding.features))
        raise InputError(f"expected baselines for {said}; got one for {strange[0]!r}")
