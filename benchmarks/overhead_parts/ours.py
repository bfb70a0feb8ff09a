"""pyig as a user calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyig
from overhead_parts.models import Case


def ours(case: Case, n: int) -> Callable[[], Any]:
    explainer = pyig.IntegratedGradients(case.model)
    return lambda: explainer.attribute(case.x, target=case.target, n_steps=n, method="gausslegendre", progress=False)
