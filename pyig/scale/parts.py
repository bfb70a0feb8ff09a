"""What is kept of an unfinished job: one file per finished chunk, beside the output, and what job they belong to.

A part is moved into place whole, so what is there is finished, whatever moment the process was killed at.
"""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pyig.errors import InputError, SaveFileError
from pyig.explanation.savefile import replace
from pyig.scale.columns import Array

MANIFEST, VERSIONS, LOCK = "job.json", "versions.json", "lock"


@dataclass(frozen=True)
class Part:
    """The results of a chunk.

    Attributes
    ----------
    row : int64 array (R,)
        Number of the input row that each output row belongs to.
    explained : bool array (R,)
        False where the row is only marked.
    columns : dict of str to array
        For the rows that were explained, (E,) or (E, T).
    problems : array of text (R,)
        Empty where there is none.
    ids : array (R,), optional
        The user's own names of the rows.
    summary : dict
        What the account of the whole job is made of.
    """

    row: Array
    explained: Array
    columns: dict[str, Array]
    problems: Array
    ids: Array | None = None
    summary: dict[str, Any] = field(default_factory=dict)


class Parts:
    """The folder of a job's parts.

    Parameters
    ----------
    out : Path
        The output; the folder is ``<out>.parts`` beside it.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(f"{out.name}.parts")
        self._lock: Any = None
        self.begun = False

    def open(self, job: Mapping[str, Any], restart: bool) -> set[int]:
        """Begin a job or go on with it; return the numbers of the chunks that are done.

        Raises
        ------
        InputError
            When the parts belong to another job, or another process is at work on them.
        """
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"expected to write beside the output; {error}. Choose another place for it") from error
        foreign = [path.name for path in self.folder.iterdir() if not _own(path.name)]
        if foreign:
            raise InputError(
                f"expected {self.folder} to hold parts of a job and nothing else; found {foreign[0]!r}. "
                "Move it away, or choose another output"
            )
        self._take_lock()
        if restart:
            self._clear()
        manifest = self.folder / MANIFEST
        if not manifest.exists() or self.empty:
            self._clear()
            replace(manifest, lambda file: file.write(json.dumps(job, indent=1).encode()))
        changes = _changes(json.loads(manifest.read_text(encoding="utf-8")), job)
        if changes:
            raise InputError(
                f"expected the job that was begun in {self.folder.name}; since then changed: {'; '.join(changes)}. "
                "Run it as it was, start over with restart=True (--restart), or choose another output"
            )
        self.begun = True
        return {int(path.stem) for path in self.folder.glob("*.npz")}

    @property
    def empty(self) -> bool:
        """Whether no chunk is finished, so that there is nothing that another job could be mixed with."""
        return not any(self.folder.glob("*.npz"))

    def close(self) -> None:
        """Let others work on the job."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def put(self, number: int, part: Part) -> None:
        """Keep a chunk."""
        header = {
            "first": int(part.row[0]) if len(part.row) else None,
            "columns": {name: [_kind(array), array.ndim > 1] for name, array in part.columns.items()},
            "summary": part.summary,
        }
        arrays = {"header": np.array(json.dumps(header)), "row": part.row, "explained": part.explained}
        arrays |= {"problems": part.problems} | ({} if part.ids is None else {"ids": part.ids})
        arrays |= {f"column.{i}": array for i, array in enumerate(part.columns.values())}
        replace(self._path(number), lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]

    def get(self, number: int) -> Part:
        """Read a chunk back; the zip's own sums tell whether it is whole."""
        with self._reading(number) as file:
            header = json.loads(str(file["header"]))
            columns = {name: file[f"column.{i}"] for i, name in enumerate(header["columns"])}
            ids = file.get("ids", None)
            return Part(file["row"], file["explained"], columns, file["problems"], ids, header["summary"])

    def header(self, number: int) -> dict[str, Any]:
        """Read what is told of a chunk without its numbers: ``first``, ``columns`` with their kinds, ``summary``."""
        with self._reading(number) as file:
            header: dict[str, Any] = json.loads(str(file["header"]))
            return header

    def agree(self, versions: Mapping[str, str]) -> None:
        """Check that a chunk was made by the same packages as the others."""
        place, now = self.folder / VERSIONS, {"versions": dict(versions)}
        if not place.exists():
            replace(place, lambda file: file.write(json.dumps(now).encode()))
        changes = _changes(json.loads(place.read_text(encoding="utf-8")), now)
        if changes:
            raise InputError(
                f"expected the packages that {self.folder.name} was begun with; since then changed: "
                f"{'; '.join(changes)}. Install those, or start over with restart=True (--restart)"
            )

    def remove(self) -> None:
        """Delete the parts, once the output is there."""
        self._clear()
        self.close()
        (self.folder / LOCK).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another process has just begun the next job there
            self.folder.rmdir()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    @contextmanager
    def _reading(self, number: int) -> Iterator[Any]:
        path = self._path(number)
        try:
            with np.load(path, allow_pickle=False) as file:
                yield file
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
            raise SaveFileError(
                f"{path.name} in {path.parent.name}: expected a part of a job; the file is damaged ({error}). "
                "Delete it and run the job again: the other parts are kept"
            ) from error

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != LOCK:
                path.unlink()

    def _take_lock(self) -> None:
        """Lock the folder for this process; the system lets go of it however the process ends."""
        self._lock = (self.folder / LOCK).open("a")
        try:
            import fcntl
        except ImportError:  # Windows: two jobs on one output are then the user's own care
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise InputError(
                f"expected to be alone at work in {self.folder}; another process has it open. Wait for it, or choose "
                "another output"
            ) from error


def _own(name: str) -> bool:
    draft = name.startswith(".") and name.endswith(".part")
    return draft or name in (MANIFEST, VERSIONS, LOCK) or (name.endswith(".npz") and name[:-4].isdigit())


def _kind(array: Array) -> str:
    return "U" if array.dtype.kind == "U" else f"{array.dtype.kind}{array.dtype.itemsize}"


def _changes(before: Any, now: Any, path: str = "") -> list[str]:
    """List what differs in two JSON values, by the path of each difference."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = list(dict.fromkeys([*before, *now]))
        return [line for name in names for line in _changes(before.get(name), now.get(name), f"{path} {name}".strip())]
    if before == now:
        return []
    if path.endswith("sha256"):
        return [f"the content of {path.removesuffix('sha256').strip()}"]
    return [f"{path} ({_said(before)}, now {_said(now)})"]


def _said(value: Any) -> str:
    return "none" if value is None else os.fspath(value) if isinstance(value, str) else json.dumps(value)
