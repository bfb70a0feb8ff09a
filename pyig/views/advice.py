"""What to change when a result is not to be trusted: a sentence, and the options of `explain` that do it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pyig.explanation import Explanation

MOST_EVALS = 65536
RIEMANN = "riemann_"


class Advice(NamedTuple):
    """One suggestion.

    Attributes
    ----------
    text : str
        What to do, and why.
    options : dict
        Options of `IntegratedGradients.explain` to set; None means to leave one out.
    """

    text: str
    options: dict[str, Any]


def advice(explanation: Explanation, i: int, k: int) -> list[Advice]:
    """List what would make one path converge, the best first; empty where there is nothing to mend."""
    meta = explanation.meta
    converged = bool(explanation.converged.reshape(len(explanation), -1)[i, k])
    if meta.get("noise") or converged:
        return []
    found = []
    steps, most = meta.get("n_steps"), meta.get("max_evals")
    if not meta.get("complete", True):
        found.append(Advice("the run was stopped early: run it again to its end", {}))
    elif meta.get("method") == "expected":
        found.append(Advice(f"{2 * int(steps or 50)} gradients instead of {steps}", {"n_steps": 2 * int(steps or 50)}))
    elif steps:
        found.append(Advice("as many gradients as the tolerance needs", {"n_steps": None, "method": "auto"}))
        if str(meta.get("method")).startswith(RIEMANN):
            found.append(Advice(f"Gauss-Legendre with {steps} nodes", {"method": "gausslegendre", "n_steps": steps}))
        found.append(Advice(f"{2 * int(steps)} nodes instead of {steps}", {"n_steps": 2 * int(steps)}))
    elif most and most < MOST_EVALS:
        found.append(Advice(f"up to {4 * int(most)} gradients instead of {most}", {"max_evals": 4 * int(most)}))
    share = float(explanation.relative_error.reshape(len(explanation), -1)[i, k])
    if math.isfinite(share) and 0 < share < 0.25 and meta.get("rtol"):
        # One digit, rounded up: half of all tolerances rounded to the nearest would still be missed.
        unit = 10.0 ** math.floor(math.log10(1.02 * share))
        enough = math.ceil(1.02 * share / unit) * unit
        if enough > meta["rtol"]:
            found.append(
                Advice(f"a tolerance of {enough:g}, if that is enough for you", {"rtol": float(f"{enough:g}")})
            )
    return found
