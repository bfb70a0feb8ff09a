"""An artifact whose inputs have names: rows go in by column, attributions come out by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from pyig.artifacts.artifact import Problem, Table
from pyig.artifacts.named_check import check
from pyig.artifacts.named_words import WithStill, Words, baselines_for
from pyig.artifacts.signatures import Tensor
from pyig.artifacts.table_inputs import TableInputs
from pyig.baselines import several
from pyig.errors import InputError, unknown
from pyig.explainer import IntegratedGradients
from pyig.explanation import Explanation
from pyig.projections import project

_ASKED = ("predicted", "top")


class Part(Protocol):
    """The part of a model that is explained: from the tensors that gradients are taken to, to the output."""

    @property
    def encoded(self) -> Mapping[str, Tensor]:
        """Where gradients are taken, by input name."""
        ...

    @property
    def behind(self) -> frozenset[str]:
        """Inputs that another tensor stands for."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the gradients."""
        ...

    @property
    def output_kind(self) -> str | None:
        """``"probabilities"`` where that is known and the explainer cannot see it."""
        ...

    def explainer(self) -> IntegratedGradients:
        """Return the explainer of the part; the same one every time."""
        ...

    def ends(self, arrays: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return what is explained, as the explainer takes it, and its keyword arguments."""
        ...

    def arranged(self, values: Mapping[str, Any]) -> Any:
        """Return values by input name as the explainer takes them."""
        ...

    def encode_one(self, name: str, value: Any) -> Any:
        """Return a user's value of one input as a value of the tensor that stands for it."""
        ...

    def leaf(self, name: str) -> str:
        """Return the name that the explainer gives the tensor of an input."""
        ...


class Source(Protocol):
    """A model on disk that was opened."""

    @property
    def inputs(self) -> Mapping[str, Tensor]:
        """What the model takes, by name."""
        ...

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Values of inputs that rows may leave out."""
        ...

    @property
    def output_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the output, batch axis first, where the file says it."""
        ...

    @property
    def output_name(self) -> str:
        """Name of the output that is explained."""
        ...

    def predict(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the outputs."""
        ...

    def part(self) -> Part:
        """Return what is explained; an error where gradients reach no input."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what is in the file, as JSON data."""
        ...


class NamedArtifact:
    """The face of `pyig.artifacts.Artifact` for models whose inputs have names.

    Parameters
    ----------
    kind, path
        As in `Artifact`.
    source : Source
        The opened model.
    columns : sequence of str, or dict of them, optional
        The columns that make up a vector input.
    output_names : sequence of str, optional
        Names for the outputs, which targets may then be given by. Two names for one output, the probability of the
        second: then target 0 is the probability of the first, and 1 the default.
    """

    def __init__(
        self,
        kind: str,
        path: Path,
        source: Source,
        columns: Any = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.kind = kind
        self.path = path
        self.source = source
        self.defaults: Mapping[str, Any] = {}
        self._names = tuple(str(name) for name in output_names or ())
        self._table = TableInputs(source.inputs, columns, source.defaults)

    @property
    def named(self) -> bool:
        """Whether the outputs were given names."""
        return bool(self._names)

    @property
    def columns(self) -> tuple[str, ...]:
        """What a row must have; a vector input whose columns were not named counts as one."""
        return self._table.columns

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The columns that were named for vector inputs."""
        return self._table.given

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs: those that were given, else ``name`` or ``name[0]``, ``name[1]`` of the tensor."""
        shape, name = self.source.output_shape, self.source.output_name
        if self._names or shape is None or len(shape) > 2 or shape[-1] is None:
            return self._names or (name,)
        return (name,) if len(shape) < 2 or shape[1] == 1 else tuple(f"{name}[{i}]" for i in range(shape[1] or 0))

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the model's outputs, shape (N, ...)."""
        return self.source.predict(self._table.arrays(rows)[0])

    def explain(self, rows: Table, target: Any = None, **options: Any) -> Explanation:
        """Explain rows; the attributions are a dict, one leaf for each column, (N,) or (N, T).

        Parameters
        ----------
        rows : DataFrame, dict of arrays, list of dicts
            N rows.
        target : int, str, tuple, array, optional
            As for `pyig.IntegratedGradients.explain`; also one of `outputs` by name.
        **options
            As for `pyig.IntegratedGradients.explain`. ``baselines`` as a dict is by column or input, in the user's
            values.
        """
        if options.get("layer") is not None:
            raise InputError(f"expected layer= where the model is opened: load({self.path.name!r}, layer=...)")
        part = self.source.part()
        arrays, groups = self._table.arrays(rows)
        words = Words(arrays, groups, part.behind)
        given = baselines_for(options.pop("baselines", None), groups, list(part.encoded), part.encode_one)
        x, kwargs = part.ends(arrays)
        given = _arranged(given, part)
        if kwargs:
            options["forward_kwargs"] = {**kwargs, **(options.get("forward_kwargs") or {})}
        target = self._target(target)
        if not callable(target):
            options.setdefault("output_kind", part.output_kind)
            options.setdefault("output_names", self._names or None)
            if self._two_classes:
                options["value"] = options.get("value") or "probability"
                target = 1 if target is None else target
        explainer = part.explainer()
        if isinstance(explainer, IntegratedGradients):
            options["layer"] = False  # what stands for whole numbers is said where the model is opened
        found = explainer.explain(x, given, target, **options)
        return self._in_words(found, part, words)

    def describe(self) -> dict[str, Any]:
        """Return what `pyig info` prints, as JSON data."""
        about = {
            "kind": self.kind,
            "path": str(self.path),
            "columns": list(self.columns),
            "outputs": list(self.outputs),
        }
        return {**about, **self.source.describe()}

    def problems(self, rows: Table | None = None) -> Iterator[Problem]:
        """Look for what would keep the model from being explained, on real rows or on invented ones."""
        yield from check(self, self.source, rows)

    def _in_words(self, found: Explanation, part: Part, words: Words) -> Explanation:
        leaves = {leaf.name: leaf for leaf in found.leaves()}
        names = {name: part.leaf(name) for name in words.arrays if part.leaf(name) in leaves}
        table: dict[str, Any] = {leaf: words.projection(n, leaves[leaf].inputs.shape) for n, leaf in names.items()}
        still = [name for name in words.arrays if name not in names and words.arrays[name].ndim]
        first = next(iter(table))
        table[first] = WithStill(table[first], words, still)
        notes = [*found.meta.get("notes", []), *part.notes]
        fixed = [name for name in words.arrays if name not in part.encoded]
        if fixed:
            notes.append(f"held fixed, so without attribution: {', '.join(fixed)}")
        meta = {**found.meta, "notes": notes, "artifact": self.kind, "model": self.path.name}
        return project(replace(found, feature_names=None, meta=meta), table)

    @cached_property
    def _two_classes(self) -> bool:
        """Whether two names stand for one output, the probability of the second."""
        shape = self.source.output_shape
        return len(self._names) == 2 and shape is not None and shape[1:] in ((), (1,))

    def _target(self, target: Any) -> Any:
        if isinstance(target, str) and target in self.outputs:
            return self.outputs.index(target)
        if not isinstance(target, str) or target.startswith(_ASKED):
            return target
        raise unknown("target", target, [*self.outputs, "predicted", "top3"])


def _arranged(given: Any, part: Part) -> Any:
    """Return baselines by tensor, each of several too, as the model takes its inputs; others as they are."""
    if isinstance(given, several):
        return several([_arranged(item, part) for item in given.items])
    return part.arranged(given) if isinstance(given, Mapping) else given
