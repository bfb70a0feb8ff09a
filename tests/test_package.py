"""The package as it is installed: one version, its data, its types, its command."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from importlib.metadata import entry_points, metadata, requires, version
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

import pyig
from pyig import _core

pytestmark = pytest.mark.core
ROOT = Path(__file__).parents[1]


def test_one_version() -> None:
    written = re.findall(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert [pyig.__version__, version("pyig-explain"), _core.__version__] == 3 * written


def test_the_changelog_knows_the_version() -> None:
    assert f"## [{pyig.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_numpy_is_the_only_hard_dependency() -> None:
    hard = [line for line in requires("pyig-explain") or [] if "extra ==" not in line]
    assert hard == ["numpy>=1.26"]
    assert metadata("pyig-explain")["License-Expression"] == "Apache-2.0"


def test_types_and_data_are_shipped() -> None:
    home = files("pyig")
    for name in ("py.typed", "_core.pyi", "data/README.md"):
        assert home.joinpath(name).is_file(), name
    rows = list(csv.DictReader(home.joinpath("data/heart_disease.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 303
    assert sum(cell == "" for row in rows for cell in row.values()) == 6


def test_the_public_names_are_these() -> None:
    names = {
        name for name, value in vars(pyig).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    extension = {"load_ipython_extension", "unload_ipython_extension"}
    help_of_annotations = {"annotations", "Any", "TYPE_CHECKING"}
    assert names - extension - help_of_annotations == {
        "Explanation",
        "InputError",
        "IntegratedGradients",
        "NoiseTunnel",
        "PyigError",
        "at_layer",
        "load",
        "several",
        "static",
    }


def test_names_of_other_rooms_come_when_they_are_asked_for() -> None:
    code = """
import sys, pyig
assert not any(name.startswith("pyig.text") for name in sys.modules)
later = {name for name in dir(pyig) if name.startswith("explain_") or name in ("TextExplanation", "text_layers")}
questions = {f"explain_{what}" for what in ("text", "generation", "next", "similarity", "span")}
assert later == {"TextExplanation", "text_layers", *questions}, later
assert all(getattr(pyig, name).__module__.startswith("pyig.text") for name in later)
try:
    pyig.explain_txt
except AttributeError as error:
    assert "no attribute 'explain_txt'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_command_is_installed(tmp_path: Path) -> None:
    (script,) = entry_points(group="console_scripts", name="pyig")
    assert script.value == "pyig.cli:main"
    code = "import pyig.cli; pyig.cli.main(['--version'])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert shown.stdout == f"pyig {pyig.__version__}\n"
