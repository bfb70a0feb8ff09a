"""The model behind its explained tensors, and the tensors before them, fed with padded rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pyig.artifacts.metadata_bind import Binding, Bound
from pyig.artifacts.saved_model_cut import as_tensor
from pyig.artifacts.signatures import Tensor
from pyig.projections.tokens import texts


class Tail:
    """F as a function of the explained tensors.

    Called with a dict of them by feature, and with the inputs that are held fixed as keyword arguments.
    """

    def __init__(self, binding: Binding) -> None:
        self._cut = binding.cut
        self._spread = [bound for bound in binding.features if bound.direct and bound.sparse]
        self._features = binding.features
        self._fixed = [name for name in binding.fixed if name not in _parts(self._spread)]
        feeds = [bound.place.tensor_name for bound in binding.features]
        feeds += [self._cut.inputs[name].tensor_name for name in (*_parts(self._spread), *self._fixed)]
        graph = binding.model.graph(binding.signature)
        self._program = graph.program(feeds, [self._cut.output.tensor_name])

    def __call__(self, points: Mapping[str, Any], /, **fixed: Any) -> Any:
        """Return the output, one row per row of the points."""
        own: list[Any] = []
        values: dict[str, Any] = dict(fixed)
        for bound in self._features:
            point = points[bound.item.name]
            if bound.direct and bound.sparse:
                values |= {str(bound.feed): point, bound.sparse.indices: tf.ones(tf.shape(point), tf.bool)}
                own.append(bound)
            else:
                own.append(as_tensor(point, bound.place))
        fed = feeds(values, self._features)
        own = [as_tensor(fed[str(item.feed)], item.place) if isinstance(item, Bound) else item for item in own]
        rest = [as_tensor(fed[name], self._cut.inputs[name]) for name in (*_parts(self._spread), *self._fixed)]
        return self._program(*own, *rest)[0]


def encode(binding: Binding, raw: Mapping[str, Any], features: Iterable[Bound]) -> dict[str, NDArray[Any]]:
    """Return the explained tensors of some features, by name; their other inputs may be left out."""
    found: dict[str, Any] = {}
    inside: dict[str, str] = {}
    chosen = list(features)
    for bound in chosen:
        if bound.direct:
            dtype = tf.as_dtype(bound.place.dtype).as_numpy_dtype
            found[bound.item.name] = np.asarray(raw[str(bound.feed)]).astype(dtype)
        else:
            inside[bound.item.name] = bound.place.tensor_name
    if inside:
        found |= binding.cut.fetch(feeds(raw, binding.features), inside)
    return {bound.item.name: found[bound.item.name] for bound in chosen}


def feeds(raw: Mapping[str, Any], features: Sequence[Bound]) -> dict[str, Any]:
    """Return what the model is fed for padded rows; a sparse tensor becomes its three parts."""
    out = dict(raw)
    for bound in features:
        if bound.sparse is None or bound.sparse.indices not in raw:
            continue
        mask = tf.convert_to_tensor(raw[bound.sparse.indices])
        pairs = [(str(bound.feed), bound.sparse.indices, bound.sparse.dense_shape)]
        if bound.weights is not None:
            pairs.append(bound.weights)
        for values, indices, shape in pairs:
            if values in raw:
                out[values] = tf.boolean_mask(_tensor(raw[values]), mask)
            out[indices], out[shape] = tf.where(mask), tf.shape(mask, out_type=tf.int64)
    return out


class Given(NamedTuple):
    """The user's values of a feature.

    Attributes
    ----------
    values : array (N, ...)
        Numbers or text; sparse ones padded, (N, L).
    mask : bool array (N, L), optional
        Where sparse values are.
    weights : float array (N, L), optional
        Their weights.
    """

    values: Any
    mask: Any = None
    weights: Any = None


def given(binding: Binding, raw: Mapping[str, Any], bound: Bound) -> Given:
    """Return the user's values of a feature: what was fed, or what the model made of it."""
    if bound.feed is not None:
        mask = None if bound.sparse is None else np.asarray(raw[bound.sparse.indices], bool)
        weights = None if bound.weights is None else np.asarray(raw[bound.weights[0]], np.float64)
        return Given(texts(raw[bound.feed]), mask, weights)
    found = binding.cut.fetch(feeds(raw, binding.features), bound.parsed)
    values = texts(found["input_tensor_name"])
    if "indices_tensor_name" not in found:
        return Given(values)
    shape = tuple(int(max(n, 1)) for n in found["dense_shape_tensor_name"])
    places = tuple(np.asarray(found["indices_tensor_name"]).T)
    padded, mask = np.zeros(shape, values.dtype), np.zeros(shape, bool)
    padded[places], mask[places] = values, True
    if "weight_values_name" not in found:
        return Given(padded, mask)
    weights = np.ones(shape)
    weights[places] = found["weight_values_name"]
    return Given(padded, mask, weights)


def encode_given(binding: Binding, bound: Bound, what: Given) -> NDArray[Any]:
    """Return the explained tensor for values in the place of those that the model would make itself."""
    graph, fed = binding.model.graph(binding.signature), dict[str, Any]()
    for prefix, part in (("input_tensor", what.values), ("weight_values", what.weights)):
        if f"{prefix}_name" not in bound.parsed:
            continue
        if what.mask is None:
            fed[f"{prefix}_name"] = part
            continue
        first = "weight_" if prefix == "weight_values" else ""
        last = "name" if first else "tensor_name"
        fed[f"{prefix}_name"] = np.asarray(part)[what.mask]
        fed[f"{first}indices_{last}"] = np.argwhere(what.mask)
        fed[f"{first}dense_shape_{last}"] = np.array(what.mask.shape)
    names = [bound.parsed[key] for key in fed]
    places = [graph.by_name[name] for name in names]
    shapes = [None if place.shape.rank is None else tuple(place.shape.as_list()) for place in places]
    tensors = [Tensor(p.name, p.name, p.dtype.name, s) for p, s in zip(places, shapes, strict=True)]
    program = graph.program(names, [bound.place.tensor_name])
    return np.asarray(program(*[as_tensor(v, t) for v, t in zip(fed.values(), tensors, strict=True)])[0])


def _tensor(values: Any) -> Any:
    return values if tf.is_tensor(values) else tf.constant(values)


def _parts(features: Iterable[Bound]) -> list[str]:
    """Return the names of what is fed beside the values of sparse features."""
    return [
        name
        for bound in features
        if bound.sparse is not None
        for name in (bound.sparse.indices, bound.sparse.dense_shape)
    ]
