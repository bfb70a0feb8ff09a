"""Everything that would keep a package from being explained: every check runs, whatever the others found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pyig.artifacts.artifact import Problem
from pyig.artifacts.package_contract import Encodings
from pyig.artifacts.package_rows import REST
from pyig.artifacts.package_table import frame
from pyig.errors import PyigError
from pyig.explanation import Explanation

if TYPE_CHECKING:
    from pyig.artifacts.package_artifact import PackageArtifact

Table = Any
LARGE_ERROR = 20.0  # percent: attributions that far off are no account of the model
_FEW = 5
_SEE = "Correct it; predict() and explain() of the artifact raise the same with the place in its traceback"
_GAP = 0.05


def problems(artifact: PackageArtifact, rows: Table | None) -> Iterator[Problem]:
    """Check the schema, the methods, and one explanation of a few real rows, or of invented ones."""
    yield from _schema(artifact)
    absent = artifact.generation.missing()
    for name in absent:
        yield Problem("error", f"package.py: {name}", "expected this method; it is not there", f"Write {name}()")
    yield from _limit(artifact)
    table, found = _rows(artifact, rows)
    yield from found
    if table is None:
        return
    yield from _predict(artifact, table)
    if absent:
        return
    encodings, found = _tried("package.py: input and baseline", lambda: artifact.generation.encode(table), _SEE)
    yield from found
    if encodings is not None:
        yield from _ends(encodings)
        yield from _explain(artifact, encodings)


def _schema(artifact: PackageArtifact) -> Iterator[Problem]:
    schemas = artifact.schemas
    if schemas.model is not None:
        yield from schemas.model.problems(schemas.dataset)
        named = artifact.generation.outputs
        if named and schemas.outputs and named != schemas.outputs:
            yield Problem(
                "error",
                "schema.model.outputs",
                f"expected the package's outputs, {', '.join(named)}; got {', '.join(schemas.outputs)}",
                "Make both the same",
            )
        own = artifact.generation.columns
        if own and set(own) != set(schemas.features):
            yield Problem(
                "error",
                "schema.model.features",
                f"expected the package's columns, {', '.join(own)}; got {', '.join(schemas.features)}",
                "Make both the same",
            )


def _limit(artifact: PackageArtifact) -> Iterator[Problem]:
    limit = artifact.generation.limit
    if limit is not None and limit > LARGE_ERROR:
        yield Problem(
            "warning",
            "package.py: max_allowed_error",
            f"expected a small percentage; got {limit:g} %",
            "Set it to 5 or less: the cost grows little",
        )
    elif limit is not None and limit < 0.001:
        yield Problem(
            "warning",
            "package.py: max_allowed_error",
            f"expected a percentage that float32 can reach; got {limit:g} %",
            "It counts percent: 1 is one per cent",
        )


def _rows(artifact: PackageArtifact, rows: Table | None) -> tuple[Table | None, list[Problem]]:
    """Return a few rows to try the package on."""
    dataset = artifact.schemas.dataset
    columns = artifact.columns
    if rows is None:
        if dataset is None and not columns:
            cure = "Pass rows, or write a schema.json: DatasetSchema.infer(table)"
            return None, [Problem("error", "rows", "expected rows to try, or a schema to invent them from", cure)]
        if dataset is not None:
            return dataset.mock(3, columns or None), []
        import pandas as pd

        return pd.DataFrame({name: [1.0, 0.5, 2.0] for name in columns}), []
    found = [] if dataset is None else list(dataset.problems(frame(rows), columns or None))
    table, tried = _tried("rows", lambda: frame(rows, columns), "Give every row what the package takes")
    return None if table is None else table.iloc[:_FEW], [*found, *tried]


def _predict(artifact: PackageArtifact, table: Table) -> Iterator[Problem]:
    where = "package.py: predict"
    outputs, found = _tried(where, lambda: artifact.generation.predict(table), _SEE)
    yield from found
    if outputs is None:
        return
    named = artifact.outputs
    if named and outputs.shape[1] != len(named):
        yield Problem(
            "error",
            where,
            f"expected {len(named)} output columns, {', '.join(named)}; got {outputs.shape[1]}",
            "Name every output of the model in output_columns, in its order",
        )
    if outputs.dtype.kind not in "fiub" or not np.isfinite(outputs.astype(np.float64)).all():
        yield Problem("error", where, "expected finite numbers; got others", "Check the model and its inputs")
    alone, found = _tried(
        where, lambda: artifact.generation.predict(table.iloc[:1].copy()), "Make it take a single row"
    )
    yield from found
    if alone is not None and outputs.dtype.kind == "f" and not np.allclose(alone[0], outputs[0], rtol=1e-3, atol=1e-5):
        yield Problem(
            "error",
            where,
            "expected a row alone to be predicted as it is among others; the outputs differ",
            "Let no row depend on the others: means, ranks and batch statistics belong into the model",
        )


def _ends(encodings: Encodings) -> Iterator[Problem]:
    """Compare both ends of the paths, leaf by leaf."""
    if not isinstance(encodings.x, dict) or not isinstance(encodings.baselines, dict):
        return
    for name, leaf in encodings.x.items():
        start = encodings.baselines.get(name)
        where = f"package.py: baseline of {name!r}"
        if start is None:
            yield Problem("error", where, "expected a baseline; it is not there", "Give it the columns of the input")
            continue
        x, start = np.asarray(leaf), np.asarray(start)
        if start.shape[1:] != x.shape[1:]:
            yield Problem(
                "error", where, f"expected shape {x.shape}; got {start.shape}", "Give it the shape of the input"
            )
        elif start.dtype.kind == "f" and np.array_equal(x, np.broadcast_to(start, x.shape)):
            yield Problem(
                "warning", where, "it is the input itself, so that nothing is attributed", "Choose another baseline"
            )


def _explain(artifact: PackageArtifact, encodings: Encodings) -> Iterator[Problem]:
    generation = artifact.generation
    options = {**generation.options(), "progress": False}
    target = 0 if len(artifact.outputs) > 1 else None
    explained, found = _tried("package.py: gradients", lambda: generation.integrate(encodings, target, options), _SEE)
    yield from found
    if explained is None:
        return
    yield from _completeness(explained)
    projected, found = _tried(
        "package.py: project_attributions",
        lambda: generation.project(encodings, explained),
        _SEE,
    )
    yield from found
    if projected is not None:
        yield from _features(artifact, projected, encodings.rows)


def _completeness(explained: Explanation) -> Iterator[Problem]:
    if (explained.relative_gap > _GAP).any() and not explained.converged.all():
        yield Problem(
            "error",
            "package.py: gradients",
            "expected the attributions to add up to F(x) - F(x'); the gap is "
            f"{100 * float(np.nanmax(explained.relative_gap)):.2g} %",
            "Check that gradients and predict() are of the same output, and that the baseline is the same for both",
        )


def _features(artifact: PackageArtifact, projected: Explanation, rows: Table) -> Iterator[Problem]:
    where = "package.py: project_attributions"
    names = set(projected.attributions)
    wanted = set(artifact.columns or map(str, rows.columns))
    if REST in names and np.any(projected.attributions[REST]):
        yield Problem(
            "warning",
            where,
            "expected the attributions to keep their sum; a part of them has no feature",
            f"Give every element to a feature; until then the rest stands under {REST!r}",
        )
    for name in sorted(wanted - names):
        yield Problem("warning", where, f"expected an attribution of {name!r}; there is none", "Add it, be it 0")
    for name in sorted(names - wanted - {REST}):
        yield Problem("warning", where, f"{name!r} is no column of the rows", "Use the names of the columns")


def _tried(where: str, action: Callable[[], Any], cure: str) -> tuple[Any, list[Problem]]:
    """Return what an action gives, or None and what it raised."""
    try:
        return action(), []
    except PyigError as error:
        return None, [Problem("error", where, str(error).rstrip("."), cure)]
    except Exception as error:  # a package's data may break anything
        return None, [Problem("error", where, f"{type(error).__name__}: {error}".rstrip("."), cure)]
