"""Arrays side by side in one run of bytes, with a table that says where each lies: what a browser reads directly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ALIGN = 8  # a typed array of the browser starts at a multiple of its item size
STEPS = 127


class Packer:
    """Collects arrays; `table` and `content` together are what a browser needs.

    Every entry of `table` has ``n`` (name), ``d`` (``"f8"``, ``"f4"``, ``"q1"``, ``"png"``), ``s`` (shape), ``o``
    (offset), ``b`` (bytes) and for ``"q1"`` ``z``, the magnitude at full scale.
    """

    def __init__(self) -> None:
        self.table: list[dict[str, Any]] = []
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._size

    def add(self, name: str, array: Array, form: str) -> None:
        """Add an array of numbers as ``"f8"``, ``"f4"`` or ``"q1"``."""
        entry: dict[str, Any] = {"n": name, "d": form, "s": list(array.shape)}
        if form == "q1":
            codes, entry["z"] = quantise(array)
            self._append(entry, codes.tobytes())
        else:
            self._append(entry, np.ascontiguousarray(array, dtype=f"<{form}").tobytes())

    def add_png(self, name: str, file: bytes) -> None:
        """Add a picture."""
        self._append({"n": name, "d": "png", "s": []}, file)

    def take(self, other: Packer) -> None:
        """Add all that another one holds."""
        self.table += [entry | {"o": entry["o"] + self._size} for entry in other.table]
        self._parts += other._parts
        self._size += other._size

    def content(self) -> bytes:
        """Return everything that was added."""
        return b"".join(self._parts)

    def _append(self, entry: dict[str, Any], content: bytes) -> None:
        self.table.append(entry | {"o": self._size, "b": len(content)})
        padded = content + bytes(-len(content) % ALIGN)
        self._parts.append(padded)
        self._size += len(padded)


def quantise(array: Array) -> tuple[NDArray[np.int8], float]:
    """Return one signed byte per number, and the magnitude that 127 stands for.

    Steps grow with the square of the code: faint attributions keep their digits, the strongest are within one per cent.
    Numbers that are not finite become -128.

    Examples
    --------
    >>> quantise(np.array([0.0, 0.25, -1.0]))
    (array([   0,   64, -127], dtype=int8), 1.0)
    """
    wide = np.asarray(array, dtype=np.float64)
    known = np.isfinite(wide)
    largest = float(np.max(np.abs(wide), initial=0.0, where=known))
    share = np.where(known, wide, 0.0) / (largest or 1.0)
    codes = np.rint(STEPS * np.sign(share) * np.sqrt(np.abs(share)))
    return np.where(known, codes, -128).astype(np.int8), largest


def restore(codes: NDArray[np.int8], largest: float) -> NDArray[np.float64]:
    """Undo `quantise`, as the browser does."""
    share = codes.astype(np.float64) / STEPS
    return np.where(codes == -128, np.nan, np.sign(share) * share**2 * largest)
