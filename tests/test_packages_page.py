"""What docs/artifacts.md says of packages and projections runs, and names every projection and stand-in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyig import projections
from pyig.artifacts.package_standins import modules

PAGE = Path(__file__).parents[1] / "docs" / "artifacts.md"


def section(name: str) -> str:
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return next(part for part in parts if part.startswith(f"{name}\n"))


@pytest.mark.parametrize("name", ["Model packages", "Projections"])
def test_its_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python\n(.*?)^```", section(name), re.DOTALL | re.MULTILINE))
    assert "assert " in code
    exec(compile(code, f"{PAGE.name}: {name}", "exec"), {"__name__": "__main__"})


def test_it_names_every_projection() -> None:
    own = {name for name in dir(projections) if name[0].isupper()} - {"Encoded", "Feature", "Projection"}
    assert own == set(re.findall(r"^\| `(\w+)", section("Projections"), re.MULTILINE))


def test_it_names_every_stand_in(tmp_path: Path) -> None:
    said = section("Model packages")
    for name in modules(tmp_path, "parent"):
        top = ".".join(name.removeprefix("parent.").split(".")[:2])
        assert f"`{top}`" in said or top == "fiddler", name
