"""Which projection turns the attributions of an explained tensor into those of the user's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.metadata_bind import Binding, Bound
from pyig.artifacts.metadata_schema import EMBEDDED, NAMED
from pyig.artifacts.metadata_tail import Given, encode, encode_given, given
from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.projections import BagOfFeatures, Embedding, Encoded, Feature, Identity, LinearCombiner, grouped, project
from pyig.projections.combiner import COMBINERS
from pyig.projections.tokens import baselines_like, texts

Array = NDArray[Any]


def in_words(
    explanation: Explanation, binding: Binding, raw: Mapping[str, Any], words: Mapping[str, Any]
) -> Explanation:
    """Return an explanation of the explained tensors in the user's features, groups added up.

    Parameters
    ----------
    explanation : Explanation
        With one leaf per feature of the metadata.
    raw : dict
        The model's inputs for these rows.
    words : dict
        The baseline in the user's words, where there is one.
    """
    single = explanation.meta["n_baselines"] == 1
    names = _names(binding)
    projections = {
        bound.item.name: _projection(bound, binding, explanation.inputs[bound.item.name], raw, words, names, single)
        for bound in binding.features
    }
    found = project(explanation, projections)
    groups: dict[str, list[str]] = {}
    for bound in binding.features:
        if bound.item.group_name:
            groups.setdefault(bound.item.group_name, []).extend(names[bound.item.name])
    return grouped(found, groups) if groups else found


def combines(binding: Binding, raw: Mapping[str, Any], explained: Mapping[str, Array]) -> bool:
    """Tell whether many values make up one vector: then a value's part of the path shows for one baseline at a time."""
    many = [
        bound
        for bound in binding.features
        if bound.item.encoding == "combined_embedding" and _given(binding, raw, bound).values.ndim == 2
    ]
    return any(explained[bound.item.name].ndim == 2 for bound in many)


def _names(binding: Binding) -> dict[str, list[str]]:
    """Return the features' names by input; what two inputs call alike gets the input's name before it."""
    own = {
        bound.item.name: [str(name) for name in bound.item.index_feature_mapping or ()]
        if bound.item.encoding in NAMED
        else [bound.item.name]
        for bound in binding.features
    }
    every = [name for names in own.values() for name in names]
    taken = {bound.item.group_name for bound in binding.features}
    return {
        item: [
            f"{item}.{name}" if every.count(name) > 1 or (name in taken and name != item) else name for name in names
        ]
        for item, names in own.items()
    }


def _projection(
    bound: Bound,
    binding: Binding,
    tensor: Array,
    raw: Mapping[str, Any],
    words: Mapping[str, Any],
    names: Mapping[str, Sequence[str]],
    single: bool,
) -> Any:
    item = bound.item
    if item.encoding in NAMED:
        return _Named(names[item.name], item.name)
    if item.encoding not in EMBEDDED:
        return _Plain(item.name)
    own = _given(binding, raw, bound)
    values = own.values
    start = _start(words.get(item.name), values.shape[1:])
    if item.encoding == "concat_embedding" or values.ndim == 1:
        if tensor.shape[: values.ndim] == values.shape:
            return Embedding(values, start, item.name)
    elif values.ndim == 2 and tensor.ndim == 2 and single:
        return _Combined(bound, binding, raw, own, start)
    return _Joined(values, item.name)


def _given(binding: Binding, raw: Mapping[str, Any], bound: Bound) -> Given:
    """Return the user's values as numbers or text, (N,) or (N, T); sparse ones have places, however few."""
    found = given(binding, raw, bound)
    values = found.values
    while values.ndim > 1 and values.shape[-1] == 1 and found.mask is None:
        values = values[..., 0]
    return found._replace(values=values)


def _start(given: Any, shape: tuple[int, ...]) -> Array | None:
    """Return the baseline's words, one row shaped as those of the values; None where it has another number of them."""
    if given is None or np.size(given) != np.prod(shape):
        return None
    return np.asarray(given).reshape(1, *shape)


class _Plain(Identity):
    """A tensor as it is, without axes of length 1."""

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        phi, x, start = encoded.attributions, encoded.inputs, encoded.baselines
        while x.ndim > 1 and x.shape[-1] == 1:
            phi, x, start = phi[..., 0], x[..., 0], start[..., 0]
        return super().__call__(Encoded(encoded.name, phi, x, start))


class _Named(BagOfFeatures):
    """Each entry of the last axis is a feature; axes before it stay with each of them."""

    def __init__(self, names: Sequence[str], item: str) -> None:
        super().__init__(names)
        self._item = item

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        phi, x, start = encoded.attributions, encoded.inputs, encoded.baselines
        if x.ndim == 1:
            phi, x, start = phi[..., None], x[..., None], start[..., None]
        if x.shape[-1] != len(self.names):
            raise InputError(
                f"inputs.{self._item}.index_feature_mapping: expected a name for each of the {x.shape[-1]} entries of "
                f"the tensor; got {len(self.names)}"
            )
        return {name: Feature(phi[..., j], x[..., j], start[..., j]) for j, name in enumerate(self.names)}


class _Joined:
    """Values whose parts of the tensor nobody can tell: one feature with the sum, its value all of them."""

    def __init__(self, values: Array, name: str) -> None:
        self._values, self._name = values, name

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        phi = encoded.attributions.sum(axis=tuple(range(2, encoded.attributions.ndim)))
        rows = texts(self._values).reshape(len(self._values), -1)
        shown = np.array([", ".join(str(item) for item in row if str(item)) for row in rows])
        return {self._name: Feature(phi, shown, baselines_like(shown, None))}


class _Combined:
    """Many values that the model combines to one vector: each gets its exact part of it, where that can be told.

    The vector of one value is what the model combines of it alone.
    """

    def __init__(self, bound: Bound, binding: Binding, raw: Mapping[str, Any], own: Given, start: Any) -> None:
        self._bound, self._binding, self._raw = bound, binding, raw
        self._values, self._mask, self._weights = own
        self._start = start

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        name, vectors = self._bound.item.name, self._vectors()
        for mask in [] if vectors is None else self._masks(vectors):
            for combiner in COMBINERS:
                try:
                    candidate = LinearCombiner(
                        self._values, vectors, self._weights, mask, combiner, baselines=self._start, name=name
                    )
                    return candidate(encoded)
                except InputError:  # combined in another way
                    continue
        return _Joined(self._values, name)(encoded)

    def _masks(self, vectors: Array) -> list[Array | None]:
        """Return which values may have been left out as padding, or as words that the model does not know."""
        if self._mask is not None:
            return [self._mask, self._mask & vectors.any(axis=-1)]
        return [None, _present(self._values), np.asarray(vectors.any(axis=-1))]

    def _vectors(self) -> Array | None:
        known, place = np.unique(self._values, return_inverse=True)
        try:
            alone = self._alone(known[:, None])
        except Exception:  # a model that takes rows of one length only; TensorFlow has many errors for that
            return None
        return alone[place.reshape(self._values.shape)] if alone.ndim == 2 else None

    def _alone(self, values: Array) -> Array:
        """Return the vectors of rows of one value."""
        bound, rows = self._bound, len(values)
        mask: Array | None = None if self._mask is None else np.ones((rows, 1), bool)
        weights: Array | None = None if self._weights is None else np.ones((rows, 1), np.float32)
        if bound.feed is None:
            return encode_given(self._binding, bound, Given(values, mask, weights))
        raw: dict[str, Any] = {name: _repeated(np.asarray(column), rows) for name, column in self._raw.items()}
        raw[bound.feed] = values
        if bound.sparse is not None:
            raw[bound.sparse.indices] = mask
        if bound.weights is not None:
            raw[bound.weights[0]] = weights
        return encode(self._binding, raw, [bound])[bound.item.name]


def _repeated(column: Array, rows: int) -> Array:
    return np.repeat(column[:1], rows, axis=0) if column.ndim else column


def _present(values: Array) -> Array:
    """Tell which values are no padding: text that is there, numbers that are not negative."""
    return np.asarray(values != "") if values.dtype.kind == "U" else np.asarray(values >= 0)
