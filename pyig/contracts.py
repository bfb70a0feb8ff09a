"""The Protocols that a contributor meets: Backend, Head, Prefix, Rows, Split, View.

Shapes: R rows of one model call, N samples, P paths (sample x target x baseline), L weight rows, C outputs per row.
A *tensor* is whatever the framework uses; a *leaf* is one tensor of the user's input structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pyig.tree import Spec

Tensor = Any
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Head(Protocol):
    """The scalar F of a row of model outputs, and its cotangent dF/d(outputs)."""

    def __call__(self, ops: Backend, outputs: Tensor, index: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return values (R,) and the cotangent, shaped like outputs; `index` holds the flat target indices (R,)."""
        ...


class Forward(Protocol):
    """The model as a function of the path's points; hashable, so that a backend may cache what it compiles."""

    def __call__(self, points: Sequence[Tensor], fixed: Sequence[Tensor]) -> Tensor:
        """Return outputs with one row per row of the points; `fixed` are tensors that do not move on the path."""
        ...


class Split(Protocol):
    """A model cut at a layer: what comes before runs once per sample, what comes after once per node."""

    spec: Spec
    """Structure of the layer's values: one leaf, or a tuple of them."""
    note: str | None
    """What the user should know, when the cut could not save the layers before (shown in ``Explanation.meta``)."""

    def before(self, x: Any, batched: dict[str, Tensor], shared: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
        """Run up to the layer without gradients: its values, and the context that bypasses it (both with N rows).

        Keyword arguments come in two parts: those with one row per sample, and those passed through as they are.
        """
        ...

    def after(self, points: Sequence[Tensor], context: Sequence[Tensor]) -> Any:
        """Run the rest, differentiable in the points; return the model's raw output."""
        ...


class Prefix(Protocol):
    """A model cut behind its affine part: the path is straight at the cut too, and runs there."""

    @property
    def macs_per_row(self) -> float:
        """Multiply-adds per row that the cut saves."""
        ...

    @property
    def share(self) -> float:
        """Share of the model's multiply-adds that the cut saves."""
        ...

    @property
    def frontier_floats(self) -> int:
        """Elements per row of the tensor at the cut."""
        ...

    def forward(self, points: Sequence[Tensor], fixed: Sequence[Tensor]) -> Tensor:
        """Return the frontier for the points, without a gradient."""
        ...

    def suffix(self, frontier: Tensor, fixed: Sequence[Tensor]) -> Tensor:
        """Return the explained outputs for rows of the frontier, differentiable."""
        ...

    def pullback(self, points: Sequence[Tensor], fixed: Sequence[Tensor], gradient: Tensor) -> list[Tensor]:
        """Return the gradient with respect to the points for one with respect to the frontier."""
        ...


class Backend(Protocol):
    """One framework: tensors, model calls, gradients, and the few operations that the heads and device rows need."""

    name: str

    @staticmethod
    def owns(model: object, leaves: Sequence[object]) -> bool:
        """Tell whether this framework made the model, or (for a plain callable) the tensors of the input."""
        ...

    # --- the model ---------------------------------------------------------------------------------------------
    def session(self) -> AbstractContextManager[None]:
        """Freeze parameters and guard state for one call; restore everything on the way out, also on an error."""
        ...

    def call(self, x: Any, kwargs: dict[str, Any]) -> Any:
        """Call the model on a structure the way its framework does (a dict as keywords, or as one argument)."""
        ...

    def is_tensor(self, value: object) -> bool:
        """Tell whether a value can be the output that is explained."""
        ...

    def gives_probabilities(self) -> bool | None:
        """Tell whether the model's last step is a softmax or sigmoid; None where the graph does not show it."""
        ...

    def value(self, forward: Forward, points: Sequence[Tensor], fixed: Sequence[Tensor]) -> Tensor:
        """Return the model's outputs for the points, without a gradient."""
        ...

    def value_and_grad(
        self,
        forward: Forward,
        points: Sequence[Tensor],
        fixed: Sequence[Tensor],
        head: Head,
        index: Sequence[Tensor],
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return F per row (R,) and dF/d(points), by one forward and one VJP; None for a point that is not used.

        Raises `pyig.errors.ModelError` when the outputs do not depend on the points by differentiable operations.
        """
        ...

    def values_and_grads(
        self,
        forward: Forward,
        points: Sequence[Tensor],
        fixed: Sequence[Tensor],
        head: Head,
        indices: Sequence[Sequence[Tensor]],
    ) -> list[tuple[Tensor, list[Tensor | None]]]:
        """Return what `value_and_grad` does for each of several targets, from one forward where that is possible."""
        ...

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Tell whether an exception means that a smaller batch may succeed."""
        ...

    def release_memory(self) -> None:
        """Hand cached device memory back, called after an out-of-memory error."""
        ...

    # --- tensors -----------------------------------------------------------------------------------------------
    def asarray(self, x: Any) -> Tensor:
        """Return a detached tensor: a tensor as it is, a numpy array on the model's device (floats in its dtype)."""
        ...

    def to_numpy(self, tensor: Tensor) -> NDArray[Any]:
        """Copy (on the host: view) a tensor as numpy; a dtype numpy lacks becomes float32."""
        ...

    def from_numpy(self, array: NDArray[Any], like: Tensor) -> Tensor:
        """Return the array as a tensor on the device of `like`, a view where the framework can share host memory."""
        ...

    def on_host(self, tensor: Tensor) -> bool:
        """Tell whether the tensor is float32 or float64 in host memory, so that the compiled rows can serve it."""
        ...

    def is_floating(self, tensor: Tensor) -> bool:
        """Tell whether gradients can flow to this tensor."""
        ...

    def take(self, tensor: Tensor, rows: Ints) -> Tensor:
        """Return the given rows (axis 0) as a new tensor."""
        ...

    def device_label(self, tensor: Tensor) -> str:
        """Return where the tensor lives, for the report: ``"cpu"``, ``"cuda:0"``."""
        ...

    # --- operations for heads (flat outputs are (R, C)) ------------------------------------------------------------
    def flat(self, outputs: Tensor) -> Tensor:
        """Reshape outputs to (R, C)."""
        ...

    def reshape_like(self, flat: Tensor, outputs: Tensor) -> Tensor:
        """Undo `flat`."""
        ...

    def pick(self, flat: Tensor, index: Tensor) -> Tensor:
        """Return ``flat[r, index[r]]``, shape (R,)."""
        ...

    def one_hot(self, index: Tensor, like: Tensor) -> Tensor:
        """Return zeros shaped like a flat tensor with a one at ``[r, index[r]]``."""
        ...

    def softmax(self, flat: Tensor) -> Tensor:
        """Softmax over the last axis."""
        ...

    def logsumexp(self, flat: Tensor) -> Tensor:
        """Log-sum-exp over the last axis, shape (R,)."""
        ...

    def with_zero_column(self, flat: Tensor) -> Tensor:
        """Return (R, 1) logits as the (R, 2) logits ``[0, z]`` of the same binary model."""
        ...

    def log(self, tensor: Tensor) -> Tensor:
        """Elementwise natural logarithm."""
        ...

    def custom_head(self, function: Callable[[Tensor], Tensor], outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``function(outputs)`` (R,) and its gradient with respect to the outputs."""
        ...

    # --- operations for device rows ----------------------------------------------------------------------------
    def wide_zeros(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Return zeros in the widest float that the device of `like` has."""
        ...

    def scatter_add(self, total: Tensor, slots: Tensor, rows: Tensor) -> Tensor:
        """Return `total` with ``total[slots[r]] += rows[r]``; in place where the framework allows."""
        ...

    def put(self, total: Tensor, slots: Tensor, rows: Tensor) -> Tensor:
        """Return `total` with ``total[slots[r]] = rows[r]``; in place where the framework allows."""
        ...

    def concat(self, tensors: Sequence[Tensor]) -> Tensor:
        """Join tensors along the first axis."""
        ...

    def reshape(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the tensor in another shape."""
        ...

    def row_sum(self, tensor: Tensor) -> Tensor:
        """Sum over every axis but the first, in the widest float of the device, shape (R,)."""
        ...

    def cast_like(self, tensor: Tensor, like: Tensor) -> Tensor:
        """Return the tensor in the dtype of `like`."""
        ...


class Rows(Protocol):
    """Where the points and the gradient rows of the open paths live, and how they are combined."""

    def points(self, paths: Ints, alphas: Floats) -> list[Tensor]:
        """Return x' + alpha (x - x') for every (path, alpha) pair, one tensor per leaf; a buffer that is used again."""
        ...

    def add(self, grads: Sequence[Tensor | None], paths: Ints, weights: Floats) -> Floats:
        """Add weighted gradient rows to their paths; return the slopes dF/d(alpha) per leaf and row.

        `weights` has shape (L, R); the result has shape (leaves, R).
        """
        ...

    def finish(self, paths: Ints, scales: Floats) -> None:
        """Close paths: their integrals times (x - x') and times their scale join their results; slots are freed."""
        ...

    def results(self) -> list[list[Tensor]]:
        """Return the results as [leaf][weight row], shape (results, ...), in the accumulators' dtype."""
        ...

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return per result: the sum, the L1 norm, and the L1 distance of the first two weight rows."""
        ...


@dataclass(frozen=True)
class Combinations:
    """Linear combinations of kept gradient rows, C of them, in compressed form.

    Attributes
    ----------
    paths : int64 (C,)
        The path of each combination.
    with_total : bool (C,)
        Whether the path's total is part of it.
    indptr : int64 (C + 1,)
        Where the terms of each begin.
    slots, coefficients : int64, float64
        The rows and their factors.
    """

    paths: Ints
    with_total: NDArray[np.bool_]
    indptr: Ints
    slots: Ints
    coefficients: Floats


class Cells(Protocol):
    """Rows for the adaptive scheme: they stay until the planner knows their weights."""

    def points(self, paths: Ints, alphas: Floats) -> list[Tensor]:
        """Return x' + alpha (x - x'), as in `Rows`."""
        ...

    def slopes(self, grads: Sequence[Tensor | None], paths: Ints) -> Floats:
        """Return dF/d(alpha) per leaf and row."""
        ...

    def keep(self, grads: Sequence[Tensor | None], slots: Ints) -> None:
        """Copy gradient rows to the slots that the planner gave them."""
        ...

    def measure(self, wanted: Combinations) -> Floats:
        """Return the L1 norms (C,) of combinations times (x - x'), summed over the leaves."""
        ...

    def fold(self, wanted: Combinations) -> None:
        """Add combinations to the totals of their paths."""
        ...

    def finish(self, paths: Ints, scales: Floats) -> None:
        """Close paths, as in `Rows`."""
        ...

    def results(self) -> list[list[Tensor]]:
        """Return the results, as in `Rows`."""
        ...

    def norms(self) -> tuple[Floats, Floats, Floats]:
        """Return the norms, as in `Rows`."""
        ...


class View(Protocol):
    """A picture or text of an Explanation; it sees nothing but the Explanation."""

    def __call__(self, explanation: Any, **options: Any) -> Any:
        """Return a string, or a matplotlib figure."""
        ...
