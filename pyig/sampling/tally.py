"""What the draws of a tunnel add up to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pyig import tree
from pyig.contracts import Floats
from pyig.explanation import Explanation
from pyig.sampling.moments import Moments

KINDS = ("smoothgrad", "smoothgrad_sq", "vargrad")
_FROM_DRAWS = ("method", "n_steps", "max_evals", "rtol", "output_kind", "notes")


class Tally:
    """Running results of N samples with K targets each, in float64; its size does not grow with the draws.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    clean : Explanation
        Of the input without noise: names, targets and shapes; its gradients count.
    """

    def __init__(self, kind: str, clean: Explanation) -> None:
        self.kind, self.clean = kind, clean
        self.stopped = False
        self._leaves, self._spec = tree.flatten(clean.attributions)
        rows = clean.values.size
        order = 4 if kind == "vargrad" else 2
        self._moments = [Moments(rows, leaf.size // max(1, rows), order) for leaf in self._leaves]
        self._scalars = Moments(rows, 4)  # F, the gap, the error of an integral, the L1 norm
        self._evals = clean.n_evals.reshape(-1).copy()
        self._meta: dict[str, Any] = {}
        self._calls = int(clean.meta.get("model_calls", 0))
        self._batch = int(clean.meta.get("batch_rows", 0))

    def add(self, found: Explanation, draws: int) -> None:
        """Take the results of some draws; of a call that was stopped, those that have an error estimate."""
        self._meta, rows = found.meta, self.clean.values.size
        self._calls += int(found.meta["model_calls"])
        self._batch = max(self._batch, int(found.meta["batch_rows"]))
        self.stopped = self.stopped or not found.meta["complete"]
        keep = np.isfinite(found.error).reshape(draws, rows) | (not self.stopped)
        leaves = [leaf.reshape(draws, rows, -1).astype(np.float64) for leaf in tree.flatten(found.attributions)[0]]
        sizes = sum((np.abs(leaf).sum(axis=2) for leaf in leaves), np.zeros((draws, rows)))
        parts = (part.reshape(draws, rows) for part in (found.values, found.deltas, found.error, sizes))
        scalars = np.stack(list(parts), axis=2)
        self._evals += found.n_evals.reshape(draws, rows).sum(axis=0)
        for draw in range(draws):
            own = np.flatnonzero(keep[draw])
            self._scalars.add(own, scalars[draw, own])
            for moments, leaf in zip(self._moments, leaves, strict=True):
                values = leaf[draw, own]
                moments.add(own, values**2 if self.kind == "smoothgrad_sq" else values)

    def explanation(self, asked: dict[str, Any], rtol: float, seconds: float) -> Explanation:
        """Put the results together."""
        clean, kind = self.clean, self.kind
        shape = clean.values.shape
        known = self._scalars.count > 0
        values, deltas, integral, size = np.where(known[:, None], self._scalars.mean, np.nan).T
        results = [m.variance if kind == "vargrad" else np.where(known[:, None], m.mean, np.nan) for m in self._moments]
        spreads = [m.error_of_variance() if kind == "vargrad" else m.error_of_mean() for m in self._moments]
        norm = sum((np.abs(leaf).sum(axis=1) for leaf in results), np.zeros(len(known)))
        spread = sum((leaf.sum(axis=1) for leaf in spreads), np.zeros(len(known)))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.hypot(spread, self._carried(integral, size))
            met = error <= rtol * norm * (1 + 1e-9)
        nothing = np.zeros(0)  # there is no one path to show
        if kind != "smoothgrad":
            deltas = np.full_like(deltas, np.nan)
        return replace(
            clean,
            attributions=self._built(results),
            standard_error=self._built(spreads),
            values=np.where(known, values, clean.values.reshape(-1)).reshape(shape),
            deltas=deltas.reshape(shape),
            error=error.reshape(shape),
            n_evals=self._evals.reshape(shape),
            converged=(met & (not self.stopped)).reshape(shape),
            path_offsets=np.zeros(clean.values.size + 1, dtype=np.int64),
            path_alphas=nothing,
            path_values=nothing,
            path_slopes=nothing,
            path_weights=nothing,
            meta=self._report(asked, rtol, seconds),
        )

    def _carried(self, integral: Floats, size: Floats) -> Floats:
        """Return what the errors of the integrals do to the result, if every feature has its share of them."""
        if self.kind == "smoothgrad":
            return integral
        share = (integral / np.where(size > 0, size, 1.0))[:, None]
        total = np.zeros(len(share))
        for m in self._moments:
            squares = m.variance + m.mean**2 if self.kind == "vargrad" else m.mean
            spread = np.sqrt(m.variance * squares) if self.kind == "vargrad" else squares
            total += (2 * share * spread + share**2 * squares).sum(axis=1)
        return total

    def _built(self, leaves: list[Floats]) -> Any:
        pairs = zip(leaves, self._leaves, strict=True)
        return tree.unflatten(self._spec, [leaf.reshape(like.shape).astype(like.dtype) for leaf, like in pairs])

    def _report(self, asked: dict[str, Any], rtol: float, seconds: float) -> dict[str, Any]:
        meta = dict(self.clean.meta)
        meta |= {name: self._meta.get(name, meta.get(name)) for name in _FROM_DRAWS} if self._meta else {"notes": []}
        done = self._scalars.count
        notes = [*(meta["notes"] or []), f"F(x) is the mean over {asked['draws']} noisy copies of x"]
        if self.stopped:
            notes.append(f"stopped early: samples have between {done.min()} and {done.max()} draws")
        return meta | {
            "rtol": rtol,
            "noise": asked,
            "notes": notes,
            "seconds": round(seconds, 6),
            "model_calls": self._calls,
            "batch_rows": self._batch,
            "complete": not self.stopped,
        }
