"""The scalar F of a row of outputs, with its cotangent dF/d(outputs): what one VJP needs.

A head is written once for every framework over the few operations of a Backend. The forms in log space keep their
digits where probabilities saturate: a float32 probability of 1 - 1e-8 is already 1, its log-odds are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyig.contracts import Backend, Tensor

Scalar = Callable[[Backend, Tensor, Tensor], tuple[Tensor, Tensor]]


def _output(ops: Backend, flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    return ops.pick(flat, index), ops.one_hot(index, flat)


def _softmax(ops: Backend, logits: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    probabilities = ops.softmax(logits)
    value = ops.pick(probabilities, index)
    return value, value[:, None] * (ops.one_hot(index, logits) - probabilities)


def _log_softmax(ops: Backend, logits: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    value = ops.pick(logits, index) - ops.logsumexp(logits)
    return value, ops.one_hot(index, logits) - ops.softmax(logits)


def _softmax_log_odds(ops: Backend, logits: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    target = ops.one_hot(index, logits)
    others = logits + ops.log(1.0 - target)  # -inf at the target: it leaves the sum, whatever the dtype
    return ops.pick(logits, index) - ops.logsumexp(others), target - ops.softmax(others)


def _log_of_probability(ops: Backend, flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    value = ops.pick(flat, index)
    return ops.log(value), ops.one_hot(index, flat) / value[:, None]


def _log_odds_of_probability(ops: Backend, flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    target = ops.one_hot(index, flat)
    value = ops.pick(flat, index)
    up, down = value + _TINY, 1.0 - value + _TINY
    return ops.log(up) - ops.log(down), target * (1.0 / up + 1.0 / down)[:, None]


def _log_odds_in_simplex(ops: Backend, flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    target = ops.one_hot(index, flat)
    up = ops.pick(flat, index) + _TINY
    # Where rows sum to 1, the sum of the others keeps its digits when 1 - p has none left.
    down = ops.cast_like(ops.row_sum(flat * (1.0 - target)), flat) + _TINY
    return ops.log(up) - ops.log(down), target / up[:, None] - (1.0 - target) / down[:, None]


_TINY = 1e-30  # keeps a probability of exactly 0 or 1 finite in log space; its own gradient is 0 there

SCALARS: dict[tuple[str, str], Scalar] = {
    ("logits", "output"): _output,
    ("logits", "probability"): _softmax,
    ("logits", "log_probability"): _log_softmax,
    ("logits", "log_odds"): _softmax_log_odds,
    ("probabilities", "output"): _output,
    ("probabilities", "probability"): _output,
    ("probabilities", "log_probability"): _log_of_probability,
    ("probabilities", "log_odds"): _log_odds_of_probability,
    ("simplex", "output"): _output,
    ("simplex", "probability"): _output,
    ("simplex", "log_probability"): _log_of_probability,
    ("simplex", "log_odds"): _log_odds_in_simplex,
}
VALUES = ("output", "probability", "log_probability", "log_odds")
KINDS = ("logits", "probabilities")


@dataclass(frozen=True)
class TargetHead:
    """One entry of the outputs, or a function of it, or the difference of two (`index` of length two).

    Parameters
    ----------
    value : str
        ``"output"``, ``"probability"``, ``"log_probability"`` or ``"log_odds"``.
    kind : str
        What the model gives: ``"logits"``, ``"probabilities"``, or probabilities that sum to 1: ``"simplex"``.
    binary : bool
        The model gives one number; a logit z is read as the two logits [0, z], a probability p as [1 - p, p], so that
        the classes are 0 and 1 either way.
    """

    value: str = "output"
    kind: str = "logits"
    binary: bool = False

    def __call__(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return values (R,) and the cotangent shaped like `outputs`."""
        scalar = SCALARS[self.kind, self.value]
        flat = ops.flat(outputs)
        if self.binary:
            flat = _both_classes(ops, flat, index[0], self.kind)
        value, cotangent = scalar(ops, flat, index[0])
        if len(index) == 2:
            other, other_cotangent = scalar(ops, flat, index[1])
            value, cotangent = value - other, cotangent - other_cotangent
        if self.binary:
            both = cotangent
            cotangent = both[:, 1:] if self.kind == "logits" else both[:, 1:] - both[:, :1]
        return value, ops.reshape_like(cotangent, outputs)

    def values(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> Tensor:
        """Return the values alone."""
        if self.binary or SCALARS[self.kind, self.value] is not _output:
            return self(ops, outputs, index)[0]
        picked = [ops.pick(ops.flat(outputs), flat) for flat in index]
        return picked[0] if len(picked) == 1 else picked[0] - picked[1]


def _both_classes(ops: Backend, flat: Tensor, index: Tensor, kind: str) -> Tensor:
    """Return (R, 2) from (R, 1): ``[0, z]`` or ``[1 - p, p]``."""
    wide = ops.with_zero_column(flat)
    return wide if kind == "logits" else wide + ops.one_hot(index * 0, wide) * (1.0 - flat)


@dataclass(frozen=True)
class CustomHead:
    """A user's function from the outputs to one scalar per row."""

    function: Callable[[Any], Any]

    def __call__(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return values (R,) and the cotangent shaped like `outputs`."""
        del index
        return ops.custom_head(self.function, outputs)

    def values(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> Tensor:
        """Return the values alone."""
        return self(ops, outputs, index)[0]
