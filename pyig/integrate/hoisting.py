"""Move the paths of a block behind the model's affine prefix, where they are straight too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyig.calling import PrefixForward
from pyig.contracts import Backend, Ints, Prefix, Tensor
from pyig.integrate.batching import Sizer
from pyig.integrate.stages import Stage
from pyig.rows import joined


@dataclass(frozen=True)
class Hoist:
    """Runs the prefix at the ends of the paths.

    Attributes
    ----------
    sizer : Sizer
        For rows of the frontier; the prefix itself gets no more of them at a time.
    """

    backend: Backend
    prefix: Prefix
    sizer: Sizer

    def __call__(self, stage: Stage) -> Stage:
        """Return the stage with both ends at the frontier, row by row as they are needed."""
        count = len(stage.stop_row)
        stop = self._frontier(stage.stop, stage.stop_row, stage.fixed, stage.stop_row)
        if stage.fixed:  # what does not move differs from sample to sample, and so does a shared baseline's frontier
            rows, start_row = stage.start_row.ravel(), np.arange(stage.start_row.size).reshape(stage.start_row.shape)
        else:
            rows, start_row = np.unique(stage.start_row, return_inverse=True)
        beside = np.resize(stage.stop_row, len(rows))
        start = self._frontier(stage.start, rows, stage.fixed, beside)
        fixed = [self.backend.take(leaf, stage.stop_row) for leaf in stage.fixed]
        return Stage(
            forward=PrefixForward(self.prefix),
            start=[start],
            stop=[stop],
            fixed=fixed,
            start_row=start_row.reshape(stage.start_row.shape),
            stop_row=np.arange(count),
            shared_start=stage.shared_start,
        )

    def _frontier(self, leaves: list[Tensor], rows: Ints, fixed: list[Tensor], beside: Ints) -> Tensor:
        take, parts, done = self.backend.take, [], 0
        while done < len(rows):
            here = done

            def call(size: int, here: int = here) -> Tensor:
                part = slice(here, here + size)
                held = [take(leaf, beside[part]) for leaf in fixed]
                return self.prefix.forward([take(leaf, rows[part]) for leaf in leaves], held)

            parts.append(self.sizer.attempt(self.backend, call))
            done += int(parts[-1].shape[0])
        return joined(self.backend, parts)
