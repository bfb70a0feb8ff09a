"""What a tunnel asks of its explainer: the same call again and again, on inputs that differ by noise alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pyig import tree
from pyig.baselines import several
from pyig.calling import call_spec, static
from pyig.contracts import Backend, Ints, Tensor
from pyig.explanation import Explanation
from pyig.integrate.inputs import Inputs
from pyig.sampling.noise import Noise
from pyig.targets import Target


class Explainer(Protocol):
    """What a tunnel goes through: `pyig.IntegratedGradients`."""

    def backend_for(self, x: Any) -> Backend:
        """Return the backend that serves the model on such an input."""
        ...

    def explain(self, x: Any, baselines: Any = None, target: Any = None, **options: Any) -> Explanation:
        """Explain the model's output for each sample."""
        ...

    def starts(self, inputs: Inputs, baselines: Any, rng: np.random.Generator, layer: Any = None) -> list[list[Tensor]]:
        """Return the baselines of an input, each as one tensor per leaf; what does not move is its own."""
        ...


@dataclass(frozen=True)
class Request:
    """One call for many draws: a row for each draw, sample and target.

    Attributes
    ----------
    starts : list of list of tensor
        Baselines, each as one tensor per leaf, found from the input without noise.
    target : object
        As the explainer takes it; an array has one entry per sample, or (N, K) for K results each.
    contrast : object
        As the explainer takes it.
    options : dict
        What is passed on as it is.
    """

    inputs: Inputs
    starts: list[list[Tensor]]
    target: Any
    contrast: Any
    options: dict[str, Any]

    @property
    def targets(self) -> int:
        """K, the number of results of a sample."""
        return self.target.shape[1] if isinstance(self.target, np.ndarray) and self.target.ndim == 2 else 1

    def send(self, explainer: Explainer, noise: Noise, draws: Ints, **options: Any) -> Explanation:
        """Explain the draws of these numbers; result rows come draw by draw, sample by sample, target by target."""
        inputs, backend = self.inputs, self.inputs.backend
        rows = np.tile(np.repeat(np.arange(inputs.samples), self.targets), len(draws))
        spec = call_spec(inputs.spec)
        alone = spec.kind == "leaf"
        starts = [[self._rows(leaf, rows) for leaf in start] for start in self.starts]
        kwargs = {key: backend.take(value, rows) for key, value in inputs.batched.items()}
        kwargs |= {key: static(value) for key, value in inputs.shared.items()}
        return explainer.explain(
            tree.unflatten(spec, noise.leaves(draws, self.targets)),
            several([start[0] if alone else start for start in starts]),
            self._each(self.target, rows, len(draws)),
            contrast=self._each(self.contrast, rows, len(draws)),
            forward_kwargs=kwargs or None,
            **self.options,
            **options,
        )

    def _rows(self, leaf: Tensor, rows: Ints) -> Tensor:
        return leaf if int(leaf.shape[0]) == 1 else self.inputs.backend.take(leaf, rows)

    def _each(self, target: Any, rows: Ints, draws: int) -> Any:
        if not isinstance(target, np.ndarray):
            return target
        return np.tile(target.reshape(-1), draws) if self.targets > 1 and target is self.target else target[rows]


def plain(target: Any, parsed: Target) -> Any:
    """Return a target that has one entry per sample as an array, and any other as it is."""
    return parsed.index if parsed.kind == "each" else target
