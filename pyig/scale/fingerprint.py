"""What a file or a directory holds, in 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PIECE = 1 << 20


def content(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a directory's files.

    What Python or a desktop leaves in a directory by itself (``__pycache__``, names with a leading dot) is no content.
    """
    digest = hashlib.sha256()
    if path.is_file():
        _add(digest, path)
    else:
        for file in sorted(path.rglob("*")):
            inner = file.relative_to(path)
            if file.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in inner.parts):
                digest.update(f"{inner.as_posix()}\0{file.stat().st_size}\0".encode())
                _add(digest, file)
    return digest.hexdigest()


def stamp(path: Path) -> tuple[int, int]:
    """Return size and time of change: cheap to compare, and enough to see that somebody writes to the file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _add(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
