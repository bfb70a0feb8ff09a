"""How attributions build up on the way from the baseline to the input, for the few features that matter most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pyig.contracts import Floats
from pyig.errors import InputError, missing
from pyig.explanation.arrays import freeze
from pyig.registry import Registry

_ARRAYS = ("alphas", "values", "slopes", "cumulative", "attributions", "estimates", "residual")
_SHARE = 0.01
# Strings: views stand on a higher floor than the data that they show.
_LATER = Registry("later import", {"draw": "pyig.views.buildup:buildup", "html": "pyig.views.buildup_html:fragment"})


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CumulativeAttributions:
    """The attributions of one path on the way from x' to x: one line per feature, and one for all others.

    n is the number of nodes, both ends included, m the number of lines. `IntegratedGradients.along` makes it.

    Parameters
    ----------
    names : tuple of str
        What each line is: a feature, a region of a picture, a step of a series, a word; the last one ``"17 others"``.
    others : int
        How many of them the last line gathers; 0 where each has a line of its own.
    alphas, values : float64 array, (n,)
        Places on the path, from 0 to 1, and F there; the mean over several baselines.
    slopes : float64 array, (n, m)
        What each line adds to dF/d(alpha) there. Where a run was stopped before it came to an end of the path, that
        end has the slopes of its neighbour.
    cumulative : float64 array, (n, m)
        What each line has added up to there: 0 at alpha = 0, the attribution at alpha = 1.
    attributions : float64 array, (m,)
        Those of the explanation; they add up to all of its attributions.
    estimates : float64 array, (m,)
        How far a line would end elsewhere if every second node were left out: an estimate of what the nodes leave
        unknown about it, not a bound.
    residual : float64 array, (m,)
        Attribution minus the integral of the line's slopes through the nodes. It is spread over the line where that
        moves, so that every line ends at its attribution.
    error : float
        Estimated L1 error of the explanation; NaN where it has none.
    n_evals : int
        Gradients that it took, of all baselines.
    complete : bool
        Whether every node was reached; a run that was stopped has fewer of them.
    title : str
        Which sample and target.

    Examples
    --------
    >>> import pyig
    >>> ig = pyig.IntegratedGradients(lambda x: (x**2).sum(axis=1), gradient=lambda x: 2 * x)
    >>> lines = ig.along(ig.explain(np.array([[3.0, 1.0]])), nodes=5)
    >>> lines.names, lines.alphas.tolist()
    (('x[0]', 'x[1]'), [0.0, 0.25, 0.5, 0.75, 1.0])
    >>> lines.cumulative[:, 0].round(4).tolist()
    [0.0, 0.5625, 2.25, 5.0625, 9.0]
    """

    names: tuple[str, ...]
    others: int
    alphas: Floats
    values: Floats
    slopes: Floats
    cumulative: Floats
    attributions: Floats
    estimates: Floats
    residual: Floats
    error: float
    n_evals: int
    complete: bool = True
    title: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, freeze(getattr(self, name), np.float64))
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        n, m = len(self.alphas), len(self.names)
        expected = {"values": (n,), "slopes": (n, m), "cumulative": (n, m)}
        expected |= dict.fromkeys(("attributions", "estimates", "residual"), (m,))
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"expected {name} of shape {shape}; got {getattr(self, name).shape}")
        if n < 2 or self.alphas[0] != 0 or self.alphas[-1] != 1 or np.any(np.diff(self.alphas) <= 0):
            raise InputError(f"expected alphas rising from 0 to 1; got {self.alphas!r}")

    @property
    def saturated(self) -> Floats:
        """Stretches of the path on which next to nothing happens, float64 (s, 2).

        A stretch between two neighbouring nodes is saturated where neither F nor any line moves: at both nodes
        the size of dF/d(alpha) and the steepest line, and between them the mean slope of F, are below one per cent of
        the largest of these on the path. Neighbouring stretches are given as one. None where nothing moves at all.
        """
        steep = np.maximum(np.abs(self.slopes.sum(axis=1)), np.abs(self.slopes).max(axis=1))
        rise = np.abs(np.diff(self.values) / np.diff(self.alphas))
        most = max(float(steep.max()), float(rise.max()))
        flat = np.maximum(np.maximum(steep[:-1], steep[1:]), rise) < _SHARE * most
        edges = np.diff(np.concatenate([[0], flat.astype(np.int8), [0]]))
        return np.stack([self.alphas[np.flatnonzero(edges == 1)], self.alphas[np.flatnonzero(edges == -1)]], axis=1)

    @property
    def errors(self) -> Floats:
        """Estimated error of each attribution, (m,): the larger of its estimate and of the size of its residual.

        With more nodes than the explanation had, the residual tells how far that was off; with as many, the estimate
        is the larger one. Not a bound, either way.
        """
        found: Floats = np.maximum(self.estimates, np.abs(self.residual))
        return found

    @property
    def reconciles(self) -> bool:
        """Whether the lines agree with the explanation: their residuals stay within both estimates of error.

        Else the nodes are too few for the path, or the explanation's own error is larger than estimated.
        """
        known = 0.0 if np.isnan(self.error) else self.error
        rounding = 1e-5 * float(np.abs(self.attributions).sum())
        return bool(np.abs(self.residual).sum() <= known + self.estimates.sum() + rounding)

    def at(self, alpha: float) -> Floats:
        """Return what each line has added up to at `alpha`, (m,), on a straight way between two nodes."""
        if not 0 <= alpha <= 1:
            raise InputError(f"expected alpha between 0 and 1; got {alpha!r}")
        return np.array([np.interp(alpha, self.alphas, line) for line in self.cumulative.T])

    def __repr__(self) -> str:
        partial = "" if self.complete else ", stopped early"
        spans = ", ".join(f"{a:.2g} to {b:.2g}" for a, b in self.saturated) or "nowhere"
        widest = max(map(len, self.names))
        rows = zip(self.names, self.attributions, self.errors, strict=True)
        return "\n".join(
            [f"CumulativeAttributions of {self.title}: {len(self.alphas)} nodes, {self.n_evals} gradients{partial}"]
            + [f"  {name:<{widest}}  {phi:+.4g}  (est. error {error:.1g})" for name, phi, error in rows]
            + [f"  saturated: {spans}"]
        )

    def _repr_html_(self) -> str:
        fragment: str = _LATER["html"](self)
        return fragment

    def plot(self, ax: Any = None) -> Any:
        """Draw the lines, saturated parts shaded; on the given matplotlib Axes, or in a new figure."""
        return _LATER["draw"](self, ax)

    def to_frame(self) -> Any:
        """Return a DataFrame with a row per node and line; needs pandas.

        Columns: ``alpha``, ``F``, ``feature``, ``slope``, ``cumulative``.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise missing("pandas", "CumulativeAttributions.to_frame", "frames") from error
        n, m = self.slopes.shape
        columns = {"alpha": np.repeat(self.alphas, m), "F": np.repeat(self.values, m)}
        columns |= {"feature": np.tile(np.array(self.names, dtype=object), n)}
        return pd.DataFrame(columns | {"slope": self.slopes.ravel(), "cumulative": self.cumulative.ravel()})

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON data; numbers that are not finite are None."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain |= {name: _listed(getattr(self, name)) for name in _ARRAYS}
        return plain | {"names": list(self.names), "error": _listed(self.error), "meta": json.loads(_text(self.meta))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CumulativeAttributions:
        """Return what `to_dict` made of one."""
        known = {f.name for f in fields(cls)}
        if not known <= set(data):
            raise InputError(f"expected what to_dict() gives; {', '.join(sorted(known - set(data)))} not there")
        given = {name: data[name] for name in known}
        given |= {name: np.array(data[name], dtype=np.float64) for name in (*_ARRAYS, "error")}
        return cls(**given | {"error": float(given["error"])})


def _text(value: Any) -> str:
    return json.dumps(value)


def _listed(value: Any) -> Any:
    array = np.asarray(value, dtype=np.float64)
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    return plain.tolist() if array.ndim else plain.item()
