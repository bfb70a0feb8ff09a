"""The projection that a user writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pyig.errors import InputError, InputTypeError
from pyig.projections.contract import Encoded, Feature, label_of
from pyig.projections.tokens import baselines_like, texts


class Function:
    """A function of the user's: ``function(attributions, inputs, baselines)`` gives features by name.

    Parameters
    ----------
    function : callable
        Takes attributions (N, ...), and the tensor at x and at x' (N, ...). Returns a dict from names to attributions
        (N,) or (N, T), or to pairs of those and the user's values. With several targets it is asked for each.

    Raises
    ------
    InputError
        Where it loses attributions, or invents some: the sum of every sample must stay.
    """

    def __init__(self, function: Callable[..., Mapping[str, Any]]) -> None:
        if not callable(function):
            raise InputTypeError(f"expected a function; got {type(function).__qualname__}")
        self.function = function

    def __call__(self, encoded: Encoded) -> Mapping[str, Feature]:
        """Ask the function for each target, and put its answers side by side."""
        answers = []
        for k in range(encoded.attributions.shape[1]):
            answer = self.function(encoded.attributions[:, k], encoded.inputs, encoded.baselines)
            if not isinstance(answer, Mapping):
                raise InputTypeError(
                    f"expected the projection of {label_of(encoded)!r} to return a dict of features; "
                    f"got {type(answer).__qualname__}"
                )
            answers.append({str(name): _pair(part) for name, part in answer.items()})
        names = list(answers[0])
        if any(list(answer) != names for answer in answers):
            raise InputError("expected a projection that gives every target the same features")
        return {name: _feature(name, [answer[name] for answer in answers], len(encoded.inputs)) for name in names}


def _pair(part: Any) -> tuple[Any, Any]:
    if isinstance(part, tuple):
        if len(part) != 2:
            raise InputError(f"expected attributions, or (attributions, values); got a tuple of {len(part)}")
        return np.asarray(part[0], np.float64), texts(part[1])
    phi = np.asarray(part, np.float64)
    return phi, np.full(phi.shape, np.nan)


def _feature(name: str, pairs: list[tuple[Any, Any]], samples: int) -> Feature:
    values = pairs[0][1]
    for phi, _ in pairs:
        if phi.ndim == 0 or len(phi) != samples or phi.shape != values.shape:
            raise InputError(
                f"expected attributions of {name!r} of shape ({samples},) or ({samples}, T), and values of the same; "
                f"got {phi.shape} and {values.shape}"
            )
    # A function says nothing of the baseline: an unknown number, or no text.
    start = baselines_like(values, None if values.dtype.kind == "U" else np.nan)
    return Feature(np.stack([phi for phi, _ in pairs], axis=1), values, start)
