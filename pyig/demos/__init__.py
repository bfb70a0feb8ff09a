"""What `pyig demo` shows: a small network fitted on the spot and explained, with whichever framework is installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.errors import MissingPackageError, missing
from pyig.registry import Registry

TRAINERS = Registry(
    "framework",
    {"torch": "pyig.demos.torch:TorchTrainer", "tensorflow": "pyig.demos.tensorflow:KerasTrainer"},
)


@dataclass(frozen=True)
class Recipe:
    """How a network is fitted by AdamW; the same in every framework."""

    epochs: int
    batch: int
    rate: float
    decay: float


RISK = Recipe(epochs=60, batch=1000, rate=0.01, decay=0.5)  # 227 patients are few: one batch, and much decay
DIGITS = Recipe(epochs=12, batch=64, rate=0.003, decay=0.05)


class Trainer(Protocol):
    """One framework's way to fit the two networks; the same seed gives the same network on the same machine."""

    label: str

    def risk(self, x: NDArray[np.float32], y: NDArray[np.float32], seed: int) -> Any:
        """Fit ``x (N, D) in the table's own units -> probability (N, 1)``; the network standardises inside."""
        ...

    def digits(self, images: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> Any:
        """Fit ``images (N, 8, 8) -> logits (N, 10)``."""
        ...

    def predict(self, model: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's outputs as numpy."""
        ...


def choose_trainer(framework: str | None = None) -> Trainer:
    """Return the trainer of a framework; of the first one that can be imported where none is named.

    Raises
    ------
    InputError
        The framework is unknown.
    MissingPackageError
        The framework, or every framework, is not installed.
    """
    for name in [framework] if framework else TRAINERS:
        try:
            trainer: Trainer = TRAINERS[name]()
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("pyig"):
                raise
            continue
        return trainer
    if framework:
        raise missing(framework, f"pyig demo --framework {framework}", framework)
    raise MissingPackageError(
        "pyig demo needs PyTorch or TensorFlow; "
        'install one with: pip install "pyig-explain[torch]" (or "pyig-explain[tensorflow]")'
    )
