"""Captum's quadrature to the digit, for results that must be those of earlier runs.

Two things differ from a correct rule. The trapezoid has nodes 1/(n - 1) apart and weights of 1/n, so that its weights
sum to (n - 1)/n. And weights, and the nodes of the Riemann sums, are rounded to float32. How they are added up is in
`old_sums`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pyig.errors import InputError, InputTypeError, unknown
from pyig.quadrature import Rule, make_rule

METHODS = ("gausslegendre", "riemann_left", "riemann_middle", "riemann_right", "riemann_trapezoid")


def check_quirks(quirks: Any) -> str | None:
    """Return None for right numbers, or ``"captum"``."""
    if quirks not in (None, "captum"):
        raise unknown("quirks", quirks, ["captum"])
    return "captum" if quirks == "captum" else None


def rule_of(method: Any, n_steps: Any, quirks: str | None) -> Rule:
    """Return the rule of a call by Captum's names.

    Examples
    --------
    >>> rule_of("riemann_trapezoid", 4, None).weights.sum().round(12)
    np.float64(1.0)
    >>> rule_of("riemann_trapezoid", 4, "captum").weights
    array([0.125, 0.25 , 0.25 , 0.125])
    """
    if isinstance(n_steps, bool) or not isinstance(n_steps, (int, np.integer)) or n_steps < 1:
        raise InputError(f'expected n_steps= as a whole number of at least 1, or "auto"; got {n_steps!r}')
    if not isinstance(method, str):
        raise InputTypeError(f"expected method= as a name; got {type(method).__qualname__}")
    rule = make_rule(method, int(n_steps))
    if quirks is None:
        return rule
    if method not in METHODS:
        raise InputError(f'expected one of Captum\'s rules with quirks="captum"; got method={method!r}')
    if method == "gausslegendre":  # as numpy has them, which differ from more exact ones in the last digit
        places, widths = np.polynomial.legendre.leggauss(int(n_steps))
        nodes, weights = 0.5 * (1 + places), 0.5 * widths
    else:
        nodes = _riemann_nodes(method, int(n_steps))
        weights = np.full(len(nodes), 1 / n_steps)
        if method == "riemann_trapezoid":
            weights[[0, -1]] /= 2
    return Rule(method, nodes, _single(weights), np.full(len(nodes), np.nan), rule.degree)


def _riemann_nodes(method: str, n: int) -> Any:
    first, last = {
        "riemann_left": (0.0, 1 - 1 / n),
        "riemann_right": (1 / n, 1.0),
        "riemann_middle": (1 / (2 * n), 1 - 1 / (2 * n)),
        "riemann_trapezoid": (0.0, 1.0),
    }[method]
    # As torch rounds them, which numpy does not in the last digit.
    return torch.linspace(first, last, n, dtype=torch.float32).to(torch.float64).numpy()


def _single(numbers: Any) -> Any:
    return numbers.astype(np.float32).astype(np.float64)
