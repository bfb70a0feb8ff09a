"""How attributions build up along the path: the gradients at its nodes once more, this time one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyig import tree
from pyig.contracts import Floats, Ints, Tensor
from pyig.errors import InputError, PyigError
from pyig.explainer.again import option_of_sample, remembered, sample_of
from pyig.explainer.options import Options
from pyig.explainer.session import Outcome
from pyig.explainer.tokens import route
from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.explanation.groups import Groups, flat_attributions, groups_of
from pyig.explanation.one_path import heading, pick
from pyig.integrate.along import Along, Kept, nodes_rule
from pyig.integrate.curves import running
from pyig.integrate.inputs import read_inputs
from pyig.quadrature import sigmoid, sigmoid_slope
from pyig.targets import Outputs, Target

if TYPE_CHECKING:
    from pyig.explainer.core import IntegratedGradients

Labels = Callable[[list[Tensor]], Sequence[Ints]]
LEAST, USUAL, MOST = 5, 33, 4096  # nodes
_LINEAR = 2e-3
_NEAR = 1e-3  # an end of the path is not evaluated where a node is as near
_OTHER = 0.01  # of F and the attributions: a larger difference means another model or other options
_OF_METHOD = ("method", "n_steps", "prefix", "repeatable", "max_evals", "confidence")  # say how to integrate, not what


@dataclass(frozen=True)
class _AlongOptions(Options):
    """The options of a call that keeps what it sees at the nodes."""

    kept: Any = None

    def scheme(self) -> Along:
        """Return the nodes to evaluate."""
        assert not isinstance(self.method, str)
        return Along(self.method, self.rtol, self.kept)


class _Flat(Target):
    """A target by its flat index, as an explanation holds it, whatever the rank of the outputs."""

    def resolve(self, rows: Ints, shape: tuple[int, ...], outputs: Outputs, name: str = "target") -> Ints:
        """Return the index for every row."""
        assert self.index is not None
        flat, size = int(self.index[0]), int(np.prod(shape[1:], dtype=np.int64))
        if not 0 <= flat < size:
            raise InputError(f"expected the model of the explanation, of output {flat}; got one of {size} outputs")
        return np.full((len(rows), 1), flat, dtype=np.int64)


def along(
    explainer: IntegratedGradients,
    explanation: Explanation,
    sample: int,
    target: int,
    x: Any,
    top: int,
    features: Sequence[int | str] | None,
    nodes: int | None,
    options: dict[str, Any],
) -> CumulativeAttributions:
    """See `IntegratedGradients.along`."""
    i, k = pick(explanation, sample, target)
    question = asked(explanation, i, k, x, options)
    if x is None and not tree.is_frame(explanation.inputs):
        question["x"] = _native(explainer, question["x"])
    groups = groups_of(explanation, i, k, top, features)
    if question.get("layer") is not None:
        labels = _of_layer(explanation, groups)
    else:
        labels = of_inputs(explainer, question, _by_leaf(explanation, groups), len(groups.names))
    return walked(explainer, explanation, i, k, groups, labels, question, nodes)


def nodes_of(explanation: Explanation, i: int, k: int, nodes: int | None) -> Floats:
    """Return the nodes: those that the explanation was made with, thinned to `nodes`; else equally spaced ones.

    Both ends are among them, or a node next to them, which then counts as the end: a path may begin beside a kink.
    Paths of several baselines have few nodes in common, and exact methods none.
    """
    if nodes is not None and (isinstance(nodes, bool) or not isinstance(nodes, (int, np.integer))):
        raise InputError(f"expected nodes= as a whole number; got {nodes!r}")
    if nodes is not None and not LEAST <= nodes <= MOST:
        raise InputError(f"expected nodes= between {LEAST} and {MOST}; got {nodes}")
    edges = regions_of(explanation, i, k)
    path = explanation.path(i, k)
    if edges is not None and (nodes is None or nodes >= len(edges) - 1):
        own: Floats = path.alphas[~np.isnan(path.slopes)]
        return own
    near = np.isnan(path.slopes) & (np.minimum(_gap(path.alphas), _gap(path.alphas[::-1])[::-1]) < _NEAR)
    known: Floats = np.unique(path.alphas[~near])
    alone = int(explanation.meta.get("n_baselines") or 1) == 1 and not explanation.meta.get("noise")
    if not alone or len(known) < min(LEAST, nodes or LEAST):
        known = np.array([])
    if nodes is None:
        even = np.linspace(0.0, 1.0, USUAL)
        return even if explanation.meta.get("method") == "exact" or not len(known) else known
    if len(known) < nodes:
        return np.linspace(0.0, 1.0, nodes)
    thinned: Floats = known[np.linspace(0, len(known) - 1, nodes).round().astype(int)]
    return thinned


def target_of(explanation: Explanation, i: int, k: int) -> Any:
    """Return the target of a path as an explanation holds it; None for the only output, or a function."""
    if explanation.targets is None:
        return None
    return _Flat("same", explanation.targets.reshape(len(explanation), -1)[i, k : k + 1])


def regions_of(explanation: Explanation, i: int, k: int) -> Floats | None:
    """Return where the linear regions of a path begin and end, where it was integrated over these; one node in each."""
    path = explanation.path(i, k)
    own = ~np.isnan(path.slopes)
    edges = np.append(0.0, np.cumsum(path.weights[own]))
    if explanation.meta.get("method") != "exact" or len(edges) < 2 or abs(edges[-1] - 1) > 1e-6:
        return None
    change = (explanation.values - explanation.baseline_values).reshape(len(explanation), -1)[i, k]
    if abs(path.weights[own] @ path.slopes[own] - change) > _LINEAR * abs(change):
        return None  # F bends within its regions
    edges[-1] = 1.0
    inside = (edges[:-1] <= path.alphas[own]) & (path.alphas[own] <= edges[1:]) & (np.diff(edges) > 0)
    return edges if inside.all() else None


def _gap(alphas: Floats) -> Floats:
    return np.append(np.abs(np.diff(alphas)), np.inf)


def asked(explanation: Explanation, i: int, k: int, x: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return x, baselines, target and options of one sample and target of an explanation."""
    meta, samples = explanation.meta, len(explanation)
    if meta.get("noise"):
        raise InputError("expected an explanation without noise; the path of a mean over noise is not one path")
    ids = bool(meta.get("summed"))
    layered = meta.get("layer") is not None and not ids
    if layered and x is None:
        raise InputError("expected x= as well: the explanation is of a layer, and does not hold the model's input")
    if layered and "layer" not in options:
        raise InputError(f"expected layer= as well: the explanation is of the layer {meta['layer']!r}")
    known = {name: value for name, value in remembered(explanation).items() if name in ("value", "rtol")}
    given = known | {name: value for name, value in options.items() if name not in _OF_METHOD}
    several = int(meta.get("n_baselines") or 1) > 1
    if several and "baselines" not in given:
        raise InputError(f"expected baselines= as well: the explanation averages {meta['n_baselines']} of them")
    given = {name: option_of_sample(value, i, samples) for name, value in given.items()}
    # The baseline that was used, whether it was given, named or drawn; for ids it may be one of the layer.
    if not several and not layered and not (ids and "baselines" in given):
        given["baselines"] = sample_of(explanation.baselines, i) if _rows(explanation) else explanation.baselines
    if explanation.targets is not None:
        given["target"] = target_of(explanation, i, k)
    return {"x": sample_of(explanation.inputs if x is None else x, i), "target": None, "baselines": None} | given


def walked(
    explainer: IntegratedGradients,
    explanation: Explanation,
    i: int,
    k: int,
    groups: Groups,
    labels: Labels,
    question: dict[str, Any],
    nodes: int | None,
) -> CumulativeAttributions:
    """Evaluate the gradients at the nodes, and put the lines together; options in `question` are those of one sample.

    Parameters
    ----------
    labels : callable
        As for `Kept`.
    """
    alphas = nodes_of(explanation, i, k, nodes)
    given = dict(question)
    x, baselines, target = given.pop("x"), given.pop("baselines"), given.pop("target")
    kept = Kept(labels, len(groups.names))
    base = Options.read(given)
    known = {f.name: getattr(base, f.name) for f in fields(base)}
    settings = _AlongOptions(**known | {"method": nodes_rule(alphas), "kept": kept})
    outcome = explainer._run(x, baselines, target, settings, record=False)
    return _lines(explanation, i, k, groups, kept, outcome, alphas)


def _lines(
    explanation: Explanation, i: int, k: int, groups: Groups, kept: Kept, outcome: Outcome, alphas: Floats
) -> CumulativeAttributions:
    """Put together what was found; it has to be of the model and the options that the explanation is of."""
    number = i * (explanation.values.size // len(explanation)) + k
    weights = flat_attributions(explanation, i, k)
    count = len(groups.names)
    phi = np.asarray(np.bincount(groups.labels, weights=weights, minlength=count)[:count], dtype=np.float64)
    _check_same(explanation, number, float(np.abs(phi).sum()), outcome)
    heads, slopes = kept.table(len(alphas))
    there = np.isfinite(heads)
    # Of a run that was stopped, the paths that it completed; else what it has of the first one.
    whole = np.flatnonzero(there.all(axis=1)) if len(heads) else np.arange(0)
    used = whole if len(whole) else np.arange(min(1, len(heads)))
    if not len(used) or np.count_nonzero(there[used[0]]) < min(LEAST, len(alphas)):
        raise PyigError("stopped before the path was known at a few nodes; there is nothing to draw")
    seen = there[used[0]]
    edges = regions_of(explanation, i, k)
    if edges is not None and len(edges) == len(alphas) + 1 and seen.all() and len(used) == 1:
        paths = [_regions(edges, alphas, heads[0], slopes[0], kept.log_odds)]
    else:
        paths = [_path(alphas[seen], heads[p, seen], slopes[p, seen], kept.log_odds) for p in used]
    nodes = paths[0].alphas
    values, shares, steps, halves = (
        np.mean(parts, axis=0) for parts in zip(*(path[1:] for path in paths), strict=True)
    )
    values[[0, -1]] = explanation.baseline_values.ravel()[number], explanation.values.ravel()[number]
    residual = phi - steps.sum(axis=0)
    return CumulativeAttributions(
        names=groups.names,
        others=groups.others,
        alphas=nodes,
        values=values,
        slopes=shares,
        cumulative=_closed(nodes, steps, residual, phi),
        attributions=phi,
        estimates=np.abs(steps.sum(axis=0) - halves),
        residual=residual,
        error=float(explanation.error.ravel()[number]),
        n_evals=int(there.sum()),
        complete=len(whole) == len(outcome.baselines),
        title=heading(explanation, i, k),
        meta={"log_odds": kept.log_odds, "baselines": len(used), "backend": outcome.backend.name},
    )


class _Path(NamedTuple):
    """One path: nodes, F, slopes of F (n, m), what each cell adds (n - 1, m), integrals through every second node."""

    alphas: Floats
    values: Floats
    slopes: Floats
    steps: Floats
    halves: Floats


def _path(alphas: Floats, heads: Floats, slopes: Floats, log_odds: bool) -> _Path:
    for end, place in ((0.0, 0), (1.0, -1)):
        if abs(alphas[place] - end) < _NEAR:
            alphas = alphas.copy()
            alphas[place] = end
        else:  # stopped before it was there: as if nothing changed from the last node on
            at = 0 if place == 0 else len(alphas)
            heads = np.insert(heads, at, heads[place] + (end - alphas[place]) * slopes[place].sum())
            slopes, alphas = np.insert(slopes, at, slopes[place], axis=0), np.insert(alphas, at, end)
    half = np.unique(np.append(np.arange(0, len(alphas), 2), len(alphas) - 1))
    if not log_odds:
        return _Path(alphas, heads, slopes, running(alphas, slopes), running(alphas[half], slopes[half]).sum(axis=0))
    steep = slopes.sum(axis=1)
    steps = running(alphas, slopes, heads, steep)
    halves = running(alphas[half], slopes[half], heads[half], steep[half]).sum(axis=0)
    return _Path(alphas, sigmoid(heads), sigmoid_slope(heads)[:, None] * slopes, steps, halves)


def _regions(edges: Floats, alphas: Floats, heads: Floats, slopes: Floats, log_odds: bool) -> _Path:
    """Return a path of linear regions at their edges, summed up as the explanation was: one gradient tells a region."""
    steep = slopes.sum(axis=1)
    starts, last = heads + (edges[:-1] - alphas) * steep, heads[-1] + (1.0 - alphas[-1]) * steep[-1]
    values, shares = np.append(starts, last), slopes
    if log_odds:
        values, shares = sigmoid(values), sigmoid_slope(heads)[:, None] * slopes
    steps = shares * np.diff(edges)[:, None]
    return _Path(edges, values, np.concatenate([shares, shares[-1:]]), steps, steps.sum(axis=0))


def _closed(alphas: Floats, steps: Floats, residual: Floats, phi: Floats) -> Floats:
    """Add up the cells, and what is missing at the end along with them: a line stays level where it does not move."""
    sizes = np.abs(steps)
    moved = sizes.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(moved > 0, sizes / moved, np.diff(alphas)[:, None])
    found = np.concatenate([np.zeros((1, len(phi))), np.cumsum(steps + residual * share, axis=0)])
    found[-1] = phi  # to the last bit
    return found


def _native(explainer: IntegratedGradients, x: Any) -> Any:
    """Return numpy as tensors of the backend in use: a function of tensors takes nothing else."""
    backend = explainer._backend
    return x if backend is None else tree.tree_map(lambda leaf: backend.asarray(np.array(leaf)), x)


def _check_same(explanation: Explanation, number: int, size: float, outcome: Outcome) -> None:
    after, before = (float(v.ravel()[number]) for v in (explanation.values, explanation.baseline_values))
    slack = _OTHER * (abs(after) + abs(before) + size)
    for block in outcome.blocks:
        for which, got, wanted in (("F(x)", block.values, after), ("F(x')", block.baseline_values, before)):
            if not abs(float(got.ravel()[0]) - wanted) <= slack:
                raise InputError(
                    f"expected the model, the baselines and the options of the explanation, in which {which} is "
                    f"{wanted:.6g}; got {float(got.ravel()[0]):.6g}. Pass what was given to explain() here as well"
                )


def _by_leaf(explanation: Explanation, groups: Groups) -> list[Ints]:
    sizes = [int(np.prod(leaf.inputs.shape[1:], dtype=np.int64)) for leaf in explanation.leaves()]
    return np.split(groups.labels, np.cumsum(sizes)[:-1])


def _of_layer(explanation: Explanation, groups: Groups) -> Labels:
    parts = zip(_by_leaf(explanation, groups), explanation.leaves(), strict=True)
    moving = [part for part, leaf in parts if leaf.inputs.dtype.kind == "f"]
    return lambda leaves: moving


def of_inputs(explainer: IntegratedGradients, question: dict[str, Any], parts: Sequence[Ints], none: int) -> Labels:
    """Return the line of every number on the path, given those of the input's leaves; of ids, behind their embedding.

    Parameters
    ----------
    none : int
        Stands for no line.
    """
    backend = explainer.backend_for(question["x"])
    with backend.session():
        inputs = read_inputs(backend, question["x"], question.get("forward_kwargs"))
        if len(inputs.leaves) != len(parts):
            raise InputError(f"expected the input of the explanation, {len(parts)} arrays; got {len(inputs.leaves)}")
        held = len(inputs.floating) < len(inputs.leaves)
        routed = route(backend, explainer.model, inputs, explainer._memory) if held else None
    if routed is None:
        return lambda leaves: [parts[place] for place in inputs.floating]
    whole = np.concatenate([parts[place] for place in routed.whole])
    # What no id of the input stands for is in no line.
    looked = [np.where(each.entries >= 0, whole[each.entries], none) for each in routed.found]
    return lambda leaves: [*(parts[place] for place in routed.floats), *looked]


def _rows(explanation: Explanation) -> bool:
    """Tell whether the baseline has a row for each sample."""
    return len(explanation) > 1 and all(len(leaf) > 1 for leaf in tree.flatten(explanation.baselines)[0])
