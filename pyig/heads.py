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
    value = ops.pick(flat, index) + _TINY
    # The sum of the others keeps its digits where 1 - p has none left; a lone column has nothing better.
    several = int(flat.shape[1]) > 1
    others = ops.cast_like(ops.row_sum(flat * (1.0 - target)), flat) if several else 1.0 - value
    others = others + _TINY
    odds = target / value[:, None]
    down = (1.0 - target) / others[:, None] if several else -target / others[:, None]
    return ops.log(value) - ops.log(others), odds - down


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
        What the model gives: ``"logits"`` or ``"probabilities"``.
    binary : bool
        The model gives one logit z; it is read as the two logits [0, z], so that the classes are 0 and 1.
    """

    value: str = "output"
    kind: str = "logits"
    binary: bool = False

    def __call__(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return values (R,) and the cotangent shaped like `outputs`."""
        scalar = SCALARS[self.kind, self.value]
        flat = ops.flat(outputs)
        if self.binary:
            flat = ops.with_zero_column(flat)
        value, cotangent = scalar(ops, flat, index[0])
        if len(index) == 2:
            other, other_cotangent = scalar(ops, flat, index[1])
            value, cotangent = value - other, cotangent - other_cotangent
        if self.binary:
            cotangent = cotangent[:, 1:]
        return value, ops.reshape_like(cotangent, outputs)


@dataclass(frozen=True)
class CustomHead:
    """A user's function from the outputs to one scalar per row."""

    function: Callable[[Any], Any]

    def __call__(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return values (R,) and the cotangent shaped like `outputs`."""
        del index
        return ops.custom_head(self.function, outputs)
