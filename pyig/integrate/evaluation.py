"""One model call of the loop: points, gradients, and what is checked about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyig.contracts import Backend, Cells, Floats, Forward, Head, Ints, Rows, Tensor
from pyig.errors import InputError, NonFiniteError
from pyig.integrate.batching import Sizer
from pyig.integrate.monitor import Monitor
from pyig.rows import Ends, Pullback

Pairs = tuple[Ints, Floats]
Found = list[tuple[Tensor, list[Tensor | None]]]


@dataclass(frozen=True)
class Paths:
    """The paths of one block of samples.

    Attributes
    ----------
    ends : Ends
        Baseline and input rows of every path.
    fan : int64 (K, T)
        The paths that share their points: row k holds target k's path of each of the T trunks.
    fixed : list of tensor
        Tensors that do not move, one row per row of ``ends.stop``.
    index : list of int64 (P,)
        Flat target index of each path, and the contrast's where there is one.
    names : list of str
        Names of the leaves, for error messages.
    samples : int64 (P,)
        The sample that each path belongs to, counted over the whole call.
    pullback : Pullback or None
        The way back to the inputs, for paths behind the model's affine prefix.
    """

    ends: Ends
    fan: Ints
    fixed: list[Tensor]
    index: list[Ints]
    names: list[str]
    samples: Ints
    pullback: Pullback | None = None

    def __len__(self) -> int:
        return len(self.ends.stop_rows)

    def of_results(self, results: Ints) -> Paths:
        """Return the paths of some results, renumbered, as a block without targets that share their points."""
        place = np.full(self.ends.results, -1, dtype=np.int64)
        place[results] = np.arange(len(results))
        own = np.flatnonzero(place[self.ends.result_rows] >= 0)
        own = own[np.argsort(place[self.ends.result_rows[own]], kind="stable")]
        return replace(
            self,
            ends=self.ends.of(own, place),
            fan=np.arange(len(own))[None],
            index=[flat[own] for flat in self.index],
            samples=self.samples[own],
            pullback=None if self.pullback is None else replace(self.pullback, ends=self.pullback.ends.of(own, place)),
        )


@dataclass(frozen=True)
class Evaluator:
    """The model with everything about a call that does not change from batch to batch.

    Attributes
    ----------
    record : bool
        Whether F and its slope at every node are wanted afterwards.
    """

    backend: Backend
    forward: Forward
    head: Head
    sizer: Sizer
    monitor: Monitor
    nan_policy: str
    allow_unused: bool
    record: bool = True

    def next(self, paths: Paths, rows: Rows | Cells, ask: Callable[[int], Pairs | None]) -> tuple[Pairs, Found] | None:
        """Ask for pairs of (trunk, alpha) and evaluate every target there; None at the end.

        Nothing is recorded before the gradients are there, so when memory runs out a smaller batch is asked for.
        """

        def attempt(size: int) -> tuple[Pairs, Found] | None:
            pairs = ask(size)
            if pairs is None:
                return None
            self.sizer.trying(len(pairs[0]))
            self.monitor.offer(size)
            return pairs, self._evaluate(paths, rows, pairs)

        started = time.perf_counter()
        found = self.sizer.attempt(self.backend, attempt)
        if found is not None:
            if not self.allow_unused:
                _check_used(found[1][0][1], paths.names)
            self.sizer.observe(len(found[0][0]), time.perf_counter() - started)
        return found

    def scalars(self, paths: Paths, pairs: Pairs, values: Tensor, slopes: Floats) -> tuple[Floats, Floats]:
        """Return F and dF/d(alpha) per row, checked."""
        numbers = self.numbers(values)
        return numbers, self.checked(paths, pairs, numbers, slopes)

    def numbers(self, values: Tensor) -> Floats:
        """Return F per row on the host."""
        # Contiguous and of its own: a target function may answer with a column of the outputs.
        return np.ascontiguousarray(self.backend.to_numpy(values), dtype=np.float64)

    def checked(self, paths: Paths, pairs: Pairs, numbers: Floats, slopes: Floats) -> Floats:
        """Return dF/d(alpha) per row, summed over the leaves; what is not finite is an error that says where."""
        if self.nan_policy == "raise":
            _check_finite(paths, pairs, numbers, slopes)
        total: Floats = slopes.sum(axis=0)
        return total

    def _evaluate(self, paths: Paths, rows: Rows | Cells, pairs: Pairs) -> Found:
        backend = self.backend
        which = paths.fan[:, pairs[0]]
        points = rows.points(which[0], pairs[1])
        fixed = [backend.take(tensor, paths.ends.stop_rows[which[0]]) for tensor in paths.fixed]
        indices = [[backend.from_numpy(flat[own], points[0]) for flat in paths.index] for own in which]
        return backend.values_and_grads(self.forward, points, fixed, self.head, indices)


def _check_finite(paths: Paths, pairs: Pairs, values: Floats, slopes: Floats) -> None:
    bad_value = ~np.isfinite(values)
    bad_slope = ~np.isfinite(slopes)
    if not bad_value.any() and not bad_slope.any():
        return
    row = int(np.flatnonzero(bad_value | bad_slope.any(axis=0))[0])
    sample = int(paths.samples[pairs[0][row]])
    if bad_value[row]:
        what = f"the model's value is {values[row]}"
    else:
        leaf = paths.names[int(np.flatnonzero(bad_slope[:, row])[0])]
        what = f"the gradient with respect to {_label(leaf)} is not finite"
    raise NonFiniteError(
        f"expected finite values and gradients on the path; for sample {sample} at alpha={pairs[1][row]:.6g} "
        f"{what}. "
        'Check the model and the baseline there (a log or square root of zero?), or pass nan_policy="mark"'
    )


def _check_used(grads: Sequence[Tensor | None], names: Sequence[str]) -> None:
    unused = [_label(name) for grad, name in zip(grads, names, strict=True) if grad is None]
    if unused:
        raise InputError(
            f"expected every input to matter; the output does not depend on {', '.join(unused)}. "
            "Pass allow_unused=True for zero attributions there, or leave the input out"
        )


def _label(name: str) -> str:
    return f"input {name!r}" if name else "the input"
