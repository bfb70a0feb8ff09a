"""What surrounds a report: its style, and on a page of its own a policy that lets nothing else in.

The policy names the style sheet by its hash, so that not even a style that slipped into the text would count.
"""

from __future__ import annotations

import base64
import hashlib

SHARED = """
.pyig{font:14px/1.45 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;max-width:100%}
.pyig table{border-collapse:collapse;margin:.6em 0;font-size:13px}
.pyig caption{text-align:left;font-weight:600;padding:.3em 0}
.pyig th,.pyig td{padding:2px 9px;border:0;border-bottom:1px solid rgba(128,128,128,.28);background:none;color:inherit}
.pyig thead th{border-bottom-color:rgba(128,128,128,.8);white-space:nowrap}
.pyig tbody th{font-weight:400}
.pyig.pyig table [align=right]{text-align:right}
.pyig.pyig table [align=left]{text-align:left}
.pyig .n{font-variant-numeric:tabular-nums;white-space:nowrap}
.pyig td.bar{padding:2px 0}
.pyig td.bar[align=right]{border-right:1px solid rgba(128,128,128,.8)}
.pyig td.bar img{display:inline-block;vertical-align:middle;margin:0;max-width:none}
.pyig .wide{overflow-x:auto}
.pyig .row{display:flex;flex-wrap:wrap;gap:12px}
.pyig figure{margin:0}
.pyig figure img{border:1px solid rgba(128,128,128,.5)}
.pyig figcaption{font-size:12px;opacity:.8}
.pyig img.crisp{image-rendering:pixelated}
.pyig .legend{font-size:12px}
.pyig .legend img{vertical-align:middle;border:1px solid rgba(128,128,128,.5)}
.pyig summary{cursor:pointer;font-size:13px}
.pyig svg{display:block;max-width:100%}
"""

PAGE = """
:root{color-scheme:light dark;--paper:#fdfdfc;--ink:#1d1d1f}
@media (prefers-color-scheme:dark){:root{--paper:#16171a;--ink:#e6e6e3}}
body{margin:0;background:var(--paper);color:var(--ink)}
main.pyig{max-width:1000px;margin:0 auto;padding:1.5em 1.2em 3em}
h1{font-size:1.5em;margin:.2em 0}
h2{font-size:1.12em;margin:1.8em 0 .3em;border-bottom:2px solid rgba(128,128,128,.35);padding-bottom:.15em}
@media print{details>*{display:block}}
"""


def fragment_of(body: str, style: str = "") -> str:
    """Wrap a body for a notebook cell: its colours are the notebook's; `style` holds the classes of its own."""
    return f'<div class="pyig"><style>{SHARED}{style}</style>{body}</div>'


def page_of(title: str, body: str, style: str = "") -> str:
    """Wrap a body as a page; `title` is escaped already."""
    style = SHARED + style + PAGE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n"
        f'<body>\n<main class="pyig">\n{body}\n</main>\n</body>\n</html>\n'
    )
