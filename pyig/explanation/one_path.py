"""One path of an explanation: that of sample `i` and the k-th of its targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyig.errors import InputError
from pyig.explanation.table import sample_labels, target_label, targets_each

if TYPE_CHECKING:
    from pyig.explanation.record import Explanation


def pick(explanation: Explanation, sample: int, target: int) -> tuple[int, int]:
    """Check the positions of a sample and of a target among its targets; negative ones count from the end."""
    count = targets_each(explanation)
    for kind, index, length in (("sample", sample, len(explanation)), ("target", target, count)):
        if not -length <= index < length:
            raise InputError(f"expected the position of a {kind} below {length}; got {kind}={index}")
    return sample % len(explanation), target % count


def of_path(explanation: Explanation, array: Any, i: int, k: int) -> Any:
    """Return what belongs to the path of an array (N, ...), or (N, K, ...) where several targets were asked for."""
    return array[i] if explanation.values.ndim == 1 else array[i, k]


def heading(explanation: Explanation, i: int, k: int) -> str:
    """Name the path: ``sample p-1, target ant``."""
    target = target_label(explanation, i, k)
    return f"sample {sample_labels(explanation)[i]}" + (f", target {target}" if target is not None else "")
