"""How far the numbers can be trusted, in numbers and in words.

An error here is always an estimate, never a guarantee; the completeness gap is exact, but may be small by cancellation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyig.contracts import Floats
from pyig.explanation.arrays import Leaf

if TYPE_CHECKING:
    from pyig.explanation.record import Explanation

# Below this share of the attributions' L1 norm, F(x)-F(x') is a poor yardstick: it vanishes where F(x) = F(x').
FLOOR = 0.01
# Below this share the attributions largely cancel in F(x)-F(x'): in words, the gap is compared with their size instead.
_LAST_DIGITS = 1e-5  # of float32, after some hundred layers
_CANCELS = 0.25
# A gap this many times smaller than the estimated error is small because errors cancel in it.
_FAR = 3


def l1(explanation: Explanation) -> Floats:
    """Return the L1 norm of the attributions, shape of `values`."""
    shape = explanation.values.shape
    total = np.zeros(shape)
    for leaf in explanation.leaves():
        rest = tuple(range(len(shape), leaf.attributions.ndim))
        total += np.abs(leaf.attributions).sum(axis=rest, dtype=np.float64)
    return total


def relative_gap(explanation: Explanation) -> Floats:
    """See `Explanation.relative_gap`."""
    change = np.abs(explanation.values - explanation.baseline_values)
    return _ratio(np.abs(explanation.deltas), np.maximum(change, FLOOR * l1(explanation)))


def relative_error(explanation: Explanation) -> Floats:
    """See `Explanation.relative_error`."""
    return _ratio(explanation.error, l1(explanation))


def status(explanation: Explanation) -> list[str]:
    """Name the state of every path, in C order: converged, not converged, stopped early, or no estimate."""
    rows = zip(explanation.converged.ravel().tolist(), np.isnan(explanation.error).ravel().tolist(), strict=True)
    return [_state(converged, unknown, bool(explanation.meta.get("complete", True))) for converged, unknown in rows]


def verdict(explanation: Explanation) -> str:
    """See `Explanation.verdict`."""
    if not explanation.values.size:
        return "no samples"
    parts = [_stopped(explanation), _error(explanation), _gap(explanation)]
    return "; ".join(part for part in parts if part)


def describe(explanation: Explanation) -> str:
    """Return the repr: what was explained, how, and the verdict, in three lines."""
    shapes = " + ".join(_size(leaf) for leaf in explanation.leaves())
    count = len(explanation)
    many = f", {explanation.values.shape[1]} targets each" if explanation.values.ndim == 2 else ""
    meta = explanation.meta
    steps = f", {meta['n_steps']} steps" if meta.get("n_steps") else ""
    of = f" of {meta['model']}" if meta.get("model") else ""
    how = f"{_draws(explanation)}{meta.get('method', 'unnamed method')}{steps}"
    return (
        f"Explanation{of}: {count} sample{'' if count == 1 else 's'} of {shapes}{many}\n"
        f"  {how}, {int(explanation.n_evals.sum())} gradients\n"
        f"  {verdict(explanation)}"
    )


def percent(share: float) -> str:
    """Write a share with two significant digits.

    Examples
    --------
    >>> percent(0.000234), percent(0.0), percent(1.5), percent(3e-12)
    ('0.023 %', '0 %', '150 %', '3e-10 %')
    """
    value = 100 * float(share)
    return f"{value:.0f} %" if abs(value) >= 100 else f"{value:.2g} %"


def _size(leaf: Leaf) -> str:
    shape = leaf.inputs.shape[1:]
    size = f"{shape[0]} feature{'' if shape[0] == 1 else 's'}" if len(shape) == 1 else "x".join(map(str, shape))
    if not leaf.name:
        return size or "1 feature"
    return f"{leaf.name} ({size})" if size else leaf.name


def _state(converged: bool, unknown: bool, complete: bool) -> str:
    if not complete and not converged:
        return "stopped early"
    if unknown:
        return "no estimate"
    return "converged" if converged else "not converged"


def _stopped(explanation: Explanation) -> str:
    meta = explanation.meta
    if meta.get("complete", True):
        return ""
    spent = int(explanation.n_evals.sum())
    if not meta.get("n_steps") or meta.get("noise"):
        return f"stopped early after {spent} gradients"
    paths = 1 if meta.get("method") == "expected" else int(meta.get("n_baselines") or 1)
    planned = int(meta["n_steps"]) * explanation.values.size * paths
    return f"stopped early: {spent} of {planned} gradients"


def _error(explanation: Explanation) -> str:
    share = explanation.relative_error
    known = ~np.isnan(share)
    if not known.any():
        return f"no error estimate: {explanation.meta.get('method') or 'the rule'} gives none"
    failed = known & ~explanation.converged
    looked = share[failed] if failed.any() else share[known]
    worst, rtol = float(looked.max()), explanation.meta.get("rtol")
    text = f"estimated {'error' if explanation.standard_error is None else 'sampling error'} {percent(worst)}"
    # A path may also fail for another reason (its budget, steps too small to halve): then no comparison is shown.
    if rtol is not None and failed.any() == (worst > rtol):
        text += f" {'>' if worst > rtol else '<='} {percent(rtol)}"
    elif rtol is not None and known.all() and not failed.any() and explanation.meta.get("summed"):
        # Parts of a feature cancel in its sum, and so do their errors; how far, the estimate cannot tell.
        text = f"estimated error <= {percent(rtol)} before, at most {percent(worst)} after summing up"
    if failed.any():
        text = f"not converged{_count(failed)}: {text}{_needs(explanation, failed & (share > (rtol or np.inf)))}"
    elif known.all():
        text = f"converged: {text}"
    return text if known.all() else f"{text} (no estimate{_count(~known)})"


def _needs(explanation: Explanation, short: np.typing.NDArray[np.bool_]) -> str:
    """Say what the paths that missed the tolerance would need, where their gradients ran out."""
    meta = explanation.meta
    if not short.any() or not meta.get("complete", True) or meta.get("noise"):
        return ""
    most, steps = meta.get("max_evals"), meta.get("n_steps")
    # Cells are halved two nodes at a time: a budget that is even leaves one.
    if most and (explanation.n_evals[short] >= most - 1).any():
        return (
            f"; {percent(meta['rtol'])} per feature on this network needs more than {most} gradients; raise max_evals"
        )
    if steps and meta.get("method") != "expected":
        return f"; raise n_steps={steps}, or leave it out for as many as it takes"
    return ""


def _draws(explanation: Explanation) -> str:
    noise = explanation.meta.get("noise")
    return f"{noise['kind']} of {noise['draws']} draws, " if noise else ""


def _gap(explanation: Explanation) -> str:
    if (explanation.meta.get("noise") or {}).get("kind", "smoothgrad") != "smoothgrad":
        return ""  # squares and variances add up to nothing
    size, change = l1(explanation), np.abs(explanation.values - explanation.baseline_values)
    cancels = change < _CANCELS * size
    # Where nothing moves, F of the same input twice may still differ in its last digits: no part of a path is missing.
    still = (size == 0) & (change <= _LAST_DIGITS * np.abs(explanation.values))
    gaps = np.where(still, 0.0, _ratio(np.abs(explanation.deltas), np.where(cancels, size, change))).ravel()
    known = ~np.isnan(gaps)
    if not known.any():
        return "completeness gap unknown: not reached, or not finite on the path"
    worst = int(np.nanargmax(gaps))
    of = "the attributions, which largely cancel in F(x)-F(x')" if cancels.ravel()[worst] else "F(x)-F(x')"
    text = f"completeness gap {'at most ' if gaps.size > 1 else ''}{percent(gaps[worst])} of {of}"
    if _by_cancellation(explanation, size):
        text += ", small only by cancellation"
    return text if known.all() else f"{text} (unknown{_count(~known)})"


def _by_cancellation(explanation: Explanation, size: Floats) -> bool:
    """Tell whether some gap is within the tolerance while the estimated error is far above both."""
    gap, error, rtol = np.abs(explanation.deltas), explanation.error, explanation.meta.get("rtol")
    if rtol is None or explanation.meta.get("noise"):  # there the gap knows nothing of the error, which is of the draws
        return False
    within = ~explanation.converged & (gap <= rtol * size)
    return bool((within & (error > rtol * size) & (error > _FAR * gap)).any())


def _count(mask: np.typing.NDArray[np.bool_]) -> str:
    return f" for {int(mask.sum())} of {mask.size}" if mask.size > 1 else ""


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide; nothing of nothing is nothing, something of nothing is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((part == 0) & (whole == 0), 0.0, part / whole)
