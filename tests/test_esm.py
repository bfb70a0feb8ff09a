"""The widget's module: small, whole, and the same in a wheel."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from pyig.jupyter.esm import FILES, STATIC, css, joined, packed, source


def test_the_module_is_small_and_whole() -> None:
    assert len(packed()) + len(css()) < 60_000
    text = source()
    assert "import " not in "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    assert text.count("export default widget;") == 1
    assert sorted(path.stem for path in STATIC.glob("*.js")) == sorted(FILES)
    for name in FILES:  # markup is never parsed, and nothing is fetched
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "://"):
            found = [line for line in (STATIC / f"{name}.js").read_text().splitlines() if word in line]
            assert [line for line in found if "www.w3.org" not in line] == [], f"{name}.js: {word}"


def test_a_wheel_holds_the_same_module_in_60_kilobytes(tmp_path: Path) -> None:
    static = tmp_path / "static"
    static.mkdir()
    tool = Path(__file__).parents[1] / "tools" / "frontend.py"
    subprocess.run([sys.executable, "-I", str(tool), str(static / "widget.js.gz")], check=True, timeout=60)
    (static / "widget.css").write_text(css(), encoding="utf-8")
    assert sum(path.stat().st_size for path in static.iterdir()) <= 60_000
    shutil.copy(STATIC.parent / "esm.py", tmp_path)  # without the modules beside it, as in a wheel
    installed = runpy.run_path(str(tmp_path / "esm.py"))
    assert not list(static.glob("*.js"))
    assert installed["source"]() == source() == joined()
    assert installed["packed"]() == packed()
