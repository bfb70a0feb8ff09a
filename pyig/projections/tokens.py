"""Projections of embeddings: the axes behind the user's own are summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pyig.errors import InputError
from pyig.projections.contract import Array, Encoded, Feature, label_of


class Embedding:
    """A tensor with one vector (or array) for each of the user's values: each value gets the sum over its vector.

    Parameters
    ----------
    values : array (N,) or (N, T)
        The user's values: numbers or text. The tensor is (N, ...) or (N, T, ...).
    baselines : array or scalar, optional
        What stands for them in the baseline, broadcast to `values`; by default ``""`` for text and 0 for numbers.
    name : str, optional
        Name of the feature, where it is not that of the tensor.

    Notes
    -----
    By linearity the sum over a vector is exactly what the value contributes, however many values there are.
    """

    def __init__(self, values: Any, baselines: Any = None, name: str | None = None) -> None:
        self.values = texts(values)
        self.baselines = baselines_like(self.values, baselines)
        self.name = name

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return one feature shaped like the values."""
        shape = self.values.shape
        if encoded.inputs.shape[: len(shape)] != shape:
            raise InputError(
                f"expected {label_of(encoded)!r} of shape ({', '.join(map(str, shape))}, ...), one array for each of "
                f"the values; got {encoded.inputs.shape}"
            )
        phi = encoded.attributions
        phi = phi.sum(axis=tuple(range(1 + len(shape), phi.ndim)))
        return {self.name or label_of(encoded): Feature(phi, self.values, self.baselines)}


class Tokens(Embedding):
    """Token ids (N, T) become tokens, as text.

    Parameters
    ----------
    ids : integer array (N, T)
        The user's rows.
    vocabulary : sequence, dict or callable
        From an id to its token.
    baselines : array or scalar, optional
        Ids of the baseline, broadcast to `ids`, or text; ``""`` by default.
    name : str, optional
        Name of the feature, where it is not that of the tensor.
    """

    def __init__(
        self,
        ids: Any,
        vocabulary: Sequence[Any] | Mapping[Any, Any] | Callable[[int], Any],
        baselines: Any = None,
        name: str | None = None,
    ) -> None:
        start = "" if baselines is None else baselines
        if np.asarray(start).dtype.kind in "iu":
            start = decode(start, vocabulary)
        super().__init__(decode(ids, vocabulary), start, name)


def decode(ids: Any, vocabulary: Sequence[Any] | Mapping[Any, Any] | Callable[[int], Any]) -> Array:
    """Return the tokens of ids, shaped like them.

    Examples
    --------
    >>> decode([[2, 0]], ["<pad>", "the", "film"])
    array([['film', '<pad>']], dtype='<U5')
    """
    array = np.asarray(ids)
    if array.dtype.kind not in "iu":
        raise InputError(f"expected token ids as whole numbers; got dtype {array.dtype}")
    known, place = np.unique(array, return_inverse=True)
    tokens = [str(_token(int(number), vocabulary)) for number in known]
    return np.array(tokens or [""])[place.reshape(array.shape)]


def texts(values: Any) -> Array:
    """Return the user's values as an array that needs no pickle: numbers as they are, bytes and objects as text."""
    array = np.asarray(values)
    if array.dtype.kind in "fiub" or array.dtype.kind == "U":
        return array
    plain = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in array.ravel()]
    return np.array(plain or [""], dtype=np.str_)[: array.size].reshape(array.shape)


def baselines_like(values: Array, baselines: Any) -> Array:
    """Return what stands for the values in the baseline, (1, ...) or (N, ...)."""
    if baselines is None:
        baselines = "" if values.dtype.kind == "U" else np.zeros((), values.dtype)
    start = texts(baselines)
    wide = start if start.ndim == values.ndim else np.broadcast_to(start, (1, *values.shape[1:]))
    return np.ascontiguousarray(np.broadcast_to(wide, (len(wide), *values.shape[1:])))


def _token(number: int, vocabulary: Any) -> Any:
    if callable(vocabulary):
        return vocabulary(number)
    try:
        if isinstance(vocabulary, Mapping) or number >= 0:  # else -1 would be the last token
            return vocabulary[number]
    except (KeyError, IndexError):
        pass
    raise InputError(f"expected a vocabulary that knows token {number}; got one of {len(vocabulary)} tokens")
