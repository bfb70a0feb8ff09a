"""The published schedule of error-controlled steps, row by row: more nodes until the completeness gap is small enough.

It is there to give the numbers that the hosted service gave. By itself a small gap proves nothing, so `converged` stays
what the error estimate says, and `meta["met"]` is what the schedule asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from pyig import tree
from pyig.contracts import Ints
from pyig.errors import InputError
from pyig.explanation import Explanation
from pyig.explanation.table import targets_each

RULE = "riemann_trapezoid"  # whose weights sum to 1: the mean of neighbouring gradients
FIRST, MORE, MOST = 20, 100, 2048
_NOTHING = 1e-6  # of |F(x)| + |F(x')|: a smaller difference is rounding, and no yardstick
_PER_NODE = ("path_alphas", "path_values", "path_slopes", "path_weights")
_TREES = ("attributions", "inputs", "baselines")

Explain = Callable[[Ints, int], Explanation]


def schedule(most: int = MOST) -> Iterator[int]:
    """Yield 20, 120, 220, ... nodes, as long as they are not more than `most`.

    Examples
    --------
    >>> list(schedule(350))
    [20, 120, 220, 320]
    """
    yield from range(FIRST, most + 1, MORE)


def percentage(explanation: Explanation) -> Any:
    """Return the completeness gap in percent of F(x) - F(x'), shape of `values`.

    Where F(x) and F(x') are the same but for rounding, in percent of the attributions' L1 norm; 0 where that is 0 too.
    """
    change = np.abs(explanation.values - explanation.baseline_values)
    shape = explanation.values.shape
    size = sum(
        np.abs(leaf.attributions).sum(axis=tuple(range(len(shape), leaf.attributions.ndim)), dtype=np.float64)
        for leaf in explanation.leaves()
    )
    nothing = change <= _NOTHING * (np.abs(explanation.values) + np.abs(explanation.baseline_values))
    yardstick = np.where(nothing, size, change)
    gap = np.abs(explanation.deltas)
    return 100 * np.divide(gap, yardstick, out=np.where(gap > 0, np.inf, 0.0), where=yardstick > 0)


def until_complete(explain: Explain, samples: int, limit: float, most: int = MOST) -> Explanation:
    """Explain every row with more and more nodes, from the start each time, until its gap is at most `limit` percent.

    Parameters
    ----------
    explain : callable
        ``explain(rows, n)`` explains those rows with n nodes of the trapezoid rule.
    samples : int
        How many rows there are.
    limit : float
        Percent of F(x) - F(x').
    most : int
        Cap on the nodes; a row that has not met the limit by then keeps its last result.

    Returns
    -------
    Explanation
        `n_evals` counts every gradient; ``meta["steps"]`` has the nodes of each row's result, ``meta["met"]`` whether
        its gap met the limit.
    """
    if not limit > 0:
        raise InputError(f"expected max_allowed_error as a percentage above 0; got {limit!r}")
    if most < FIRST:
        raise InputError(f"expected max_steps= of at least {FIRST}; got {most!r}")
    open_rows = np.arange(samples)
    steps, met = np.zeros(samples, np.int64), np.zeros(samples, bool)
    spent = np.zeros(samples, np.int64)
    parts: list[tuple[Ints, Explanation]] = []
    levels = list(schedule(most))
    for n in levels:
        found = explain(open_rows, n)
        spent[open_rows] += n
        small = (percentage(found).reshape(len(open_rows), -1) <= limit).all(axis=1)
        done = small if n != levels[-1] else np.ones_like(small)
        if done.any():
            parts.append((open_rows[done], found[np.flatnonzero(done)]))
        steps[open_rows[done]], met[open_rows] = n, small
        open_rows = open_rows[~done]
        if not len(open_rows):
            break
    joined = join(parts)
    wide = spent if joined.values.ndim == 1 else np.repeat(spent[:, None], joined.values.shape[1], axis=1)
    account = {
        "n_steps": None,
        "max_allowed_error": float(limit),
        "max_steps": int(most),
        "steps": steps.tolist(),
        "met": met.tolist(),
    }
    return replace(joined, n_evals=wide, meta=joined.meta | account)


def join(parts: Sequence[tuple[Ints, Explanation]]) -> Explanation:
    """Put explanations of disjoint rows together, in the order of the rows; meta is that of the last."""
    if len(parts) == 1 and np.array_equal(parts[0][0], np.arange(len(parts[0][1]))):
        return parts[0][1]
    rows = np.concatenate([part for part, _ in parts])
    order = np.argsort(rows, kind="stable")
    found = [explanation for _, explanation in parts]
    last = found[-1]
    changed: dict[str, Any] = {name: _joined_tree([getattr(e, name) for e in found], found, order) for name in _TREES}
    others = (*_TREES, *_PER_NODE, "path_offsets", "standard_error")
    for name in (field.name for field in fields(Explanation) if field.name not in others):
        if isinstance(getattr(last, name), np.ndarray):
            changed[name] = np.concatenate([getattr(e, name) for e in found])[order]
    per_sample = targets_each(last)
    paths = (order[:, None] * per_sample + np.arange(per_sample)).ravel()
    lengths = np.concatenate([np.diff(e.path_offsets) for e in found])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    nodes = np.concatenate([np.arange(starts[p], starts[p + 1]) for p in paths] or [np.arange(0)])
    changed["path_offsets"] = np.concatenate([[0], np.cumsum(lengths[paths])])
    changed |= {name: np.concatenate([getattr(e, name) for e in found])[nodes] for name in _PER_NODE}
    return replace(last, standard_error=None, **changed)


def _joined_tree(trees: Sequence[Any], explanations: Sequence[Explanation], order: Ints) -> Any:
    flat = [tree.flatten(one) for one in trees]
    spec = flat[-1][1]
    if spec.kind == "frame":
        spec = tree.LEAF  # rows of several tables: their labels are the caller's
    leaves = []
    for i in range(len(flat[0][0])):
        rows = [
            np.broadcast_to(leaves_of[i], (len(e), *leaves_of[i].shape[1:]))
            for (leaves_of, _), e in zip(flat, explanations, strict=True)
        ]
        leaves.append(np.concatenate(rows)[order])
    return tree.unflatten(spec, leaves)
