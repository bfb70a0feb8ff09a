"""What docs/notebook.md promises runs, and names what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from shells import ip as ip

TEXT = (Path(__file__).parents[1] / "docs" / "notebook.md").read_text(encoding="utf-8")


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    exec(compile(code, "notebook.md", "exec"), {"__name__": "__main__"})
    assert "target=0, rtol=0.0001" in capsys.readouterr().out
    assert (tmp_path / "e.html").stat().st_size > 10_000


def test_every_option_is_told(ip: InteractiveShell) -> None:
    parser = ip.magics_manager.registry["IgMagics"].parser
    options = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    assert [option for option in options if option != "--quiet" and f"`{option}`" not in TEXT] == []
    told = set(re.findall(r"`(--[a-z]+)`", TEXT))
    assert told <= set(options)
