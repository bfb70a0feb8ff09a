"""One page that shows an explanation as the widget does, offline: the same module, and a policy that lets nothing in.

The policy names the script and the style by their hashes; the data are JSON in which no tag can begin.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pyig.explanation import Explanation
from pyig.explanation.cumulative import CumulativeAttributions
from pyig.jupyter.esm import css, source
from pyig.jupyter.lines import by_path
from pyig.views.markup import esc
from pyig.views.payload import payload

BOOT = """
const text = document.getElementById("state").textContent, state = JSON.parse(text);
const bytes = Uint8Array.from(atob(state.data), (c) => c.charCodeAt(0));
const values = { ...state, data: new DataView(bytes.buffer) };
const model = { get: (k) => values[k], set: (k, v) => { values[k] = v; }, save_changes() {}, on() {}, off() {} };
widget.render({ model, el: document.getElementById("widget") });
"""
PAGE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1d1d1f}
@media (prefers-color-scheme:dark){:root{--vscode-foreground:#e6e6e3;--vscode-editor-background:#1b1c1f;
--vscode-descriptionForeground:#b4b4b0;--paper:#1b1c1f;--ink:#e6e6e3}}
body{margin:0;padding:1.2em;background:var(--paper);color:var(--ink);font:14px/1.45 system-ui,sans-serif}
#widget{max-width:1100px;margin:0 auto}
"""


def page(
    explanation: Explanation,
    code: str = "",
    view: Mapping[str, Any] | None = None,
    full: bool = False,
    along: CumulativeAttributions | Iterable[CumulativeAttributions] | None = None,
) -> str:
    """Return the interactive view as one self-contained page.

    Parameters
    ----------
    explanation : Explanation
        What to show.
    code : str
        Python that gives the result, to be copied from the page.
    view : dict, optional
        Settings of the views to start with.
    full : bool
        Carry all numbers of pictures, instead of one byte per pixel: larger, and exact under the cursor.
    along : CumulativeAttributions, or several, optional
        What `IntegratedGradients.along` gave for paths of the explanation.
    """
    count = min(explanation.values.size, 500) if full else 0
    spec, content = payload(explanation, range(count), full=True) if full else payload(explanation)
    spec |= {"id": "page", "code": code}
    state = {
        "spec": spec,
        "data": base64.b64encode(content).decode(),
        "view": dict(view or {}),
        "pins": {},
        "lines": by_path(explanation, along),
        "static_class": "",
    }
    script, style = source() + BOOT, css() + PAGE
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    model = explanation.meta.get("model")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{esc(f'Integrated Gradients of {model}' if model else 'Integrated Gradients')}</title>\n"
        f"<style>{style}</style>\n</head>\n<body>\n"
        "<noscript><p>This page draws with JavaScript. Explanation.to_html() writes one without.</p></noscript>\n"
        f'<main id="widget"></main>\n<script type="application/json" id="state">{harmless(state)}</script>\n'
        f'<script type="module">{script}</script>\n</body>\n</html>\n'
    )


def harmless(data: Any) -> str:
    r"""Return JSON that may stand in a script element: no tag and no comment can begin or end in it.

    Examples
    --------
    >>> harmless({"name": "</script>"})
    '{"name": "\\u003c/script\\u003e"}'
    """
    text = json.dumps(data, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
