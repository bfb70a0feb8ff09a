"""PNG files from arrays of bytes (ISO/IEC 15948), with nothing but zlib: reports need no imaging package."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from pyig.views.colours import Bytes

GRAY, RGB, INDEXED = 0, 2, 3  # colour types of the standard


def encode(pixels: Bytes, palette: Bytes | None = None) -> bytes:
    r"""Return a PNG of (H, W) gray, (H, W, 3) RGB, or (H, W) indices into a palette (n <= 256, 3).

    Examples
    --------
    >>> encode(np.zeros((2, 3), np.uint8))[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    height, width = pixels.shape[:2]
    kind = INDEXED if palette is not None else RGB if pixels.ndim == 3 else GRAY
    rows = np.ascontiguousarray(pixels, np.uint8).reshape(height, -1)
    filters = np.zeros((height, 1), np.uint8)
    if kind != INDEXED and height > 1:
        # Differences from the row above shrink well in photographs; indices are no amounts, so they stay.
        rows = np.concatenate([rows[:1], rows[1:] - rows[:-1]])
        filters[1:] = 2
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        parts.append(_chunk(b"PLTE", np.ascontiguousarray(palette, np.uint8).tobytes()))
    parts.append(_chunk(b"IDAT", zlib.compress(np.concatenate([filters, rows], axis=1).tobytes(), 9)))
    return b"".join([b"\x89PNG\r\n\x1a\n", *parts, _chunk(b"IEND", b"")])


def data_uri(png: bytes) -> str:
    """Return a PNG as an address that needs no request."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
