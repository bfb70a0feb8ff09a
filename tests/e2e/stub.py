"""The widget's module in a bare page, with a stub in the place of the notebook: the real Python widget answers."""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import Page

from pyig.jupyter.esm import css, source
from pyig.jupyter.widget import ExplanationWidget

ADDRESS = "http://localhost/widget"
TRAITS = ("spec", "data", "view", "pins", "data_a", "data_b", "static_class", "lines")
PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><style>{theme}
body{{margin:12px;background:var(--jp-layout-color0);color:var(--jp-ui-font-color1)}}{css}</style></head>
<body><div class="pyig {static}">static copy</div><div id="here"></div><script type="module">{source}
const state = {{}}, heard = {{}};
window.sent = [];
const view = (b64) => new DataView(Uint8Array.from(atob(b64), (c) => c.charCodeAt(0)).buffer);
const decoded = (k, v) => (k.startsWith("data") ? view(v) : v);
window.model = {{
  get: (k) => state[k], set: (k, v) => {{ state[k] = v; }},
  save_changes: () => window.sent.push({{ type: "view", view: state.view }}),
  on: (event, run) => (heard[event] ||= []).push(run),
  off: (event, run) => {{ heard[event] = heard[event].filter((r) => r !== run); }},
  send: (message) => window.sent.push(message),
}};
window.receive = (changes, message, buffers) => {{
  for (const [k, v] of Object.entries(changes)) state[k] = decoded(k, v);
  for (const k of Object.keys(changes)) for (const run of heard[`change:${{k}}`] || []) run();
  if (message) for (const run of heard["msg:custom"] || []) run(message, buffers.map(view));
}};
window.start = (changes) => {{
  window.receive(changes);
  window.stop = widget.render({{ model: window.model, el: document.getElementById("here") }});
}};
window.listeners = () => Object.values(heard).reduce((n, list) => n + list.length, 0);
</script></body></html>"""
LIGHT = ":root{--jp-layout-color0:#fff;--jp-layout-color1:#fff;--jp-ui-font-color1:#1d1d1f;--jp-ui-font-color2:#55565a}"
DARK = (
    ":root{--jp-layout-color0:#111;--jp-layout-color1:#212121;"
    "--jp-ui-font-color1:#e6e6e6;--jp-ui-font-color2:#bdbdbd;color-scheme:dark}"
)


class Bridge:
    """Carries messages between a page and a widget, in the main thread, when `pump` is called."""

    def __init__(self, page: Page, widget: ExplanationWidget, dark: bool = False) -> None:
        self.page = page
        self.widget = widget
        self.heard: list[dict[str, Any]] = []
        self._out: list[tuple[tuple[str, ...], Any, list[str]]] = []
        widget.send = self._send  # type: ignore[method-assign]
        widget.observe(self._changed, names=["spec", "view", "lines"])
        html = PAGE.format(
            theme=DARK if dark else LIGHT, css=css(), source=source(), static=widget.static_class or "none"
        )
        page.route(ADDRESS, lambda route: route.fulfill(body=html, content_type="text/html"))
        page.goto(ADDRESS)
        page.wait_for_function("window.start !== undefined")
        page.evaluate("(changes) => window.start(changes)", {name: self._encoded(name) for name in TRAITS})
        self.pump()

    def pump(self, rounds: int = 6) -> None:
        """Deliver what both sides have said, until they are silent."""
        for _ in range(rounds):
            said = self.page.evaluate("window.sent.splice(0)")
            self.heard += said
            for message in said:
                if message["type"] == "view":
                    self.widget.view = message["view"]
                else:
                    self.widget._heard(self.widget, message, [])
            assert self.widget.wait(30)
            self.flush()
            if not said:
                self.page.wait_for_timeout(30)

    def flush(self) -> None:
        """Deliver what the widget has said so far."""
        while self._out:
            names, message, buffers = self._out.pop(0)
            changes = {name: self._encoded(name) for name in names}
            self.page.evaluate("([c, m, b]) => window.receive(c, m, b)", [changes, message, buffers])

    def _send(self, content: Any, buffers: Any = None) -> None:
        self._out.append(((), content, [base64.b64encode(b).decode() for b in buffers or []]))

    def _changed(self, change: Any) -> None:
        names = ("spec", "data") if change["name"] == "spec" else (change["name"],)
        # Data come after their spec in Python; a notebook gets both in one message.
        self._out.append((names, None, []))

    def _encoded(self, name: str) -> Any:
        value = getattr(self.widget, name)
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value
