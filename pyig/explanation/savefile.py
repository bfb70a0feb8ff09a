"""One explanation in one ``.npz`` file: plain numpy arrays, and one JSON entry for the rest.

Nothing in the file is executed: arrays are read with ``allow_pickle=False``. ``unzip -p e.npz explanation.json``
shows what it holds. Every reader refuses a format number above its own, so a new format never loads half.
"""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, TypeVar

import numpy as np

from pyig.errors import InputError, SaveFileError
from pyig.explanation.arrays import Array, rebuild
from pyig.tree import flatten, from_json, names, to_json

FORMAT = "pyig.explanation"
VERSION = 2  # 2: structures beside those that are always there, such as standard_error
ENTRY = "explanation.json"
_ALWAYS = 3  # structures of format 1

T = TypeVar("T")


def write(path: str | os.PathLike[str], data: Mapping[str, Any], trees: Sequence[str]) -> pathlib.Path:
    """Write the fields of an explanation; `trees` names those that are structures of arrays."""
    target = pathlib.Path(path)
    if target.suffix not in ("", ".npz"):
        raise SaveFileError(
            f"expected a file name ending in .npz; got {target.name!r}. For a report use to_html(path), for a picture "
            "plot().savefig(path), for a table to_frame().to_csv(path)"
        )
    arrays: dict[str, Array] = {}
    entry: dict[str, Any] = {"format": FORMAT, "version": 1, "structures": {}, "plain": {}}
    for name, value in data.items():
        if name in trees:
            leaves, spec = flatten(value)
            entry["structures"][name] = to_json(spec)
            arrays |= {f"{name}.{i}": leaf for i, leaf in enumerate(leaves)}
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        elif value is not None:  # what is not there is not written: an older pyig would not know its name
            entry["plain"][name] = value
    if len(entry["structures"]) > _ALWAYS:  # an older pyig reads every file that it understands
        entry["version"] = VERSION
    objects = [name for name, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise SaveFileError(
            f"expected arrays of numbers or text; {', '.join(objects)} hold(s) Python objects, which need pickle. "
            "Explain an input of a plain dtype (astype(float) or astype(str)), or drop that input before saving"
        )
    replace(target, lambda file: _write_zip(file, arrays, entry))
    return target


def read(path: str | os.PathLike[str], make: Callable[..., T], trees: Sequence[str]) -> T:
    """Read a file that `write` wrote and hand its fields to `make`."""
    target = pathlib.Path(path)
    with target.open("rb") as file:  # outside the try: a missing file is a FileNotFoundError, not a damaged one
        try:
            entry, arrays = _read_zip(file)
            data: dict[str, Any] = dict(entry["plain"])
            for name in dict.fromkeys([*trees, *entry["structures"]]):  # those always there, then what else there is
                spec = from_json(entry["structures"][name])
                leaves = [arrays.pop(f"{name}.{i}") for i in range(len(names(spec)))]
                data[name] = rebuild(spec, leaves)
            return make(**data, **arrays)
        except SaveFileError as error:
            raise SaveFileError(f"{target.name}: {error}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise SaveFileError(
                f"{target.name}: expected a saved explanation; the file is damaged ({error})"
            ) from error
        except (InputError, KeyError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError) as error:
            raise SaveFileError(
                f"{target.name}: expected a saved explanation; its content does not fit together "
                f"({type(error).__name__}: {error}). Save it again from its source"
            ) from error


def replace(path: str | os.PathLike[str], fill: Callable[[BinaryIO], object]) -> None:
    """Write a file under another name and move it into place: readers see the old file or the whole new one."""
    target = pathlib.Path(path).resolve()  # through a link, so that the link stays
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _write_zip(file: BinaryIO, arrays: Mapping[str, Array], entry: Mapping[str, Any]) -> None:
    # Stored, not deflated: float noise hardly shrinks, and deflating it is slower than any disk.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(ENTRY, json.dumps(entry, indent=1))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asarray(array), allow_pickle=False)


def _read_zip(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Array]]:
    if file.read(2) != b"PK":
        raise SaveFileError("expected a saved explanation (.npz); this is another kind of file")
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        if ENTRY not in archive.namelist():
            raise SaveFileError(
                f"expected a saved explanation; this .npz has no entry {ENTRY}, so pyig did not write it"
            )
        entry = json.loads(archive.read(ENTRY))
        _check_header(entry)
        arrays = {}
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as part:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(part, allow_pickle=False)
        return entry, arrays


def _check_header(entry: Any) -> None:
    if not isinstance(entry, dict) or entry.get("format") != FORMAT:
        raise SaveFileError(f"expected the format {FORMAT!r} in {ENTRY}; pyig did not write this file")
    version = entry.get("version")
    if not isinstance(version, int) or version < 1:
        raise SaveFileError(f"expected a format number from 1 to {VERSION}; got {version!r}")
    if version > VERSION:
        raise SaveFileError(
            f"written in format {version} by a newer pyig; this one reads up to {VERSION}. Upgrade pyig-explain"
        )
