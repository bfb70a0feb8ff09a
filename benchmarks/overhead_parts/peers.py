"""Other libraries at the same number of gradients; each is asked for in the way that its documentation shows.

`peers(case, n)` gives the installed ones that can take the case, as functions without arguments.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from overhead_parts.models import Case

Call = Callable[[], Any]


def captum(case: Case, n: int, batch: int | None = None) -> Call:
    from captum.attr import IntegratedGradients

    explainer = IntegratedGradients(case.model)
    return lambda: explainer.attribute(
        case.x, target=case.target, n_steps=n, method="gausslegendre", internal_batch_size=batch
    )


def saliency(case: Case, n: int) -> Call:
    """One sample a call: its interface knows no batch."""
    import saliency.core as core

    def gradients(points: Any, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, Any]:
        leaf = torch.as_tensor(points, dtype=torch.float32).requires_grad_()
        (grad,) = torch.autograd.grad(case.model(leaf)[:, case.target].sum(), leaf)
        return {core.INPUT_OUTPUT_GRADIENTS: grad.numpy()}

    explainer, rows = core.IntegratedGradients(), case.x.numpy()
    return lambda: [explainer.GetMask(row, gradients, x_steps=n, x_baseline=row * 0, batch_size=n) for row in rows]


def shap(case: Case, n: int) -> Call:
    from shap import GradientExplainer

    explainer = GradientExplainer(case.model, case.x[:1] * 0)
    return lambda: explainer.shap_values(case.x, nsamples=n)


def alibi(case: Case, n: int) -> Call:
    """The same layers and sizes in Keras: alibi has no other backend."""
    import keras

    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from alibi_peer import peer

    sizes = [module.out_features for module in case.model if isinstance(module, torch.nn.Linear)]
    layers = [keras.layers.Dense(size, "relu" if size != sizes[-1] else None) for size in sizes]
    model = keras.Sequential([keras.Input(case.x.shape[1:]), *layers])
    explainer = peer().IntegratedGradients(model, n_steps=n, internal_batch_size=len(case.x) * n)
    x = case.x.numpy()
    return lambda: explainer.explain(x, baselines=x * 0, target=[case.target] * len(x))


def peers(short: str, case: Case, n: int) -> dict[str, Call]:
    """Return what is installed; on small models all of them, on images those that take a batch of torch tensors."""
    found: dict[str, Call] = {}
    wanted = {"saliency": saliency, "shap": shap, "alibi": alibi} if short == "mlp" else {"shap": shap}
    for name, make in wanted.items():
        if importlib.util.find_spec(name) is not None:
            found[name] = make(case, n)
    return found
