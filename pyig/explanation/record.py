"""Explanation: everything that one call of `explain` found out, as frozen data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pyig.contracts import Floats, Ints
from pyig.errors import InputError
from pyig.explanation.arrays import Leaf, check_leaf, check_like, freeze, freeze_tree, pick_rows, same, take
from pyig.explanation.table import targets_each, to_frame
from pyig.explanation.verdict import describe, relative_error, relative_gap, verdict
from pyig.registry import Registry
from pyig.tree import flatten, names

if TYPE_CHECKING:
    import os
    import pathlib

TREES = ("attributions", "inputs", "baselines")
PER_PATH: dict[str, Any] = {
    "values": np.float64,
    "baseline_values": np.float64,
    "deltas": np.float64,
    "error": np.float64,
}
PER_PATH |= {"n_evals": np.int64, "converged": np.bool_}
PER_NODE = ("path_alphas", "path_values", "path_slopes", "path_weights")

# Strings: the views stand on a higher floor than the data that they show, and `import pyig` need not load archives.
_LATER = Registry(
    "later import",
    {
        "show": "pyig.views:show",
        "html": "pyig.views.html:html",
        "page": "pyig.views.html:page",
        "write": "pyig.explanation.savefile:write",
        "read": "pyig.explanation.savefile:read",
        "replace": "pyig.explanation.savefile:replace",
        "interactive": "pyig.jupyter.page:page",
        "widget": "pyig.jupyter:live_view",
        "compare": "pyig.jupyter:live_comparison",
        "display": "pyig.jupyter.display:display_live",
    },
)


class Path(NamedTuple):
    """F along the straight line from baseline to input, by rising alpha, both ends included.

    Attributes
    ----------
    alphas, values, slopes, weights : float64 array, (n,)
        Position, F, dF/d(alpha) (NaN at an end that was no node), and quadrature weight (0 at such an end; those of a
        spline may be negative).
    """

    alphas: Floats
    values: Floats
    slopes: Floats
    weights: Floats


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Explanation:
    """Integrated Gradients of N samples, with what is needed to judge them.

    Arrays are read-only. One that comes in writable is copied, so hand over a read-only array to save the copy.
    K is the number of targets per sample; where only one was asked, the K axis is absent.

    Parameters
    ----------
    attributions : structure of arrays
        Structured like the input, leaves (N, ...) or (N, K, ...); a DataFrame for a DataFrame.
    inputs, baselines : structure of arrays
        x and x', leaves (N, ...); a baseline may have one row for all, and is the mean of several.
    values, baseline_values : float64 array, (N,) or (N, K)
        F(x) and F(x').
    deltas : float64 array, (N,) or (N, K)
        Completeness gap: sum of attributions - (F(x) - F(x')).
    error : float64 array, (N,) or (N, K)
        Estimated L1 error of the attributions, never below the completeness gap; NaN where the rule gives no estimate.
        An estimate, not a guarantee.
    n_evals : int64 array, (N,) or (N, K)
        Gradients spent.
    converged : bool array, (N,) or (N, K)
        Whether the estimate met the tolerance.
    path_offsets : int64 array, (M + 1,)
        Where the record of each of the M = N or N*K paths begins in the four arrays below.
    path_alphas, path_values, path_slopes, path_weights : float64 array
        Every node evaluated: alpha, F, dF/d(alpha), quadrature weight (mean over baselines).
    targets : int64 array, (N,) or (N, K), optional
        Flat index of the output explained; None for a single output or a callable target.
    standard_error : structure of arrays, optional
        Standard error of each attribution, structured like them, where they were sampled: over several baselines
        (``method="expected"``) or noise. NaN where there is no estimate.
    feature_names, output_names : sequence of str, optional
        Labels, for people.
    meta : dict
        How the result was made; JSON data.

    Raises
    ------
    InputError
        When the arrays do not fit one another.

    Notes
    -----
    Attributions and their completeness: Sundararajan, Taly, Yan (2017), "Axiomatic Attribution for Deep Networks".

    Examples
    --------
    >>> import numpy as np
    >>> e = Explanation(
    ...     attributions=np.array([[2.0, -0.5]]), inputs=np.array([[1.0, 1.0]]), baselines=np.zeros((1, 2)),
    ...     values=[1.5], baseline_values=[0.0], deltas=[0.0], error=[0.0], n_evals=[1], converged=[True],
    ...     path_offsets=[0, 1], path_alphas=[0.5], path_values=[0.75], path_slopes=[1.5], path_weights=[1.0],
    ... )
    >>> e.verdict()
    "converged: estimated error 0 %; completeness gap 0 % of F(x)-F(x')"
    >>> e.path(0).values
    array([0.  , 0.75, 1.5 ])
    """

    attributions: Any
    inputs: Any
    baselines: Any
    values: Floats
    baseline_values: Floats
    deltas: Floats
    error: Floats
    n_evals: Ints
    converged: np.typing.NDArray[np.bool_]
    path_offsets: Ints
    path_alphas: Floats
    path_values: Floats
    path_slopes: Floats
    path_weights: Floats
    targets: Ints | None = None
    standard_error: Any = None
    feature_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in self._trees():
            put(self, name, freeze_tree(getattr(self, name))[0])
        for name, dtype in PER_PATH.items():
            put(self, name, freeze(getattr(self, name), dtype))
        for name in PER_NODE:
            put(self, name, freeze(getattr(self, name), np.float64))
        put(self, "path_offsets", freeze(self.path_offsets, np.int64))
        put(self, "targets", None if self.targets is None else freeze(self.targets, np.int64))
        for name in ("feature_names", "output_names"):
            labels = getattr(self, name)
            put(self, name, None if labels is None else tuple(str(label) for label in labels))
        # Through JSON and back: a private deep copy that is sure to be saved, and equal to itself once loaded.
        put(self, "meta", json.loads(json.dumps(self.meta, default=_plain)))
        self._check()

    def _trees(self) -> tuple[str, ...]:
        return TREES if self.standard_error is None else (*TREES, "standard_error")

    def _check(self) -> None:
        shape = self.values.shape
        if len(shape) not in (1, 2):
            raise InputError(f"expected values of shape (N,) or (N, K); got {shape}")
        for name in (*PER_PATH, *(["targets"] if self.targets is not None else [])):
            if getattr(self, name).shape != shape:
                raise InputError(f"expected {name} of shape {shape}, as values; got {getattr(self, name).shape}")
        flat = [flatten(getattr(self, name))[0] for name in TREES]
        counts = [len(leaves) for leaves in flat]
        if len(set(counts)) != 1:
            raise InputError(f"expected attributions, inputs and baselines of one structure; got {counts} leaves")
        labels = names(flatten(self.inputs)[1])
        for label, attributions, inputs, baselines in zip(labels, *flat, strict=True):
            check_leaf(label, attributions, inputs, baselines, shape)
        if self.standard_error is not None:
            check_like("standard_error", flatten(self.standard_error)[0], "attributions", flat[0])
        sizes = [math.prod(leaf.shape[1:]) for leaf in flat[1]]
        if self.feature_names is not None and len(self.feature_names) != sum(sizes):
            raise InputError(f"expected {sum(sizes)} feature_names, one per feature; got {len(self.feature_names)}")
        offsets = self.path_offsets
        nodes = {name: getattr(self, name).shape for name in PER_NODE}
        if offsets.shape != (self.values.size + 1,) or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
            raise InputError(f"expected path_offsets rising from 0, {self.values.size + 1} of them; got {offsets!r}")
        if set(nodes.values()) != {(int(offsets[-1]),)}:
            raise InputError(f"expected {offsets[-1]} nodes in each path array; got {nodes}")

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: Any) -> Explanation:
        """Return the explanation of some samples: an index, slice, mask or list of them. The sample axis stays."""
        rows = pick_rows(len(self), key)
        changed: dict[str, Any] = {name: take(getattr(self, name), rows, len(self)) for name in self._trees()}
        changed |= {name: getattr(self, name)[rows] for name in PER_PATH}
        if self.targets is not None:
            changed["targets"] = self.targets[rows]
        per_sample = targets_each(self)
        paths = (rows[:, None] * per_sample + np.arange(per_sample)).ravel()
        starts, stops = self.path_offsets[paths], self.path_offsets[paths + 1]
        nodes = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)] or [np.arange(0)])
        changed |= {name: getattr(self, name)[nodes] for name in PER_NODE}
        changed["path_offsets"] = np.concatenate([[0], np.cumsum(stops - starts)])
        return Explanation(**({f.name: getattr(self, f.name) for f in fields(self)} | changed))

    def __eq__(self, other: object) -> bool:
        """Two explanations are equal when every array (NaN included), label and meta entry is."""
        if not isinstance(other, Explanation):
            return NotImplemented
        if (self.standard_error is None) != (other.standard_error is None):
            return False
        for name in self._trees():
            (mine, spec), (theirs, other_spec) = flatten(getattr(self, name)), flatten(getattr(other, name))
            if spec != other_spec or not all(same(a, b) for a, b in zip(mine, theirs, strict=True)):
                return False
        arrays = [*PER_PATH, *PER_NODE, "path_offsets"]
        if (self.targets is None) != (other.targets is None):
            return False
        if self.targets is not None:
            arrays.append("targets")
        if not all(same(getattr(self, name), getattr(other, name)) for name in arrays):
            return False
        labels = (self.feature_names, self.output_names) == (other.feature_names, other.output_names)
        return labels and _canonical(self.meta) == _canonical(other.meta)

    __hash__ = None  # type: ignore[assignment]  # equal by value, and the arrays are too large to hash

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickle and deepcopy hand over writable arrays.
        Explanation.__init__(self, **state)

    def __repr__(self) -> str:
        return describe(self)

    def leaves(self) -> list[Leaf]:
        """Return the input's arrays one by one, each with its attributions and its baseline broadcast to N rows."""
        inputs, spec = flatten(self.inputs)
        rows = zip(names(spec), flatten(self.attributions)[0], inputs, flatten(self.baselines)[0], strict=True)
        return [Leaf(name, a, x, np.broadcast_to(b, x.shape)) for name, a, x, b in rows]

    def path(self, i: int, k: int = 0) -> Path:
        """Return F along the path of sample `i` (and of its k-th target), by rising alpha, with both ends."""
        count = targets_each(self)
        if not -len(self) <= i < len(self) or not -count <= k < count:
            raise IndexError(f"expected a sample below {len(self)} and a target below {count}; got i={i}, k={k}")
        number = (i % len(self)) * count + k % count
        nodes = slice(self.path_offsets[number], self.path_offsets[number + 1])
        alphas, values, slopes, weights = (getattr(self, name)[nodes] for name in PER_NODE)
        for end, value in ((0.0, self.baseline_values), (1.0, self.values)):
            if end not in alphas:
                alphas, weights = np.append(alphas, end), np.append(weights, 0.0)
                values, slopes = np.append(values, value.ravel()[number]), np.append(slopes, np.nan)
        order = np.argsort(alphas, kind="stable")
        return Path(alphas[order], values[order], slopes[order], weights[order])

    @property
    def relative_gap(self) -> Floats:
        """``|deltas| / max(|F(x)-F(x')|, 0.01 * L1 norm of the attributions)``, shape of `values`.

        The second term keeps the ratio finite where F(x) and F(x') are nearly equal.
        """
        return relative_gap(self)

    @property
    def relative_error(self) -> Floats:
        """``error`` over the L1 norm of the attributions, shape of `values`; NaN where there is no estimate."""
        return relative_error(self)

    def verdict(self) -> str:
        """Say in words how far the numbers can be trusted."""
        return verdict(self)

    def to_frame(self) -> Any:
        """Return a DataFrame with one row per sample, target and feature.

        Columns: ``sample``, ``target`` (absent where there is none), ``feature``, ``value``, ``baseline``,
        ``attribution``, and ``standard_error`` where there is one. Needs pandas.
        """
        return to_frame(self)

    def plot(self, kind: str | Callable[..., Any] = "auto", **options: Any) -> Any:
        """Draw the explanation; see `pyig.views.show` for the kinds and their options."""
        return _LATER["show"](self, kind, **options)

    def to_html(self, path: str | os.PathLike[str] | None = None, *, interactive: bool = False, **options: Any) -> str:
        """Return a report as one self-contained page, and write it to `path` if one is given.

        The page holds no script, unless `interactive` asks for the views of the widget, which work offline as well.
        """
        page: str = _LATER["interactive" if interactive else "page"](self, **options)
        if path is not None:
            _LATER["replace"](path, lambda file: file.write(page.encode()))
        return page

    def widget(self, model: Any = None, x: Any = None, **options: Any) -> Any:
        """Return the live view: an ipywidgets widget (extra ``notebook``).

        Parameters
        ----------
        model : callable or IntegratedGradients, optional
            Lets the widget ask the model again: other targets, baselines, tolerances, edited values. An explanation
            of ``%ig_explain`` knows its model.
        x : structure of arrays, optional
            The model's input, where it is not `inputs`: for an explanation of a layer.
        **options
            Options of `explain` to ask with, such as ``forward_kwargs``.
        """
        return _LATER["widget"](self, model, x, **options)

    def compare(self, other: Explanation, labels: tuple[str, str] = ("A", "B")) -> Any:
        """Return the live view of this explanation and another, side by side and on one scale."""
        return _LATER["compare"](self, other, labels)

    def _ipython_display_(self) -> None:
        _LATER["display"](self)

    def _repr_html_(self) -> str:
        fragment: str = _LATER["html"](self)
        return fragment

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        del include, exclude  # IPython filters the bundle itself
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write everything to one ``.npz`` file, in one step: a failure leaves an older file as it was.

        Raises
        ------
        SaveFileError
            When the name ends in something other than ``.npz``, or an input holds Python objects.
        """
        written: pathlib.Path = _LATER["write"](
            path, {f.name: getattr(self, f.name) for f in fields(self)}, self._trees()
        )
        return written

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Explanation:
        """Read what `save` wrote. Nothing in the file is executed.

        Raises
        ------
        SaveFileError
            When the file is damaged, of another origin, or from a newer pyig.
        """
        loaded: Explanation = _LATER["read"](path, cls, TREES)
        return loaded


def _plain(value: object) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _canonical(meta: Mapping[str, Any]) -> str:
    """Meta as text, so that NaN equals NaN and the order of keys does not count."""
    return json.dumps(meta, sort_keys=True)
