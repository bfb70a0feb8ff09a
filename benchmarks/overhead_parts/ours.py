"""pyig as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyig
from overhead_parts.models import Case


def ours(case: Case, n: int) -> Callable[[], Any]:
    explainer = pyig.IntegratedGradients(case.model)
    return lambda: explainer.attribute(case.x, target=case.target, n_steps=n, method="gausslegendre", progress=False)


def adaptive(case: Case, rtol: float = 0.05) -> tuple[Callable[[], Any], int]:
    """Return a call by the adaptive method, and how many gradients it takes."""
    explainer = pyig.IntegratedGradients(case.model)
    options = {"target": case.target, "rtol": rtol, "method": "adaptive", "progress": False}
    taken = int(explainer.explain(case.x, **options).n_evals.sum())
    return lambda: explainer.attribute(case.x, **options), taken
