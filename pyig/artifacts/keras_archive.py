"""What a ``.keras`` or ``.h5`` file holds, read without Keras and without running anything of it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from pyig.errors import InputError, missing

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


@dataclass(frozen=True)
class Archive:
    """A model file.

    Attributes
    ----------
    format : {"keras", "h5"}
    version : str
        Of the Keras that wrote it; ``""`` where it does not say, as before Keras 2.
    config : dict
        The model's architecture.
    links : tuple of str
        Data sets that point to other files.
    """

    format: str
    version: str
    config: dict[str, Any]
    links: tuple[str, ...]

    @property
    def legacy(self) -> bool:
        """Whether Keras 2 or older wrote it."""
        return not self.version or int(self.version.partition(".")[0]) < 3


def read(path: Path) -> Archive:
    """Read the architecture and the version.

    Raises
    ------
    InputError
        When the file is damaged, holds weights alone, or has a member that would be written outside its place.
    """
    try:
        found = _read_zip(path) if zipfile.is_zipfile(path) else _read_h5(path)
        if not isinstance(found.config, dict):
            raise OSError(f"its config is a {type(found.config).__name__}, not an object")
        if not re.match(r"\d+(\.|$)|$", found.version):
            raise OSError(f"it names {found.version!r} as its version of Keras")
        return found
    except (zipfile.BadZipFile, json.JSONDecodeError, KeyError, OSError, EOFError, UnicodeDecodeError) as error:
        said = str(error).strip("'\"").partition("\n")[0]
        raise InputError(f"expected a Keras model; {str(path)!r} cannot be read: {said}. The file is damaged") from None


def _read_zip(path: Path) -> Archive:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            place = PurePosixPath(name.replace("\\", "/"))
            if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
                raise InputError(
                    f"expected members inside the archive; {str(path)!r} holds {name!r}, which would be written "
                    "outside. Do not use this file"
                )
        damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the member {damaged!r} does not have its check sum")
        config = json.loads(archive.read(_CONFIG))
        metadata = json.loads(archive.read(_METADATA)) if _METADATA in archive.namelist() else {"keras_version": "3"}
        version = metadata.get("keras_version", "") if isinstance(metadata, dict) else metadata
        weights = archive.read(_WEIGHTS) if _WEIGHTS in archive.namelist() else None
    return Archive("keras", str(version), config, () if weights is None else tuple(_links(BytesIO(weights))))


def _read_h5(path: Path) -> Archive:
    if path.suffix == ".keras":
        raise zipfile.BadZipFile("it is no archive")
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise missing("h5py", "an .h5 file", "tensorflow") from error
    with h5py.File(path, "r") as file:
        written = file.attrs.get("model_config")
        if written is None:
            raise InputError(
                f"expected a whole model; {str(path)!r} holds weights alone. Build the model, call its load_weights, "
                "and save it: model.save('model.keras')"
            )
        config = json.loads(written if isinstance(written, str) else written.decode())
        version = file.attrs.get("keras_version", "")
        version = version if isinstance(version, str) else version.decode()
    return Archive("h5", version, config, tuple(_links(path)))


def _links(file: Any) -> Iterator[str]:
    """Name what an HDF5 file takes from other files, which it may do wherever they are."""
    import h5py

    def walk(group: Any) -> Iterator[str]:
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield f"{name} -> {link.filename}"
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                yield from walk(item)
            elif item.external or item.is_virtual:
                yield f"{name} -> {item.external or 'virtual'}"

    with h5py.File(file, "r") as opened:
        yield from walk(opened)
