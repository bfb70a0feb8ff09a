"""Put the blocks of a call together: as an Explanation in numpy, or as native tensors."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig import tree
from pyig.contracts import Backend, Tensor
from pyig.errors import InputError
from pyig.explainer.options import Options
from pyig.explainer.session import Outcome
from pyig.explanation import Explanation
from pyig.integrate.runner import Block


def assemble(
    outcome: Outcome, options: Options, model: Any, feature_names: Any = None, output_names: Any = None
) -> Explanation:
    """Build the Explanation of a call."""
    layered = options.layer is not None
    fill = _Fill(outcome)
    values, starts = fill(lambda b: b.values), fill(lambda b: b.baseline_values)
    error, complete = fill(lambda b: b.errors), fill(lambda b: b.complete, empty=False)
    sizes = fill(lambda b: b.sizes)
    with np.errstate(invalid="ignore"):
        converged = complete & (error <= options.rtol * sizes)
    stop, start = _ends(outcome, layered)
    names = _feature_names(outcome, feature_names, layered)
    return Explanation(
        attributions=tree.unflatten(outcome.spec, _numpy_attributions(outcome)),
        inputs=stop,
        baselines=start,
        values=values,
        baseline_values=starts,
        deltas=fill(lambda b: b.sums) - (values - starts),
        error=error,
        n_evals=fill(lambda b: b.seen, empty=0),
        converged=converged,
        targets=_targets(outcome, fill),
        feature_names=names,
        output_names=output_names,
        meta=_meta(outcome, options, model, bool(complete.all())),
        **_path(outcome),
    )


def native(outcome: Outcome, x: Any, with_delta: bool) -> Any:
    """Build what `attribute` returns: tensors of the framework for tensors, numpy for numpy."""
    fill = _Fill(outcome)
    raw, _ = tree.flatten(x)
    is_native = outcome.backend.is_tensor(raw[0]) and not isinstance(raw[0], np.ndarray)
    if is_native:
        leaves = _native_attributions(outcome)
    else:
        leaves = _numpy_attributions(outcome)
    attributions = tree.unflatten(outcome.spec, leaves)
    if not with_delta:
        return attributions
    deltas = fill(lambda b: b.sums) - (fill(lambda b: b.values) - fill(lambda b: b.baseline_values))
    return attributions, outcome.backend.from_numpy(deltas, outcome.leaves[0]) if is_native else deltas


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


def _shape(outcome: Outcome, leaf: Tensor) -> tuple[int, ...]:
    top = outcome.target.top
    return (outcome.inputs.samples, *([top] if top > 1 else []), *(int(n) for n in leaf.shape[1:]))


def _numpy_attributions(outcome: Outcome) -> list[NDArray[Any]]:
    backend = outcome.backend
    out = []
    found = dict(zip(outcome.moving, range(len(outcome.moving)), strict=True))
    for i, leaf in enumerate(_all_leaves(outcome)):
        dtype = backend.to_numpy(leaf[:0]).dtype if i in found else np.dtype(np.float32)
        filled = np.zeros(_shape(outcome, leaf), dtype=dtype)
        if i in found:
            rows = filled.reshape(outcome.inputs.samples * outcome.target.top, *filled.shape[len(filled.shape) - len(leaf.shape) + 1 :])
            done = 0
            for block in outcome.blocks:
                part = block.attributions[found[i]]
                rows[done : done + len(part)] = part if isinstance(part, np.ndarray) else backend.to_numpy(part)
                done += len(part)
            rows[done:] = np.nan
        filled.flags.writeable = False
        out.append(filled)
    return out


def _native_attributions(outcome: Outcome) -> list[Tensor]:
    backend = outcome.backend
    out = []
    found = dict(zip(outcome.moving, range(len(outcome.moving)), strict=True))
    for i, leaf in enumerate(_all_leaves(outcome)):
        if i not in found or not outcome.blocks or isinstance(outcome.blocks[0].attributions[found[i]], np.ndarray):
            like = outcome.leaves[0]
            out.append(backend.cast_like(backend.from_numpy(_numpy_leaf(outcome, i), like), leaf if i in found else like))
            continue
        parts = [block.attributions[found[i]] for block in outcome.blocks]
        rows = backend.cast_like(backend.concat(parts), leaf)
        missing = outcome.inputs.samples * outcome.target.top - int(rows.shape[0])
        if missing:
            hole = np.full((missing, *rows.shape[1:]), np.nan)
            rows = backend.concat([rows, backend.cast_like(backend.from_numpy(hole, rows), rows)])
        out.append(backend.reshape(rows, _shape(outcome, leaf)))
    return out


def _numpy_leaf(outcome: Outcome, i: int) -> NDArray[Any]:
    return np.array(_numpy_attributions(outcome)[i])


def _all_leaves(outcome: Outcome) -> Sequence[Tensor]:
    """Return one tensor per leaf of the result's structure, for its dtype and shape."""
    if outcome.spec == outcome.inputs.spec and len(outcome.leaves) != len(outcome.inputs.leaves):
        return outcome.inputs.leaves
    return outcome.leaves if len(outcome.leaves) == len(tree.names(outcome.spec)) else outcome.inputs.leaves


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
    backend = outcome.backend
    stop, start = [], []
    for k, leaf in enumerate(outcome.leaves):
        at_x = [backend.to_numpy(b.stage.stop[k]) for b in outcome.blocks]
        at_start = [backend.to_numpy(b.stage.start[k])[b.stage.start_row].mean(axis=0) for b in outcome.blocks]
        missing = outcome.inputs.samples - sum(map(len, at_x))
        hole = np.full((missing, *leaf.shape[1:]), np.nan)
        stop.append(np.concatenate([*at_x, hole]).astype(backend.to_numpy(leaf[:0]).dtype))
        start.append(np.concatenate([*at_start, hole]).astype(stop[-1].dtype))
    return stop, start


def _mean(backend: Backend, leaves: Sequence[Tensor]) -> NDArray[Any]:
    arrays = [backend.to_numpy(leaf) for leaf in leaves]
    if len(arrays) == 1:
        return np.array(arrays[0])
    total: NDArray[Any] = sum(np.asarray(a, dtype=np.float64) for a in arrays)  # type: ignore[assignment]
    return (total / len(arrays)).astype(arrays[0].dtype)


def _path(outcome: Outcome) -> dict[str, Any]:
    rule, count, top = outcome.rule, outcome.inputs.samples, outcome.target.top
    n = len(rule.nodes)
    values = np.full((count * top, n), np.nan)
    slopes, evaluated = values.copy(), np.zeros((count * top, n), dtype=bool)
    done = 0
    for block in outcome.blocks:
        part = block.path_values.reshape(-1, n)
        values[done : done + len(part)] = part
        slopes[done : done + len(part)] = block.path_slopes.reshape(-1, n)
        evaluated[done : done + len(part)] = block.complete.reshape(-1, 1) | np.isfinite(part)
        done += len(part)
    alphas, weights = (np.broadcast_to(a, evaluated.shape) for a in (rule.nodes, rule.weights))
    return {
        "path_offsets": np.concatenate([[0], np.cumsum(evaluated.sum(axis=1))]),
        "path_alphas": alphas[evaluated],
        "path_values": values[evaluated],
        "path_slopes": slopes[evaluated],
        "path_weights": weights[evaluated],
    }


def _targets(outcome: Outcome, fill: _Fill) -> NDArray[np.int64] | None:
    shape = outcome.probe.output_shape
    single = outcome.target.kind == "default" and int(np.prod(shape[1:], dtype=np.int64)) == 1
    return None if outcome.custom_target or single else fill(lambda b: b.index, empty=-1)


def _feature_names(outcome: Outcome, given: Any, layered: bool) -> tuple[str, ...] | None:
    if given is not None:
        names = tuple(str(name) for name in given)
        size = sum(int(np.prod(leaf.shape[1:], dtype=np.int64)) for leaf in _all_leaves(outcome))
        if len(names) != size:
            raise InputError(f"expected {size} feature_names, one per feature; got {len(names)}")
        return names
    if outcome.spec.kind == "frame" and not layered:
        return tuple(str(key) for key in outcome.spec.keys)
    return None


def _meta(outcome: Outcome, options: Options, model: Any, complete: bool) -> dict[str, Any]:
    monitor = outcome.monitor
    return {
        "method": outcome.rule.name,
        "n_steps": len(outcome.rule.nodes),
        "rtol": options.rtol,
        "value": options.value or "output",
        "output_kind": outcome.probe.kind,
        "backend": outcome.backend.name,
        "device": outcome.backend.device_label(outcome.leaves[0]),
        "model": getattr(model, "__name__", None) or type(model).__qualname__,
        "layer": None if options.layer is None else _layer_name(options.layer),
        "n_baselines": len(outcome.baselines),
        "seconds": round(outcome.seconds, 6),
        "batch_rows": max(monitor.rows, default=0),
        "model_calls": monitor.calls,
        "versions": _versions(outcome.backend.name),
        "notes": outcome.notes,
        "complete": complete,
    }


def _layer_name(layer: Any) -> str:
    return layer if isinstance(layer, str) else str(getattr(layer, "name", None) or type(layer).__qualname__)


def _versions(framework: str) -> dict[str, str]:
    found = {"python": platform.python_version(), "numpy": np.__version__}
    for name, distribution in (("pyig", "pyig-explain"), (framework, framework)):
        try:
            found[name] = version(distribution)
        except PackageNotFoundError:
            continue
    return found
