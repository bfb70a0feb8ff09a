"""What a torch file may do when it is opened, seen before it is: every piece that could run code of its own is refused.

`torch.load` with ``weights_only=True`` is safe by itself. `torch.export.load` is not: it unpickles whatever the archive
says, and evaluates text as symbols. So an archive is read as data first, and may only hold what an export writes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pyig.errors import InputError

_CURE = "Pass trust=True if you trust the file as you do your own code"
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|higher_order)(\.(?!__)\w+)+|math\.[a-z]\w*|torch\.sym_\w+|torch\._sym_\w+"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|neg|pow|getitem|eq|ne|lt|le|gt|ge|and_|or_|not_|pos)"
)
_TOUCHES_FILES = re.compile(r"torch\.ops\.aten\.(from_file|save|load)\b")
_SYMBOL = re.compile(
    r"[suz]\d+|Max|Min|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv|FloatTrueDiv|TruncToInt|ToFloat|Eq|Ne|Lt|Le"
    r"|Gt|Ge|Add|Mul|Pow|Rational|Float|And|Or|Not|Integer|Identity|Where|ModularIndexing|int_oo|oo|True|False|true|false"
)
_NAMED_SYMBOL = re.compile(r"Symbol\('([suz]\d+)'(?:, \w+=(?:True|False))*\)")
_STRUCTURES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_SCRIPT_FILES = re.compile(r"\btorch\.(save|load|from_file)\(|\bops\.(?!prim\.|aten\.)\w+\.|__setstate__")


def names_in(path: Path) -> list[str]:
    """Return the files of an archive without its outermost folder; none where the file is no zip archive."""
    if not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return [name.partition("/")[2] for name in archive.namelist()]


def check_program(path: Path) -> None:
    """Raise `InputError` where an exported program holds more than tensors and torch's own operations."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            inner = name.partition("/")[2]
            base = inner.rpartition("/")[2]
            if name.startswith("/") or ".." in name.replace("\\", "/").split("/"):
                raise InputError(f"expected files inside the archive alone in {str(path)!r}; it holds {name!r}")
            if "/" not in name or inner.endswith((".so", ".o", ".cpp")) or "aotinductor" in inner:
                raise _refused(path, name, "compiled code, or a format before torch 2.8")
            if base.startswith(("custom_obj_", "opaque_obj_")):
                raise _refused(path, name, "a pickled object")
            if inner.endswith((".pt", ".pkl")):
                _check_pickle(path, name, _content(archive, path, name))
            if inner.endswith("_config.json"):
                folder = name.rpartition("/")[0]
                for entry in _config(_data(archive, path, name)):
                    if entry.get("use_pickle"):
                        inside = f"{folder}/{entry.get('path_name')}"
                        _check_pickle(path, inside, _content(archive, path, inside))
            elif inner.startswith("models/"):
                for what, text in _told(_data(archive, path, name)):
                    _check_text(path, name, what, text)


def _data(archive: zipfile.ZipFile, path: Path, name: str) -> Any:
    try:
        return json.loads(_content(archive, path, name))
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON in {name!r} of {str(path)!r}; {error}. The file is damaged") from error


def _content(archive: zipfile.ZipFile, path: Path, name: str) -> bytes:
    try:
        return archive.read(name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"expected {name!r} in {str(path)!r}; {error}. The file is damaged") from error


def _config(data: Any) -> list[dict[str, Any]]:
    entries = data.get("config", {}) if isinstance(data, dict) else {}
    return [entry for entry in entries.values() if isinstance(entry, dict)]


def check_script(path: Path) -> None:
    """Raise `InputError` where a TorchScript program reads or writes files, or calls operations from elsewhere."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            found = (
                _SCRIPT_FILES.search(archive.read(name).decode("utf-8", "replace")) if name.endswith(".py") else None
            )
            if found:
                raise _refused(path, name, f"a program that says {found.group().strip('(')!r}")


def unpickled(path: Path, trust: bool) -> Any:
    """Return what a checkpoint holds; more than tensors and plain containers only where the file is trusted."""
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:
        if trust:
            raise
        strange = _strange(path)
        if not strange and not _is_pickle(path):
            raise InputError(
                f"expected weights that torch.save wrote; {str(path)!r} is no such file, or is damaged"
            ) from error
        what = f"objects of {', '.join(strange)}" if strange else "other objects"
        raise InputError(
            f"expected tensors alone, which torch.load reads with weights_only=True; {str(path)!r} holds {what}. Save "
            f"model.state_dict() instead and pass factory=, or export the model with torch.export. {_CURE}"
        ) from error


def _is_pickle(path: Path) -> bool:
    """Tell a pickle, alone or in an archive, from what no reader of weights could open, trusted or not."""
    with path.open("rb") as file:
        return zipfile.is_zipfile(path) or file.read(1) == b"\x80"


def _strange(path: Path) -> list[str]:
    listed = getattr(torch.serialization, "get_unsafe_globals_in_checkpoint", None)
    try:
        return list(listed(path))[:5] if listed is not None else []
    except Exception:  # an old or damaged file: the first error has said what is wrong
        return []


def _check_pickle(path: Path, name: str, content: bytes) -> None:
    if not content:
        return
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise _refused(path, name, "pickled objects other than tensors") from error


def _told(data: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Give every text of the graph that is looked up or evaluated when it is read."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _told(value, str(name))
    elif isinstance(data, list):
        for value in data:
            yield from _told(value, key)
    elif isinstance(data, str) and (key in ("target", "in_spec", "out_spec") or key.startswith("expr")):
        yield key, data


def _check_text(path: Path, name: str, what: str, text: str) -> None:
    if what == "target":
        if not _OPERATOR.fullmatch(text) or _TOUCHES_FILES.match(text):
            raise _refused(path, name, f"the operation {text!r}")
    elif what.startswith("expr"):
        plain = _NAMED_SYMBOL.sub(r"\1", text)
        words = re.findall(r"[A-Za-z_]\w*", plain)
        if not re.fullmatch(r"[\w+\-*/(),. <>=&|~]*", plain) or not all(map(_SYMBOL.fullmatch, words)):
            raise _refused(path, name, f"the symbol {text[:80]!r}")
    elif text:
        try:
            spec = json.loads(text)
        except ValueError as error:
            raise InputError(f"expected JSON as {what} in {name!r} of {str(path)!r}; got {text[:80]!r}") from error
        _check_structure(path, name, spec)


def _check_structure(path: Path, name: str, spec: Any) -> None:
    for part in spec if isinstance(spec, list) else [spec]:
        if isinstance(part, dict):
            if part.get("type") not in _STRUCTURES:
                raise _refused(path, name, f"inputs or outputs of type {part.get('type')!r}")
            _check_structure(path, name, part.get("children_spec", []))


def _refused(path: Path, name: str, what: str) -> InputError:
    return InputError(
        f"expected tensors and torch's own operations in {str(path)!r}; {name!r} holds {what}, which may run code when "
        f"it is opened. {_CURE}"
    )
