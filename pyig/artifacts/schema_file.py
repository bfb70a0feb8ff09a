"""The schemas of a package on disk: `schema.json`, with the dataset and the model in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyig.artifacts.schema import DatasetSchema
from pyig.artifacts.schema_model import ModelSchema
from pyig.errors import InputError

NAME = "schema.json"
FORMAT = "pyig.schema"
VERSION = 1


@dataclass(frozen=True)
class Schemas:
    """What a package says of its columns; nothing where it has no `schema.json`."""

    dataset: DatasetSchema | None = None
    model: ModelSchema | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that the model takes, where it is known."""
        return () if self.model is None else self.model.features

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, where they are known."""
        return () if self.model is None else self.model.outputs

    @classmethod
    def read(cls, folder: Path) -> Schemas:
        """Read the file in a folder.

        Raises
        ------
        InputError
            Where it is no schema, or one of a newer pyig.
        """
        file = folder / NAME
        if not file.exists():
            return cls()
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"expected JSON in {str(file)!r}: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError(f"expected the format {FORMAT!r} in {str(file)!r}; pyig did not write this file")
        if data.get("version") != VERSION:
            raise InputError(f"expected version {VERSION} in {str(file)!r}; got {data.get('version')!r}. Upgrade pyig")
        dataset, model = data.get("dataset"), data.get("model")
        try:
            return cls(
                None if dataset is None else DatasetSchema.from_data(dataset),
                None if model is None else ModelSchema.from_data(model),
            )
        except InputError as error:
            raise InputError(f"{str(file)!r}: {error}") from error

    def write(self, folder: Path) -> Path:
        """Write the file into a folder, and return its path."""
        file = Path(folder) / NAME
        file.write_text(json.dumps(self.data(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return file

    def data(self) -> dict[str, Any]:
        """Return both schemas as JSON data; an empty dict where there are none."""
        parts = {"dataset": self.dataset, "model": self.model}
        found = {name: part.data() for name, part in parts.items() if part is not None}
        return {"format": FORMAT, "version": VERSION, **found} if found else {}
