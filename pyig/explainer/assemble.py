"""Put the blocks of a call together: as an Explanation in numpy, or as native tensors."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import _core, tree
from pyig.contracts import Backend, Tensor
from pyig.errors import InputError, InputTypeError
from pyig.explainer.leaves import native_leaves, numpy_leaves, standard_errors
from pyig.explainer.options import Options
from pyig.explainer.session import Outcome
from pyig.explainer.tokens import ids_alone, per_id
from pyig.explanation import Explanation
from pyig.integrate.adaptive import Adaptive
from pyig.integrate.expected import Expected
from pyig.integrate.fixed import Fixed
from pyig.integrate.nested import Nested
from pyig.integrate.regions import Regional
from pyig.integrate.rounding import rounding
from pyig.integrate.runner import Block
from pyig.rows import row_floats


def assemble(
    outcome: Outcome, options: Options, model: Any, feature_names: Any = None, output_names: Any = None
) -> Explanation:
    """Build the Explanation of a call."""
    layered = outcome.layer is not None
    fill = _Fill(outcome)
    values, starts = fill(lambda b: b.values), fill(lambda b: b.baseline_values)
    complete, sizes = fill(lambda b: b.complete, empty=False), fill(lambda b: b.sizes)
    deltas = fill(lambda b: b.sums) - (values - starts)
    # Errors that sum to the gap have at least its size; of the gap itself, a few roundings of F are no error.
    slack = rounding(outcome.template[outcome.moving[0]]) * (np.abs(values) + np.abs(starts))
    error = np.maximum(fill(lambda b: b.errors), np.abs(deltas) - slack)
    with np.errstate(invalid="ignore"):
        converged = fill(lambda b: b.converged, empty=False) & (error <= options.rtol * sizes * (1 + 1e-9))
    stop, start = _ends(outcome, layered)
    names = None if outcome.routed else _feature_names(outcome, feature_names, layered)
    spread = standard_errors(outcome)
    found = Explanation(
        attributions=tree.unflatten(outcome.spec, numpy_leaves(outcome)),
        inputs=stop,
        baselines=start,
        values=values,
        baseline_values=starts,
        deltas=deltas,
        error=error,
        n_evals=fill(lambda b: b.seen, empty=0),
        converged=converged,
        targets=_targets(outcome, fill),
        feature_names=names,
        output_names=_output_names(outcome, output_names),
        meta=_meta(outcome, options, model, bool(complete.all())),
        standard_error=None if spread is None else tree.unflatten(outcome.spec, spread),
        **_path(outcome),
    )
    if outcome.routed is None:
        return found
    summed = per_id(found, outcome.routed, outcome.inputs, outcome.baselines)
    return replace(summed, feature_names=_names(outcome.inputs.spec, outcome.inputs.leaves, feature_names))


def native(outcome: Outcome, x: Any, with_delta: bool, widen: bool = False) -> Any:
    """Build what `attribute` returns: tensors of the framework for tensors, numpy for numpy."""
    fill = _Fill(outcome)
    raw, _ = tree.flatten(x)
    is_native = outcome.backend.is_tensor(raw[0]) and not isinstance(raw[0], np.ndarray)
    leaves = native_leaves(outcome, widen) if is_native else numpy_leaves(outcome)
    leaves = leaves if is_native else [np.array(leaf) for leaf in leaves]
    spec = outcome.spec
    if outcome.routed is not None:
        lead = (outcome.inputs.samples, *([outcome.target.top] if outcome.target.top > 1 else []))
        spec, leaves = outcome.inputs.spec, ids_alone(leaves, is_native, outcome.routed, outcome.inputs, lead)
    attributions = tree.unflatten(spec, leaves)
    if not with_delta:
        return attributions
    deltas = fill(lambda b: b.sums) - (fill(lambda b: b.values) - fill(lambda b: b.baseline_values))
    return attributions, outcome.backend.from_numpy(deltas, outcome.template[0]) if is_native else deltas


class _Fill:
    """Join one array of the blocks over the samples, (N,) or (N, K); samples that no block reached stay empty."""

    def __init__(self, outcome: Outcome) -> None:
        self._blocks = outcome.blocks
        self._samples = outcome.inputs.samples
        self._top = outcome.target.top

    def __call__(self, get: Callable[[Block], NDArray[Any]], empty: Any = np.nan) -> NDArray[Any]:
        parts = [get(block) for block in self._blocks]
        dtype = parts[0].dtype if parts else np.asarray(empty).dtype
        out = np.full((self._samples, self._top), empty, dtype=dtype)
        done = 0
        for part in parts:
            out[done : done + len(part)] = part
            done += len(part)
        return out[:, 0] if self._top == 1 else out


def _ends(outcome: Outcome, layered: bool) -> tuple[Any, Any]:
    """Return x and the mean baseline as numpy structures; in layer space for a layer."""
    backend = outcome.backend
    if not layered:
        stop = [np.array(backend.to_numpy(leaf)) for leaf in outcome.inputs.leaves]
        start = [_mean(backend, [b[i] for b in outcome.baselines]) for i in range(len(stop))]
    else:
        stop, start = _layer_ends(outcome)
    for array in (*stop, *start):
        array.flags.writeable = False
    single = len(start[0]) == 1 != outcome.inputs.samples
    start_spec = tree.take_rows(outcome.spec, [0]) if single and outcome.spec.index else outcome.spec
    return tree.unflatten(outcome.spec, stop), tree.unflatten(start_spec, start)


def _layer_ends(outcome: Outcome) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return the layer's values at x and at x'; values that are not on the path are the same at both."""
    backend = outcome.backend
    still = [i for i in range(len(outcome.template)) if i not in outcome.moving]
    stop, start = [], []
    for i, like in enumerate(outcome.template):
        at_x, at_start = [], []
        for stage in (block.stage for block in outcome.blocks):
            if i in still:
                at_x.append(backend.to_numpy(stage.fixed[still.index(i)]))
                at_start.append(at_x[-1])
                continue
            k = outcome.moving.index(i)
            at_x.append(backend.to_numpy(stage.stop[k]))
            at_start.append(backend.to_numpy(stage.start[k])[stage.start_row].mean(axis=0))
        dtype = backend.to_numpy(like[:0]).dtype
        hole = np.zeros((outcome.inputs.samples - sum(map(len, at_x)), *like.shape[1:]), dtype=dtype)
        stop.append(np.concatenate([*at_x, hole]).astype(dtype))
        start.append(np.concatenate([*at_start, hole]).astype(dtype))
    return stop, start


def _mean(backend: Backend, leaves: Sequence[Tensor]) -> NDArray[Any]:
    arrays = [backend.to_numpy(leaf) for leaf in leaves]
    if len(arrays) == 1:
        return np.array(arrays[0])
    total: NDArray[Any] = sum(np.asarray(a, dtype=np.float64) for a in arrays)  # type: ignore[assignment]
    return (total / len(arrays)).astype(arrays[0].dtype)


def _path(outcome: Outcome) -> dict[str, Any]:
    records = [record for block in outcome.blocks for record in block.records]
    records += [np.zeros((0, 4))] * (outcome.inputs.samples * outcome.target.top - len(records))
    table = np.concatenate(records)
    columns = ("path_alphas", "path_values", "path_slopes", "path_weights")
    return {
        "path_offsets": np.cumsum([0, *map(len, records)]),
        **{name: table[:, column] for column, name in enumerate(columns)},
    }


def _targets(outcome: Outcome, fill: _Fill) -> NDArray[np.int64] | None:
    shape = outcome.probe.output_shape
    single = outcome.target.kind == "default" and int(np.prod(shape[1:], dtype=np.int64)) == 1
    return None if outcome.custom_target or single else fill(lambda b: b.index, empty=-1)


def _feature_names(outcome: Outcome, given: Any, layered: bool) -> tuple[str, ...] | None:
    if layered and given is None:
        return None
    return _names(outcome.spec, outcome.template, given)


def _names(spec: tree.Spec, leaves: Sequence[Tensor], given: Any) -> tuple[str, ...] | None:
    if given is not None:
        return check_names("feature_names", given, row_floats(leaves))
    return tuple(str(key) for key in spec.keys) if spec.kind == "frame" else None


def _output_names(outcome: Outcome, given: Any) -> tuple[str, ...] | None:
    if given is None or outcome.custom_target or not outcome.blocks:
        return None
    binary = getattr(outcome.probe.head, "binary", False)
    return check_names("output_names", given, 2 if binary else math.prod(outcome.probe.output_shape[1:]))


def check_names(what: str, given: Any, count: int) -> tuple[str, ...]:
    """Return names as a tuple, one for each of `count` things."""
    if isinstance(given, str):
        raise InputTypeError(f"expected {what}= as a sequence of names; got the text {given!r}")
    names = tuple(str(name) for name in given)
    if len(names) != count:
        raise InputError(f"expected {count} {what}; got {len(names)}")
    return names


def _meta(outcome: Outcome, options: Options, model: Any, complete: bool) -> dict[str, Any]:
    monitor = outcome.monitor
    return {
        "method": outcome.scheme.name,
        "n_steps": _steps(outcome.scheme),
        "rtol": options.rtol,
        "max_evals": options.max_evals if isinstance(outcome.scheme, Adaptive | Nested | Regional) else None,
        "value": options.value or "output",
        "output_kind": outcome.probe.kind,
        "backend": outcome.backend.name,
        "device": outcome.backend.device_label(outcome.template[0]),
        "model": getattr(model, "__name__", None) or type(model).__qualname__,
        "layer": None if outcome.layer is None else _layer_name(outcome.layer),
        "n_baselines": len(outcome.baselines),
        "seconds": round(outcome.seconds, 6),
        "batch_rows": max(monitor.rows, default=0),
        "batch_fill": None if monitor.fill is None else round(monitor.fill, 4),
        "model_calls": monitor.calls,
        "open_rows": monitor.open_rows and monitor.open_rows[0],
        "most_open_rows": monitor.open_rows and monitor.open_rows[1],
        "versions": _versions(outcome.backend.name),
        "notes": [*outcome.notes, *_advice(outcome, options)],
        "complete": complete,
    }


def _steps(scheme: Any) -> int | None:
    """Return the gradients per path of a fixed rule, and those per sample where they are spread over the baselines."""
    if isinstance(scheme, Expected):
        return scheme.n
    return scheme.steps if isinstance(scheme, Fixed) else None


def _advice(outcome: Outcome, options: Options) -> list[str]:
    """Say where another method or baseline serves better."""
    if outcome.monitor.steep:
        return [
            f"the gradient grows without end towards the baseline (of {outcome.monitor.steep} results), as behind a "
            "normalisation of zeros: what lies there is no part of the attributions; take another baseline"
        ]
    if not isinstance(outcome.scheme, Expected) or options.contrast is not None or not outcome.blocks:
        return []
    if not outcome.probe.smooth_head(None)[1] or all(block.converged.all() for block in outcome.blocks):
        return []
    return [
        "F is a probability, which varies along its paths more than a few gradients show; without method='expected' "
        "each path is integrated in log-odds"
    ]


def _layer_name(layer: Any) -> str:
    if isinstance(layer, list):
        return ", ".join(map(_layer_name, layer))
    return layer if isinstance(layer, str) else str(getattr(layer, "name", None) or type(layer).__qualname__)


def _versions(framework: str) -> dict[str, str]:
    found = {"python": platform.python_version(), "numpy": np.__version__, "pyig": _core.__version__}
    if framework in sys.modules:  # its distribution may have another name, as tensorflow-cpu has
        found[framework] = str(getattr(sys.modules[framework], "__version__", "unknown"))
    return found
