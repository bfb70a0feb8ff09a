"""What the documents promise runs: the README's Python, its commands and links, and the examples in docstrings.

`test_docstrings` runs the examples that need numpy alone; here are those of the other rooms.
"""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyig/data/README.md"]
DOCUMENTS += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for room in ("backends", "structure", "views", "jupyter", "demos", "cli", "compat/*")
    for path in (ROOT / "pyig").glob(f"{room}/*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(blocks("README.md", "python"))  # one after the other, as a reader would
    assert code.count("explain(") > 3
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
    assert "completeness gap" in capsys.readouterr().out
    assert (tmp_path / "flowers.html").stat().st_size > 1000


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_commands_and_files_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z]+)\b`", text)) <= set(targets)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    paths = re.findall(r"`((?:pyig|csrc|tests|tools|ci|docs|notebooks|benchmarks)/[\w./]+)`", text)
    places = [(ROOT / document).parent / link for link in links] + [ROOT / path for path in paths if "NAME" not in path]
    assert [str(place) for place in places if not place.exists()] == []


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0
