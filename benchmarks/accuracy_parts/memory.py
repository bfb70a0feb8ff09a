"""Peak memory of one call, where the system can tell it."""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(call: Callable[[], T]) -> tuple[T, int | None]:
    """Return the result, and by how many bytes the call raised resident memory at its peak; None where unknown."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back, so that using it again counts
    try:
        _RESET.write_text("5")  # Linux: the high-water mark starts again from here
    except OSError:
        return call(), None
    before = _field("VmRSS")
    found = call()
    return found, max(0, _field("VmHWM") - before)


def _field(name: str) -> int:
    match = re.search(rf"{name}:\s+(\d+) kB", _STATUS.read_text())
    return int(match[1]) * 1024 if match else 0
