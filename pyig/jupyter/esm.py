"""The widget's ES modules as one: what a notebook is sent, and what a page of its own carries.

There is no build step: the files in ``static`` are joined in order, without their ``import`` lines and ``export``
words. A notebook stores a copy with every widget, so what is sent is compressed and unpacks itself. A wheel carries the
joined file, compressed, in the place of the files themselves.
"""

from __future__ import annotations

import base64
import functools
import gzip
import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
FILES = ("core", "image", "table", "text", "curves", "buildup", "compare", "export", "widget")
SHIPPED = STATIC / "widget.js.gz"  # in a wheel, written by tools/frontend.py; never in a checkout

UNPACK = """\
// pyig/jupyter/static/*.js, joined and compressed: a notebook keeps a copy of this with every widget.
const packed = Uint8Array.from(atob("{packed}"), (c) => c.charCodeAt(0));
const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
const url = URL.createObjectURL(new Blob([await new Response(stream).text()], {{ type: "text/javascript" }}));
const {{ default: widget }} = await import(url);
URL.revokeObjectURL(url);
export default widget;
"""


def joined() -> str:
    """Join the modules, readable as they were written."""
    parts = []
    for name in FILES:
        text = (STATIC / f"{name}.js").read_text(encoding="utf-8")
        text = re.sub(r'^import [^;]+ from "\./\w+\.js";\n', "", text, flags=re.MULTILINE)
        parts.append(re.sub(r"^export (?!default)", "", text, flags=re.MULTILINE))
    return "\n".join(parts)


@functools.cache
def compressed() -> bytes:
    """Return the joined module, compressed: the shipped file, where that stands in the place of the modules."""
    return SHIPPED.read_bytes() if SHIPPED.exists() else gzip.compress(joined().encode(), 9, mtime=0)


@functools.cache
def source() -> str:
    """Return the joined module, readable as it was written."""
    return gzip.decompress(compressed()).decode()


@functools.cache
def packed() -> str:
    """Return a small module that unpacks `source` and hands it on."""
    return UNPACK.format(packed=base64.b64encode(compressed()).decode())


@functools.cache
def css() -> str:
    """Return the style sheet."""
    return (STATIC / "widget.css").read_text(encoding="utf-8")
