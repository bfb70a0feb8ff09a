"""F at the two ends of every path, and what the first outputs tell about the model.

The ends are forwards without a gradient: they are needed before the loop, to choose the predicted class and to check
the target's range, and cost a third of what they would cost as rows of a gradient batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyig.contracts import Backend, Floats, Head, Ints, Tensor
from pyig.errors import InputError, NonFiniteError
from pyig.heads import CustomHead, TargetHead
from pyig.integrate.batching import Sizer
from pyig.integrate.monitor import Monitor
from pyig.integrate.stages import Stage
from pyig.rows import joined
from pyig.targets import Target

_FEW = 8  # inputs that tell logits from probabilities


class Probe:
    """Evaluates end points and settles the head on the first outputs it sees.

    Parameters
    ----------
    value, output_kind : str or None
        As the user gave them.
    custom : callable or None
        A function of the outputs as the target.
    """

    def __init__(
        self,
        backend: Backend,
        sizer: Sizer,
        monitor: Monitor,
        value: str | None,
        output_kind: str | None,
        custom: Callable[[Any], Any] | None,
        nan_policy: str,
    ) -> None:
        self.backend = backend
        self.sizer = sizer
        self.monitor = monitor
        self.output_shape: tuple[int, ...] = ()
        self.kind: str | None = None
        self._value, self._output_kind, self._nan_policy = value, output_kind, nan_policy
        self._head: CustomHead | TargetHead | None = CustomHead(custom) if custom is not None else None
        self.custom = custom is not None
        self._shared: Tensor | None = None

    @property
    def head(self) -> CustomHead | TargetHead:
        """The head, known once the first outputs are."""
        assert self._head is not None
        return self._head

    @property
    def wants_probability(self) -> bool:
        """Whether the user asked for a probability by name, not by a model that gives one."""
        return self._value == "probability"

    def smooth_head(self, contrast: Target | None) -> tuple[Head, bool]:
        """Return the head for the adaptive loop, and whether it gives the log-odds of the probability F.

        A probability is flat where it saturates and steep in between; its log-odds are smooth all along.
        """
        head = self.head
        if not isinstance(head, TargetHead) or contrast is not None:
            return head, False
        if head.value == "probability" or (head.value == "output" and head.kind != "logits"):
            return TargetHead("log_odds", head.kind, head.binary), True
        return head, False

    def stop_values(
        self, stage: Stage, samples: Ints, target: Target, contrast: Target | None
    ) -> tuple[list[Ints], Floats]:
        """Return the flat indices (S, K), the contrast's beside them, and F(x) (S, K)."""
        index: list[list[Ints]] = [[] for _ in range(1 if contrast is None else 2)]
        values: list[Floats] = []
        done = 0
        while done < len(samples):
            here = done

            def call(rows: int, here: int = here) -> tuple[Ints, Tensor]:
                part = np.arange(here, min(here + rows, len(samples)))
                if stage.ends is not None:
                    return np.arange(len(samples)), stage.ends.outputs
                return part, self._outputs(stage, stage.stop, stage.stop_row[part], stage.stop_row[part])

            part, outputs = self.sizer.attempt(self.backend, call)
            if len(outputs.shape) == 0:
                self.sizer.only(1)
                continue
            self._settle(outputs)
            found = self._resolve(target, contrast, samples[part], outputs.shape, outputs)
            for column, flat in zip(index, found, strict=True):
                column.append(flat)
            values.append(self._values(outputs, found, samples[part], "input"))
            done += len(part)
        return [np.concatenate(column) for column in index], np.concatenate(values)

    def settle(self, stage: Stage) -> None:
        """Settle the head where F(x) is not wanted yet: on the baseline, whose F is, or else on a few inputs."""
        if self._head is not None:
            return
        if stage.shared_start:
            self._shared = self._shared_outputs(stage, len(stage.start_row))
            if self._tells(self._shared):
                self._settle(self._shared)
                return
        few = stage.stop_row[:_FEW]

        def call(rows: int) -> Tensor:
            return self._outputs(stage, stage.stop, few[:rows], few[:rows])

        self._settle(self.sizer.attempt(self.backend, call))

    def indices(self, samples: Ints, target: Target, contrast: Target | None) -> list[Ints]:
        """Return what `stop_values` does, for targets that do not depend on the outputs' values."""
        shape = (len(samples), *self.output_shape[1:])
        return self._resolve(target, contrast, samples, shape, None)

    def start_values(self, stage: Stage, samples: Ints, index: list[Ints]) -> Floats:
        """Return F(x') (S, K), the mean over the baselines."""
        baselines, count = stage.start_row.shape
        if stage.ends is not None:
            found = stage.ends.start_outputs
            every = found if len(found) == count else self.backend.take(found, np.zeros(count, dtype=np.int64))
            return self._values(every, index, samples, "baseline")
        if stage.shared_start and self._shared is None:
            self._shared = self._shared_outputs(stage, baselines)
        total = np.zeros(index[0].shape)
        for baseline in range(baselines):
            done = 0
            while done < count:
                here, start_row = done, stage.start_row[baseline]

                def call(rows: int, here: int = here, start_row: Ints = start_row) -> tuple[Ints, Tensor]:
                    part = np.arange(here, min(here + rows, count))
                    if self._shared is not None:
                        return part, self.backend.take(self._shared, start_row[part])
                    return part, self._outputs(stage, stage.start, start_row[part], stage.stop_row[part])

                part, outputs = self.sizer.attempt(self.backend, call)
                total[part] += self._values(outputs, [flat[part] for flat in index], samples[part], "baseline")
                done += len(part)
        mean: Floats = total / baselines
        return mean

    def _shared_outputs(self, stage: Stage, baselines: int) -> Tensor:
        parts: list[Tensor] = []
        done = 0
        while done < baselines:

            def call(rows: int, here: int = done) -> Tensor:
                return self._outputs(stage, stage.start, np.arange(here, min(here + rows, baselines)), None)

            outputs = self.sizer.attempt(self.backend, call)
            if len(outputs.shape) == 0:
                self.sizer.only(1)
                continue
            parts.append(outputs)
            done += int(outputs.shape[0])
        return joined(self.backend, parts)

    def _outputs(self, stage: Stage, ends: Sequence[Tensor], rows: Ints, fixed_rows: Ints | None) -> Tensor:
        self.sizer.trying(len(rows))
        points = [self.backend.take(leaf, rows) for leaf in ends]
        fixed = [] if fixed_rows is None else [self.backend.take(tensor, fixed_rows) for tensor in stage.fixed]
        outputs = self.backend.value(stage.forward, points, fixed)
        self.monitor.called(len(rows))
        if len(outputs.shape) == 0 and len(rows) == 1:
            self.sizer.only(1)  # no batch axis: one row a call from here on
            return self.backend.reshape(outputs, (1,))
        return outputs

    def _resolve(
        self, target: Target, contrast: Target | None, samples: Ints, outputs_shape: Sequence[int], outputs: Tensor
    ) -> list[Ints]:
        if self.custom:
            return [np.zeros((len(samples), 1), dtype=np.int64)] * (1 if contrast is None else 2)
        shape = tuple(outputs_shape)
        head = self._head
        if isinstance(head, TargetHead) and head.binary:
            shape = (shape[0], 2)
            if target.kind == "default":  # one output: the positive class
                target = Target("same", np.array([1]))

        def scores() -> Any:
            found = self.backend.to_numpy(outputs)
            if shape == tuple(outputs_shape):
                return found
            middle = 0.0 if self.kind == "logits" else 0.5  # of two classes the second wins beyond it
            return np.stack([np.full(len(found), middle), found.reshape(-1)], axis=1)

        found = target.resolve(samples, shape, scores)
        if contrast is None:
            return [found]
        other = contrast.resolve(samples, shape, scores, name="contrast")
        return [found, np.broadcast_to(other, found.shape).copy()]

    def _values(self, outputs: Tensor, index: list[Ints], samples: Ints, end: str) -> Floats:
        columns = []
        for k in range(index[0].shape[1]):
            native = [self.backend.from_numpy(np.ascontiguousarray(flat[:, k]), outputs) for flat in index]
            value = self.head.values(self.backend, outputs, native)
            columns.append(np.asarray(self.backend.to_numpy(value), dtype=np.float64).reshape(-1))
        found = np.stack(columns, axis=1)
        if self._nan_policy == "raise" and not np.isfinite(found).all():
            row = int(np.argwhere(~np.isfinite(found))[0][0])
            raise NonFiniteError(
                f"expected a finite model output at both ends of the path; got {found[row].tolist()} at the {end} of "
                f'sample {int(samples[row])}. Check that {end}, or pass nan_policy="mark"'
            )
        return found

    def _settle(self, outputs: Tensor) -> None:
        if self._head is not None:
            return
        self.output_shape = tuple(outputs.shape)
        value = self._value
        if value in (None, "output"):
            self.kind = self._output_kind or ("probabilities" if self._shows_probabilities(outputs) else None)
            self._head = TargetHead("output", self._head_kind(outputs))
            return
        if len(outputs.shape) > 2:
            raise InputError(
                f"expected outputs of shape (N,), (N, 1) or (N, C) for value={value!r}; got {tuple(outputs.shape)}. "
                "Pass a function as target= instead"
            )
        self.kind = self._output_kind or self._recognise(outputs)
        single = len(outputs.shape) < 2 or outputs.shape[1] == 1
        self._head = TargetHead(str(value), self._head_kind(outputs), binary=single)

    def _head_kind(self, outputs: Tensor) -> str:
        if self.kind != "probabilities" or len(outputs.shape) != 2 or int(outputs.shape[1]) == 1:
            return self.kind or "logits"
        rows = np.asarray(self.backend.to_numpy(outputs), dtype=np.float64)
        return "simplex" if np.abs(rows.sum(axis=1) - 1).max() < 1e-3 else "probabilities"

    def _shows_probabilities(self, outputs: Tensor) -> bool | None:
        """Recognise probabilities by the head of the graph, or by rows that sum to 1; None where neither tells."""
        known = self.backend.gives_probabilities()
        if known is not None or len(outputs.shape) > 2:
            return known
        rows = np.asarray(self.backend.to_numpy(outputs), dtype=np.float64)
        if rows.min() < 0 or rows.max() > 1:
            return False
        several = rows.ndim == 2 and rows.shape[1] > 1
        return True if several and np.abs(rows.sum(axis=1) - 1).max() < 1e-3 else None

    def _tells(self, outputs: Tensor) -> bool:
        """Tell whether all other outputs would be taken for the same.

        Those of no probability would. Whether probabilities exclude each other shows in the sums of several rows, and
        at a baseline they may well sum to 1 by chance: two sigmoids without biases do at zero.
        """
        shows = self._output_kind == "probabilities" if self._output_kind else self._shows_probabilities(outputs)
        return shows is False or len(outputs.shape) > 2

    def _recognise(self, outputs: Tensor) -> str:
        known = self._shows_probabilities(outputs)
        if known is None:
            raise InputError(
                "cannot tell whether the model gives logits or probabilities: all of its outputs lie between 0 and 1; "
                'pass output_kind="logits" or output_kind="probabilities"'
            )
        return "probabilities" if known else "logits"
