"""Integrals from 0 to every node, of curves that are known at the nodes alone.

Between two nodes a curve is a cubic that rises and falls with its values only (Fritsch, Carlson 1980), so that a kink
is not answered with a swing. Of a probability the log-odds are interpolated: p' = sigma'(s) s', and sigma'(s) is often
a spike between two nodes at which it is nothing.
"""

from __future__ import annotations

import numpy as np

from pyig.contracts import Floats
from pyig.quadrature import sigmoid_slope

_PLAIN, _SPIKED = 2, 48  # Gauss points of a cell: exact for cubics, and enough for a rise of the log-odds by some 40


def running(alphas: Floats, curves: Floats, odds: Floats | None = None, steep: Floats | None = None) -> Floats:
    """Return what each curve adds between its nodes, float64 (n - 1, m).

    Parameters
    ----------
    alphas : float64 (n,)
        Nodes, ascending.
    curves : float64 (n, m)
        The derivatives to integrate, at the nodes; of log-odds, where those are given.
    odds, steep : float64 (n,), optional
        Log-odds and their derivative at the nodes.

    Examples
    --------
    >>> alphas = np.linspace(0, 1, 5)
    >>> running(alphas, alphas[:, None]).sum(axis=0)
    array([0.5])
    """
    gaps = np.diff(alphas)
    places, weights = np.polynomial.legendre.leggauss(_PLAIN if odds is None else _SPIKED)
    t, weights = (places + 1) / 2, weights / 2
    bases = _hermite(t)  # (4, g)
    tangents = _tangents(gaps, curves)
    wide = gaps[:, None]
    ends = np.stack([curves[:-1], wide * tangents[:-1], curves[1:], wide * tangents[1:]])
    mass = np.broadcast_to(weights, (len(gaps), len(weights)))
    if odds is not None and steep is not None:
        level = np.stack([odds[:-1], gaps * steep[:-1], odds[1:], gaps * steep[1:]])
        mass = weights * sigmoid_slope(np.einsum("bc,bg->cg", level, bases))
    share = np.einsum("bg,cg->bc", bases, mass)
    found: Floats = wide * np.einsum("bc,bcm->cm", share, ends)
    return found


def _hermite(t: Floats) -> Floats:
    """Return the four cubics of a cell: value and slope at its left end, value and slope at its right."""
    return np.stack([(1 + 2 * t) * (1 - t) ** 2, t * (1 - t) ** 2, t**2 * (3 - 2 * t), t**2 * (t - 1)])


def _tangents(gaps: Floats, curves: Floats) -> Floats:
    """Return slopes at the nodes that let no cubic leave the range of its two ends."""
    rise = np.diff(curves, axis=0) / gaps[:, None]
    if len(gaps) == 1:
        return np.repeat(rise, 2, axis=0)
    left, right, near, far = rise[:-1], rise[1:], gaps[:-1, None], gaps[1:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = 3 * (near + far) / ((2 * far + near) / left + (far + 2 * near) / right)
    inner = np.where(left * right > 0, mean, 0.0)
    # At the ends: that of the parabola through three nodes, as far as it stays in range.
    ends = []
    for first, second, h, g in ((rise[0], rise[1], gaps[0], gaps[1]), (rise[-1], rise[-2], gaps[-1], gaps[-2])):
        slope = ((2 * h + g) * first - h * second) / (h + g)
        slope = np.where(slope * first <= 0, 0.0, slope)
        over = (first * second < 0) & (np.abs(slope) > 3 * np.abs(first))
        ends.append(np.where(over, 3 * first, slope))
    return np.concatenate([ends[0][None], inner, ends[1][None]])
