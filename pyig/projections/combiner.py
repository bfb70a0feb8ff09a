"""The projection of a linearly combined embedding: many values, one vector, and each value's exact part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyig.contracts import Floats
from pyig.errors import InputError, unknown
from pyig.projections.columns import NONE
from pyig.projections.contract import Array, Encoded, Feature, label_of
from pyig.projections.tokens import baselines_like, texts

COMBINERS = ("sum", "mean", "sqrtn")
_NOTE = "the error estimate is that of a combined vector; values whose parts cancel in it are known less well"
_SAME = 1e-4  # of the vectors' size: a combined vector in float32 is nearer, one of another combiner is not


class LinearCombiner:
    """A variable number of values whose vectors were added up to one (sum, mean or sqrtn, with weights).

    With e the combined vector, b the baseline's and G the gradient integrated along the path, value i gets
    ``sum over j of (c_i V_ij - s_i b_j) G_j``: c_i its coefficient in e, s_i its share of the weights. That is exactly
    Integrated Gradients at the vectors themselves, with the same baseline for each (after its coefficient).

    Parameters
    ----------
    values : array (N, T)
        The user's values, padded: numbers or text.
    vectors : array (N, T, E)
        Their vectors; what stands at padding does not count.
    weights : array (N, T), optional
        Ones by default.
    mask : boolean array (N, T), optional
        Which places hold a value; all by default.
    combiner : {"mean", "sum", "sqrtn"}
        ``sum(w V)``, divided by nothing, ``sum(w)`` or ``sqrt(sum(w^2))``.
    gradient : array (N, E) or (N, K, E), optional
        G. By default the attributions of the tensor over ``e - b``, which leaves it unknown where e and b agree.
    baselines : array or scalar, optional
        What stands for the values in the baseline; ``""`` for text and 0 for numbers by default.
    name : str, optional
        Name of the feature, where it is not that of the tensor.

    Raises
    ------
    InputError
        Where the vectors do not combine to the tensor, or G is needed and unknown.

    Notes
    -----
    A row without values gives the whole change to its first place, which then reads ``"(none)"`` where values are text.
    """

    def __init__(
        self,
        values: Any,
        vectors: Any,
        weights: Any = None,
        mask: Any = None,
        combiner: str = "mean",
        gradient: Any = None,
        baselines: Any = None,
        name: str | None = None,
    ) -> None:
        if combiner not in COMBINERS:
            raise unknown("combiner", combiner, COMBINERS)
        self.values, self.vectors = texts(values), np.asarray(vectors, dtype=np.float64)
        shape = self.values.shape
        if len(shape) != 2 or self.vectors.shape[:-1] != shape:
            raise InputError(
                f"expected values (N, T) and vectors (N, T, E); got shapes {shape} and {self.vectors.shape}"
            )
        if shape[1] == 0:
            raise InputError("expected at least one place for values in each row; pad rows without values")
        self.mask = np.ones(shape, bool) if mask is None else _like("mask", np.asarray(mask, bool), shape)
        given = np.ones(shape) if weights is None else _like("weights", np.asarray(weights, np.float64), shape)
        self.weights = np.where(self.mask, given, 0.0)
        self.combiner, self.gradient, self.name = combiner, gradient, name
        self.baselines = baselines_like(self.values, baselines)

    @property
    def note(self) -> str | None:
        """What the user should know: the estimated error is that of the combined vector."""
        return _NOTE if (self.mask.sum(axis=1) > 1).any() else None

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Return one feature (N, T)."""
        parts = self._parts(encoded)
        change = np.asarray(encoded.inputs, np.float64) - encoded.baselines
        gradient = self._gradient(encoded, parts, change)
        phi = np.einsum("nte,nke->nkt", parts, gradient)
        # What the tensor's own rounding left over, shared out, so that the sum is kept to the last digit.
        left = encoded.attributions.sum(axis=-1) - phi.sum(axis=-1)
        phi += left[:, :, None] * self._shares()[:, None, :]
        return {self.name or label_of(encoded): Feature(phi, self._shown(), self.baselines)}

    def _parts(self, encoded: Encoded) -> Floats:
        """Return what each value has of e - b, (N, T, E)."""
        n, _, e = self.vectors.shape
        if encoded.inputs.shape != (n, e):
            raise InputError(
                f"expected {label_of(encoded)!r} of shape {(n, e)}, the vectors combined; got {encoded.inputs.shape}"
            )
        vectors = np.where(self.mask[:, :, None], self.vectors, 0.0)
        own = self._coefficients()[:, :, None] * vectors
        off = np.abs(own.sum(axis=1) - encoded.inputs).max(axis=1, initial=0.0)
        if (off > _SAME * (np.abs(own).sum(axis=1).max(axis=1, initial=0.0) + 1e-6)).any():
            row = int(off.argmax())
            raise InputError(
                f"expected vectors whose {self.combiner} is {label_of(encoded)!r}; row {row} is off by {off[row]:.3g}. "
                "Check combiner=, weights=, mask= and the table"
            )
        return np.asarray(own - self._shares()[:, :, None] * np.asarray(encoded.baselines, np.float64)[:, None, :])

    def _coefficients(self) -> Floats:
        if self.combiner == "sum":
            return self.weights
        norm = self.weights.sum(axis=1) if self.combiner == "mean" else np.sqrt((self.weights**2).sum(axis=1))
        found: Floats = np.divide(
            self.weights, norm[:, None], out=np.zeros_like(self.weights), where=norm[:, None] != 0
        )
        return found

    def _shares(self) -> Floats:
        """Return each value's share of the baseline, (N, T): that of its weight, else an equal one."""
        total, count = self.weights.sum(axis=1, keepdims=True), self.mask.sum(axis=1, keepdims=True)
        first = np.zeros_like(self.weights)
        first[:, 0] = 1.0
        equal = np.where(count > 0, self.mask / np.maximum(count, 1), first)
        return np.where(total != 0, self.weights / np.where(total != 0, total, 1.0), equal)

    def _gradient(self, encoded: Encoded, parts: Floats, change: Floats) -> Floats:
        """Return G, (N, K, E); 0 where it multiplies nothing."""
        phi = encoded.attributions
        if self.gradient is not None:
            given = np.asarray(self.gradient, np.float64)
            wide: Floats = np.broadcast_to(given[:, None] if given.ndim == 2 else given, phi.shape)
            off = np.abs(wide * change[:, None] - phi).sum(axis=-1)
            if (off > _SAME * np.abs(phi).sum(axis=-1) + 1e-12).any():
                raise InputError("expected gradient= times (e - b) to be the attributions of the tensor; they differ")
            return wide
        known = change != 0
        if (~known & (np.abs(parts).max(axis=1) > 0)).any():
            row, column = (int(index) for index in np.argwhere(~known & (np.abs(parts).max(axis=1) > 0))[0])
            raise InputError(
                f"expected {label_of(encoded)!r} to differ from its baseline; row {row} agrees with it in element "
                f"{column}, where the attributions do not show the gradient. Pass gradient=, or explain the model as a "
                "function of the vectors and project with Embedding"
            )
        return np.divide(phi, change[:, None], out=np.zeros_like(phi), where=known[:, None])

    def _shown(self) -> Array:
        if self.values.dtype.kind != "U" or self.mask.any(axis=1).all():
            return self.values
        shown = self.values.astype(np.result_type(self.values, np.array(NONE)))
        shown[~self.mask.any(axis=1), 0] = NONE
        return shown


def _like(what: str, array: Array, shape: tuple[int, ...]) -> Array:
    if array.shape != shape:
        raise InputError(f"expected {what}= shaped like the values, {shape}; got {array.shape}")
    return array
