"""Integration where only gradients are known along the path: rules of rising size, until error and gap are small."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.contracts import Floats, Ints
from pyig.errors import InputError, ModelError
from pyig.explanation import Explanation
from pyig.quadrature import make_rule

_ROWS = 256
_FLOOR = 0.01

Structure = Mapping[str, NDArray[Any]]


class Gradients:
    """Paths between two structures of arrays, with gradients for each output.

    Parameters
    ----------
    gradients : callable
        From points to a list of gradients by output.
    x, start : dict of array (N, ...)
    index : int64 (N, K)
        The outputs asked for.
    rows : int
        Points of one call; 0 for as many as usually pay.
    """

    def __init__(
        self,
        gradients: Callable[[Structure], Sequence[Structure]],
        x: Structure,
        start: Structure,
        index: Ints,
        rows: int = 0,
    ) -> None:
        self._gradients, self._x, self._start, self._index = gradients, x, start, index
        self._rows = rows or _ROWS

    def explain(
        self, values: Floats, starts: Floats, targets: Ints | None, options: Mapping[str, Any], names: Any
    ) -> Explanation:
        """Refine every row until it is good enough; see `package_second`."""
        rtol, most = float(options["rtol"]), int(options["max_evals"])
        method, fixed = str(options.get("method", "gausslegendre")), options.get("n_steps")
        n, k = self._index.shape
        phi = {name: np.zeros((n, k, *leaf.shape[1:])) for name, leaf in self._x.items()}
        error, spent = np.full((n, k), np.nan), np.zeros(n, np.int64)
        converged = np.zeros((n, k), bool)
        open_rows, size = np.arange(n), int(fixed or min(int(options["first"]), most))
        while True:
            whole, half = self._sums(open_rows, make_rule(method, size))
            for name in phi:
                phi[name][open_rows] = whole[name]
            spent[open_rows] += size
            gap = _total(whole) - (values - starts)[open_rows]
            norm = _norm(whole)
            error[open_rows] = np.maximum(_norm({name: whole[name] - half[name] for name in whole}), np.abs(gap))
            with np.errstate(invalid="ignore"):
                good = error[open_rows] <= rtol * norm
            converged[open_rows] = good
            open_rows = open_rows[~good.all(axis=1)]
            if fixed or not len(open_rows) or 2 * size > most:
                break
            size *= 2
        one = k == 1
        return Explanation(
            attributions={name: (p[:, 0] if one else p).astype(self._x[name].dtype) for name, p in phi.items()},
            inputs=dict(self._x),
            baselines=dict(self._start),
            values=_narrow(values),
            baseline_values=_narrow(starts),
            deltas=_narrow(_total(phi) - (values - starts)),
            error=_narrow(error),
            n_evals=_narrow(np.repeat(spent[:, None], k, axis=1)),
            converged=_narrow(converged),
            targets=None if targets is None else _narrow(targets),
            output_names=names,
            path_offsets=np.zeros(n * k + 1, np.int64),
            path_alphas=np.zeros(0),
            path_values=np.zeros(0),
            path_slopes=np.zeros(0),
            path_weights=np.zeros(0),
            meta={
                "method": method,
                "n_steps": fixed,
                "rtol": rtol,
                "max_evals": None if fixed else most,
                "backend": "package",
                "n_baselines": 1,
                "complete": True,
                "notes": ["F along the path is not known: the package gives gradients alone"],
            },
        )

    def _sums(self, rows: Ints, rule: Any) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Integrate some rows by the rule, and by the one on every second node: (R, K, ...) each."""
        k = self._index.shape[1]
        totals = [{name: np.zeros((len(rows), k, *leaf.shape[1:])) for name, leaf in self._x.items()} for _ in "ab"]
        size = len(rule.nodes)
        pairs = np.arange(len(rows) * size)
        for first in range(0, len(pairs), self._rows):
            row, node = np.divmod(pairs[first : first + self._rows], size)
            grads = self._at(rows[row], rule.nodes[node])
            for total, weights in zip(totals, (rule.weights, rule.half_weights), strict=True):
                for name, grad in grads.items():
                    np.add.at(total[name], row, grad * weights[node].reshape(-1, *[1] * (grad.ndim - 1)))
        for total in totals:
            for name, part in total.items():
                change = self._x[name][rows].astype(np.float64) - self._start[name][rows]
                part *= change[:, None]
        return totals[0], totals[1]

    def _at(self, rows: Ints, alphas: Floats) -> dict[str, Floats]:
        """Return the gradients of the outputs asked for, (R, K, ...)."""
        points = {}
        for name, leaf in self._x.items():
            first = self._start[name][rows].astype(np.float64)
            step = alphas.reshape(-1, *[1] * (leaf.ndim - 1))
            points[name] = (first + step * (leaf[rows] - first)).astype(leaf.dtype)
        found = self._gradients(points)
        wanted = self._index[rows]
        if wanted.size and wanted.max() >= len(found):
            raise ModelError(
                f"expected compute_gradients() to return a dict for each output; output {int(wanted.max())} was asked "
                f"for and it returned {len(found)}"
            )
        out = {}
        for name, point in points.items():
            stacked = [self._checked(one, name, point.shape) for one in found]
            out[name] = np.stack(
                [np.stack(stacked)[wanted[:, j], np.arange(len(rows))] for j in range(wanted.shape[1])], axis=1
            )
        return out

    def _checked(self, gradients: Structure, name: str, shape: tuple[int, ...]) -> Floats:
        if name not in gradients or gradients[name] is None:
            raise ModelError(
                f"expected compute_gradients() to give a gradient for {name!r}; it gives "
                f"{', '.join(map(str, gradients)) or 'none'}. The output may not depend on it by differentiable steps"
            )
        array = np.asarray(gradients[name])
        if array.dtype == object or array.shape != shape:
            raise ModelError(
                f"expected compute_gradients() to give shape {shape} for {name!r}; got {array.dtype} {array.shape}"
            )
        if not np.isfinite(array).all():
            raise InputError(f"expected finite gradients for {name!r}; compute_gradients() gives NaN or infinity")
        return array.astype(np.float64)


def _total(phi: Mapping[str, Floats]) -> Floats:
    return np.asarray(sum(part.reshape(*part.shape[:2], -1).sum(axis=2) for part in phi.values()))


def _norm(phi: Mapping[str, Floats]) -> Floats:
    return np.asarray(sum(np.abs(part).reshape(*part.shape[:2], -1).sum(axis=2) for part in phi.values()))


def _narrow(array: Any) -> Any:
    return array[:, 0] if array.shape[1] == 1 else array
