"""The table of baselines: x -> x', where "no information" is for this input.

There is no neutral baseline for every model (Sturmfels, Lundberg, Lee 2020, "Visualizing the Impact of Feature
Attribution Baselines"); several may be given and are averaged, which is expected gradients (Erion et al. 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyig.errors import InputError, InputTypeError
from pyig.registry import Registry

Array = NDArray[Any]
Rng: TypeAlias = "np.random.Generator"  # a string: numpy loads its generators only when they are asked for


def zero(x: Array, rng: Rng) -> Array:
    """All zeros, one row for all samples."""
    del rng
    return np.zeros_like(x[:1])


def mean(x: Array, rng: Rng) -> Array:
    """The mean of the samples given, one row for all of them."""
    del rng
    out: Array = x.mean(axis=0, keepdims=True, dtype=np.float64)
    return out


def uniform(x: Array, rng: Rng) -> Array:
    """Uniform noise over the range of each sample."""
    low, high = _range(x)
    out: Array = rng.random(x.shape) * (high - low) + low
    return out


def noise(x: Array, rng: Rng) -> Array:
    """The sample plus Gaussian noise with the standard deviation of its own values."""
    axes = tuple(range(1, x.ndim))
    out: Array = x + rng.standard_normal(x.shape) * x.std(axis=axes, keepdims=True, dtype=np.float64)
    return out


def max_distance(x: Array, rng: Rng) -> Array:
    """For each feature the end of the sample's range that is farther away: no feature is left at its own value."""
    del rng
    low, high = _range(x)
    return np.where(x - low > high - x, low, high)


def blur(x: Array, rng: Rng) -> Array:
    """Images under a Gaussian whose standard deviation is a tenth of the shorter side, edges repeated."""
    del rng
    if x.ndim not in (3, 4):
        raise InputError(f"expected images, shape (N, H, W), (N, C, H, W) or (N, H, W, C), for 'blur'; got {x.shape}")
    rows = 1 if x.ndim == 3 or x.shape[-1] <= 4 < x.shape[1] else 2
    sigma = max(1.0, min(x.shape[rows], x.shape[rows + 1]) / 10)
    out = x.astype(np.float64)
    for axis in (rows, rows + 1):
        out = np.moveaxis(np.moveaxis(out, axis, -1) @ _gaussian(x.shape[axis], sigma).T, -1, axis)
    return out


def pad_token(x: Array, rng: Rng) -> Array:
    """Token 0 everywhere: the padding token of most tokenizers; pass the number itself where it is another."""
    return zero(x, rng)


BASELINES = Registry("baseline", {name: f"pyig.baselines:{name}" for name in (
    "zero", "mean", "blur", "noise", "uniform", "max_distance", "pad_token",
)})  # fmt: skip


class several:  # noqa: N801 - read at the call site like a word: baselines=pyig.several(background)
    """Say that these are several baselines, averaged, whatever their number looks like.

    Parameters
    ----------
    items : array (M, ...) or sequence
        A data set with one baseline per row, or a sequence of baselines of any kind.

    Examples
    --------
    >>> len(several(np.zeros((5, 3))).items)
    5
    """

    def __init__(self, items: Any) -> None:
        rows = hasattr(items, "shape")
        self.items: Sequence[Any] = [items[i : i + 1] for i in range(len(items))] if rows else list(items)
        if not self.items:
            raise InputError("expected at least one baseline; got none")


class at_layer:  # noqa: N801 - as `several`: baselines=pyig.at_layer(0)
    """Say that the baseline is a value of the layer, not of the input: the zero embedding, say.

    Parameters
    ----------
    value : float
        What the layer's values are at the baseline.
    keep : bool array (N, ...), optional
        Which of them stay as they are at x: special tokens, padding. The axes that follow are kept or not as a whole.
    beside : optional
        Where floats begin that move beside ids, in the structure of the input; zero by default.

    Examples
    --------
    >>> at_layer(0, keep=[[True, False]]).start(np.ones((1, 2, 3)), np.array([0]))
    array([[[1., 1., 1.],
            [0., 0., 0.]]])
    """

    def __init__(self, value: float = 0.0, keep: Any = None, beside: Any = None) -> None:
        self.value, self.beside = float(value), beside
        self.keep = None if keep is None else np.asarray(keep, dtype=bool)

    def start(self, x: Any, samples: NDArray[np.int64], tensor: Callable[[Array], Any] = np.asarray) -> Any:
        """Return the layer's values at the baseline for some samples, by arithmetic that every framework knows.

        Parameters
        ----------
        x : tensor (n, ...)
            The layer's values at x.
        samples : int64 (n,)
            Which samples they belong to.
        tensor : callable
            Makes a tensor like `x` of an array.
        """
        if self.keep is None:
            return x * 0 + self.value
        shape = tuple(map(int, x.shape))
        if self.keep.shape[1:] != shape[1 : self.keep.ndim] or samples.max(initial=-1) >= len(self.keep):
            raise InputError(f"expected keep= to begin like the layer's values {shape}; got {self.keep.shape}")
        held = self.keep[samples].reshape(len(samples), *self.keep.shape[1:], *[1] * (len(shape) - self.keep.ndim))
        kept = tensor(held.astype(np.float64))
        return x * kept + self.value * (1 - kept)


def baseline_leaf(given: Any, x: Array, rng: Rng, name: str) -> Array:
    """Make one baseline for one leaf.

    Parameters
    ----------
    given : None, number, str, callable, or array
        Zero, a constant, a name of the table, ``f(x)`` or ``f(x, rng)``, or values with or without the batch axis.
    x : array (N, ...)
        The input leaf.
    rng : numpy.random.Generator
        For the baselines that draw.
    name : str
        Name of the leaf, for error messages.

    Returns
    -------
    array (1, ...) or (N, ...), of the leaf's dtype.
    """
    if x.dtype.kind not in "fiub":
        return _text_leaf(given, x, name)
    if given is None:
        return np.zeros((1, *x.shape[1:]), x.dtype)
    if isinstance(given, at_layer):
        raise InputTypeError(
            f"expected pyig.at_layer as the whole baseline; got it for {name or 'a part'}. Pass "
            "pyig.at_layer(0, beside=...), the baseline of what is not behind the layer"
        )
    if isinstance(given, str):
        given = BASELINES[given]
    found = _draw(given, x, rng) if callable(given) else np.asarray(given)
    if found.dtype.kind not in "fiub":
        raise InputTypeError(f"expected a baseline of numbers for {name or 'the input'}; got dtype {found.dtype}")
    if found.ndim == 0:
        found = np.full(x[:1].shape, found)
    if found.shape == x.shape[1:]:
        found = found[None]
    if found.shape[1:] != x.shape[1:] or len(found) not in (1, len(x)):
        raise InputError(
            f"expected a baseline for {name or 'the input'} of shape {x.shape}, {(1, *x.shape[1:])} or {x.shape[1:]}; "
            f"got {found.shape}. For several baselines, averaged, pass a list or pyig.several(...)"
        )
    if not np.isfinite(found).all():
        raise InputError(f"expected finite values in the baseline for {name or 'the input'}; got NaN or infinity")
    if x.dtype.kind in "iu" and found.dtype.kind == "f" and (found != np.trunc(found)).any():
        raise InputError(
            f"expected a baseline of whole numbers for {name or 'the input'} of dtype {x.dtype}, which are looked up; "
            f"got {float(found[found != np.trunc(found)][0]):.6g}, and a cast would make another id of it"
        )
    return np.ascontiguousarray(found.astype(x.dtype))


def _text_leaf(given: Any, x: Array, name: str) -> Array:
    """Make the baseline of a leaf of text, which stands before a layer that turns it into numbers: empty by default."""
    found = np.asarray("" if given is None else given)
    if found.dtype.kind not in "USO" or found.shape not in ((), x.shape[1:], (1, *x.shape[1:]), x.shape):
        raise InputError(
            f"expected a baseline of text for {name or 'the input'}, one or of shape {x.shape}; "
            f"got dtype {found.dtype} and shape {found.shape}"
        )
    rows = len(x) if found.shape == x.shape else 1
    return np.ascontiguousarray(np.broadcast_to(found, (rows, *x.shape[1:])).astype(np.result_type(found, x)))


def _draw(function: Callable[..., Any], x: Array, rng: Rng) -> Array:
    code = getattr(function, "__code__", None)
    return np.asarray(function(x, rng) if code is not None and code.co_argcount >= 2 else function(x))


def _range(x: Array) -> tuple[Array, Array]:
    axes = tuple(range(1, x.ndim))
    return x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True)


def _gaussian(n: int, sigma: float) -> Array:
    """Return the (n, n) matrix of a Gaussian filter whose ends repeat the edge: rows sum to 1."""
    reach = int(4 * sigma) + 1
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    matrix = np.zeros((n, n))
    for row in range(n):
        np.add.at(matrix[row], np.clip(np.arange(row - reach, row + reach + 1), 0, n - 1), taps / taps.sum())
    return matrix
