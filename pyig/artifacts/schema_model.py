"""What a model makes of the columns of a table: its task, its features, its target and its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyig.artifacts.artifact import Problem
from pyig.artifacts.schema import DatasetSchema
from pyig.errors import InputError, unknown

TASKS = ("regression", "binary", "multiclass", "ranking", "text")


@dataclass(frozen=True)
class ModelSchema:
    """The columns of a table by their role.

    Attributes
    ----------
    task : {"regression", "binary", "multiclass", "ranking", "text"}
    features : tuple of str
        What the model takes.
    target : str, optional
        What it was fitted to.
    outputs : tuple of str
        What it gives.
    decisions, metadata : tuple of str
        Columns that the model does not see: what was decided, and what else is kept.
    """

    task: str
    features: tuple[str, ...]
    target: str | None = None
    outputs: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()

    @classmethod
    def infer(
        cls,
        dataset: DatasetSchema,
        target: str,
        features: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        decisions: Sequence[str] = (),
        metadata: Sequence[str] = (),
        task: str | None = None,
    ) -> ModelSchema:
        """Infer roles: features are the columns that have no other role, the task follows from the target.

        A target of two values is binary; a category, or a whole number from a range of at most 20, is multiclass.
        """
        column = dataset[target]
        others = {target, *decisions, *metadata}
        chosen = tuple(name for name in dataset.names if name not in others) if features is None else tuple(features)
        for name in (*chosen, *decisions, *metadata):
            dataset[name]
        count = _count(column)
        if task is None:
            task = "regression" if count is None else "binary" if count == 2 else "multiclass"
        if task not in TASKS:
            raise unknown("task", task, TASKS)
        if outputs is None:
            several = task == "multiclass" and column.categories
            outputs = [f"probability_{name}" for name in column.categories] if several else [f"predicted_{target}"]
        return cls(task, chosen, target, tuple(outputs), tuple(decisions), tuple(metadata))

    def problems(self, dataset: DatasetSchema | None = None) -> Iterator[Problem]:
        """Say where roles contradict each other or the dataset."""
        if self.task not in TASKS:
            yield Problem(
                "error", "schema.model.task", f"expected one of {', '.join(TASKS)}; got {self.task!r}", "Choose"
            )
        if not self.features:
            yield Problem("error", "schema.model.features", "expected at least one; got none", "Name the features")
        if self.task in ("regression", "binary") and len(self.outputs) > 1:
            yield Problem(
                "error",
                "schema.model.outputs",
                f"expected one output for {self.task}; got {', '.join(self.outputs)}",
                "Name one, or change the task",
            )
        if self.task == "multiclass" and len(self.outputs) == 1:
            yield Problem(
                "warning",
                "schema.model.outputs",
                "expected an output for each class; got one",
                "Name one for each class",
            )
        roles: dict[str, str] = {}
        for role, names in self._roles().items():
            for name in names:
                if name in roles:
                    yield Problem(
                        "error", f"schema.model.{role}", f"{name!r} is among {roles[name]} too", "Give it one role"
                    )
                roles.setdefault(name, role)
                if dataset is not None and name not in dataset.names:
                    yield Problem(
                        "error", f"schema.model.{role}", f"{name!r} is no column of the dataset", "Correct the name"
                    )

    def _roles(self) -> dict[str, tuple[str, ...]]:
        target = () if self.target is None else (self.target,)
        return {"features": self.features, "target": target, "decisions": self.decisions, "metadata": self.metadata}

    def data(self) -> dict[str, Any]:
        """Return the schema as JSON data."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items() if v not in (None, ())}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ModelSchema:
        """Read what `data` returns."""
        known = list(cls.__dataclass_fields__)
        for key in data:
            if key not in known:
                raise unknown("key of the model schema", key, known)
        if "task" not in data or not isinstance(data.get("features"), list):
            raise InputError("expected the model schema to have 'task', and 'features' as a list")
        given: dict[str, Any] = {k: tuple(map(str, v)) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**given)


def _count(column: Any) -> int | None:
    """Return how many values a target has, where it is a class."""
    if column.kind == "boolean":
        return 2
    if column.kind == "category":
        return len(column.categories)
    if column.kind == "integer" and column.minimum is not None and column.maximum - column.minimum < 20:
        return int(column.maximum - column.minimum) + 1
    return None
