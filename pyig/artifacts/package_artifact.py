"""A model package as an artifact: rows in the user's words go in, attributions in the user's words come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyig.artifacts.artifact import Problem
from pyig.artifacts.package import ModelPackage
from pyig.artifacts.package_contract import Encodings, Generation
from pyig.artifacts.package_first import FirstGeneration
from pyig.artifacts.package_loading import Loaded
from pyig.artifacts.package_own import OwnGeneration
from pyig.artifacts.package_second import SecondGeneration
from pyig.artifacts.package_steps import MOST, RULE, until_complete
from pyig.artifacts.package_table import frame
from pyig.artifacts.schema_file import Schemas
from pyig.baselines import several
from pyig.contracts import Ints
from pyig.errors import InputError, unknown
from pyig.explanation import Explanation

Table = Any
COMPAT = ("fiddler",)
_OWN: dict[str, Any] = {"compat": None, "max_allowed_error": None, "max_steps": MOST}


class PackageArtifact:
    """A model package on disk.

    Parameters
    ----------
    loaded : Loaded
        Its code, which runs because it is trusted.
    chosen : dict
        Options of `explain` that every call has unless it says otherwise: how to keep to the package's limit.
    """

    kind = "package"

    def __init__(self, loaded: Loaded, chosen: Mapping[str, Any] | None = None) -> None:
        self._chosen = dict(chosen or {})
        self.path: Path = loaded.path
        self.model = loaded.model
        self.schemas = Schemas.read(loaded.path)
        self.generation: Generation = _generation(loaded)

    @property
    def columns(self) -> tuple[str, ...]:
        """What a row must have; empty where neither the package nor a schema says."""
        return self.generation.columns or self.schemas.features

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.generation.outputs or self.schemas.outputs

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What the package asks of the integration: `max_allowed_error` as a tolerance, and its cap."""
        limit = self._chosen.get("max_allowed_error")
        own = {} if limit is None else {"rtol": min(_limit(limit) / 100, 0.99)}
        return {**self.generation.options(), **own}

    def predict(self, rows: Table) -> NDArray[Any]:
        """Return the model's outputs, (N, C)."""
        return self.generation.predict(frame(rows, self.columns))

    def explain(
        self,
        rows: Table,
        target: Any = None,
        *,
        baselines: Any = None,
        **options: Any,
    ) -> Explanation:
        """Explain rows in the package's features.

        Parameters
        ----------
        rows : DataFrame, dict of columns, or list of dicts
        target : optional
            As for `pyig.IntegratedGradients.explain`, or the name of an output.
        baselines : optional
            A row (dict or DataFrame of one) in the place of the package's own baseline; for a `ModelPackage` also
            several of them (`pyig.several`), and what `pyig.IntegratedGradients.explain` takes.
        compat : {"fiddler"}, optional
            Take the published steps (20, 120, 220, ... nodes of the trapezoid rule, each time from the start) until
            the gap is at most `max_allowed_error` percent of F(x) - F(x').
        max_allowed_error : float, optional
            In percent; by default the package's own. Otherwise than with `compat` it is the tolerance ``rtol``.
        max_steps : int, default 2048
            With `compat`: cap on the nodes.
        **options
            Of `pyig.IntegratedGradients.explain`.

        Raises
        ------
        ModelError
            Where a method of the package raises; it names the method.
        """
        generation = self.generation
        table = frame(rows, self.columns)
        kept = {name: options.pop(name, self._chosen.get(name, value)) for name, value in _OWN.items()}
        compat, max_allowed_error, max_steps = kept.values()
        limit = generation.limit if max_allowed_error is None else _limit(max_allowed_error)
        target = self._target(target)
        encodings = self._encoded(table, baselines)
        given = {**generation.options(), **({} if limit is None else {"rtol": min(limit / 100, 0.99)}), **options}
        if compat is None:
            explained = generation.integrate(encodings, target, given)
        else:
            if compat not in COMPAT:
                raise unknown("compat", compat, COMPAT)
            explained = self._by_schedule(encodings, target, given, limit, max_steps)
        found = generation.project(encodings, explained)
        about = {"artifact": self.kind, "model": type(self.model).__qualname__, "compat": compat}
        return replace(found, meta=found.meta | about)

    def describe(self) -> dict[str, Any]:
        """Return what there is to say of the package, as JSON data."""
        return {
            "kind": self.kind,
            "path": str(self.path),
            "contract": self.generation.kind,
            "columns": list(self.columns),
            **self.generation.describe(),
            "outputs": list(self.outputs),
            "schema": self.schemas.data(),
        }

    def problems(self, rows: Table | None = None) -> Iterator[Problem]:
        """Look for everything that would keep the package from being explained, and do not stop at the first."""
        from pyig.artifacts.package_problems import problems

        return problems(self, rows)

    def _by_schedule(
        self, encodings: Encodings, target: Any, options: Mapping[str, Any], limit: float | None, most: int
    ) -> Explanation:
        left_out = ("method", "n_steps", "max_evals")
        asked = [name for name in left_out if name in options and name not in self.generation.options()]
        if asked:
            raise InputError(f"expected no {', '.join(asked)} with compat='fiddler', which sets the steps itself")
        kept = {name: value for name, value in options.items() if name not in left_out}
        several = np.ndim(target) > 0 and not isinstance(target, tuple) and len(target) == len(encodings.rows)
        per_row = np.asarray(target) if several else None

        def explain(rows: Ints, n: int) -> Explanation:
            chosen = target if per_row is None else per_row[rows]
            return self.generation.integrate(encodings.take(rows), chosen, {**kept, "method": RULE, "n_steps": n})

        if limit is None:
            return explain(np.arange(len(encodings.rows)), getattr(self.generation, "steps", 10))
        return until_complete(explain, len(encodings.rows), limit, most)

    def _encoded(self, table: Table, baselines: Any) -> Encodings:
        if baselines is None:
            return self.generation.encode(table)
        if isinstance(baselines, Mapping) or hasattr(baselines, "iloc"):
            return self.generation.encode(table, self._start(baselines, len(table)))
        if not isinstance(self.generation, OwnGeneration):
            raise InputError(
                f"expected baselines= as one row, a dict of columns, for a package of {self.generation.kind}; got "
                f"{type(baselines).__qualname__}. Leave it out for the package's own"
            )
        if isinstance(baselines, several):
            items = [
                self.generation.encode(table, self._start(item, len(table))).baselines
                if isinstance(item, Mapping)
                else item
                for item in baselines.items
            ]
            baselines = several(items)
        return replace(self.generation.encode(table), baselines=baselines)

    def _start(self, row: Any, count: int) -> Table:
        """Return one row as often as there are rows to explain."""
        found = frame(row, self.columns)
        if len(found) not in (1, count):
            raise InputError(f"expected baselines= of 1 or {count} rows; got {len(found)}")
        return found if len(found) == count else found.iloc[[0] * count].reset_index(drop=True)

    def _target(self, target: Any) -> Any:
        """Return the index of an output given by name."""
        if isinstance(target, str) and target in self.outputs:
            return self.outputs.index(target)
        return target


def _generation(loaded: Loaded) -> Generation:
    model = loaded.model
    if isinstance(model, ModelPackage):
        return OwnGeneration(loaded)
    if callable(getattr(model, "compute_gradients", None)) or callable(getattr(model, "get_ig_baseline", None)):
        return SecondGeneration(loaded)
    return FirstGeneration(loaded)


def _limit(value: Any) -> float:
    from pyig.artifacts.package_first import limit_of

    found = limit_of(value)
    assert found is not None
    return found
