"""The noise of a tunnel: Gaussian, from a stream of its own for every draw of every sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyig.contracts import Floats, Ints, Tensor
from pyig.errors import InputError, InputTypeError
from pyig.integrate.inputs import Inputs
from pyig.streams import stream


@dataclass(frozen=True)
class Noise:
    """Gaussian noise for the floating leaves of an input; whole numbers stay what they are.

    Attributes
    ----------
    deviations : list of float64
        Standard deviations per floating leaf, as `read_deviations` gives them.
    seed : tuple of int
        What every stream comes from.
    """

    inputs: Inputs
    deviations: list[Floats]
    seed: tuple[int, ...]

    def leaves(self, draws: Ints, repeat: int) -> list[Tensor]:
        """Return the input's leaves, noisy: a row for each draw, sample and (the same one) `repeat`."""
        inputs, backend = self.inputs, self.inputs.backend
        every = np.tile(np.repeat(np.arange(inputs.samples), repeat), len(draws))
        out = [backend.take(leaf, every) for leaf in inputs.leaves]
        shapes = [tuple(int(size) for size in inputs.leaves[i].shape[1:]) for i in inputs.floating]
        rows = len(draws) * inputs.samples
        noise = [np.empty((rows, *shape)) for shape in shapes]
        for row, (draw, sample) in enumerate((int(d), s) for d in draws for s in range(inputs.samples)):
            rng = stream(self.seed, draw, sample)
            for leaf, deviation in zip(noise, self.deviations, strict=True):
                leaf[row] = deviation[sample % len(deviation)] * rng.standard_normal(leaf.shape[1:])
        for position, leaf in zip(inputs.floating, noise, strict=True):
            like = out[position]
            # In the input's own dtype before it goes to a device, which may have no float64.
            cast = np.repeat(leaf, repeat, axis=0).astype(backend.to_numpy(like[:0]).dtype)
            out[position] = like + backend.cast_like(backend.from_numpy(cast, like), like)
        return out


def read_deviations(inputs: Inputs, given: Any, relative: bool) -> list[Floats]:
    """Return the standard deviations per floating leaf: (N, ...) or (1, ...), features as in the leaf or 1.

    Parameters
    ----------
    given : float, array, or sequence or dict of them
        One for all floating leaves, or one for each leaf; an array has one for each feature of its leaf.
    relative : bool
        Whether they are shares of the range (largest minus smallest value) of the leaf in each sample.
    """
    if not inputs.floating:
        found = ", ".join(f"{name or 'input'}: {x.dtype}" for name, x in zip(inputs.names, inputs.leaves, strict=True))
        raise InputTypeError(f"expected an input of floating dtype to add noise to; got {found}")
    if not isinstance(relative, (bool, np.bool_)):
        raise InputTypeError(f"expected relative= as True or False; got {relative!r}")
    each = _per_leaf(inputs, given)
    return [_deviation(inputs, position, each[position], bool(relative)) for position in inputs.floating]


def _deviation(inputs: Inputs, position: int, given: Any, relative: bool) -> Floats:
    shape = tuple(int(size) for size in inputs.leaves[position].shape[1:])
    of = f" for {inputs.names[position]}" if inputs.names[position] else ""
    found = np.asarray(given)
    if found.dtype.kind not in "fiu":
        raise InputTypeError(f"expected stdevs={of} as numbers; got {given!r}")
    if found.shape not in ((), shape):
        raise InputError(f"expected stdevs={of} as one number, or one for each feature, {shape}; got {found.shape}")
    if not ((found >= 0) & np.isfinite(found)).all():
        raise InputError(f"expected stdevs={of} of at least 0 and finite; got {found.tolist()!r}")
    wide: Floats = np.broadcast_to(found, (1, *(shape if found.shape else [1] * len(shape)))).astype(np.float64)
    if not relative:
        return wide
    if math.prod(shape) < 2:
        raise InputError(f"expected relative=True only where samples have several values;{of or ' the input'} has one")
    values = inputs.backend.to_numpy(inputs.leaves[position]).astype(np.float64)
    axes = tuple(range(1, values.ndim))
    ranges: Floats = wide * (values.max(axis=axes, keepdims=True) - values.min(axis=axes, keepdims=True))
    return ranges


def _per_leaf(inputs: Inputs, given: Any) -> Sequence[Any]:
    spec = inputs.spec
    if isinstance(given, dict) and spec.kind == "dict" and all(child.kind == "leaf" for child in spec.children):
        strange = [key for key in given if key not in spec.keys]
        if strange:
            known = ", ".join(map(str, spec.keys))
            raise InputError(f"expected stdevs for the inputs {known}; got one for {strange[0]!r}")
        return [given.get(key, 0.0) for key in spec.keys]
    if isinstance(given, (list, tuple)) and spec.kind not in ("leaf", "frame"):
        if len(given) != len(inputs.leaves):
            raise InputError(f"expected {len(inputs.leaves)} stdevs, one for each input; got {len(given)}")
        return given
    return [given] * len(inputs.leaves)
