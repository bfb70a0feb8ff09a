"""Tables of names: looked up late, closed to replacement, open to third parties, helpful when a name is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pyig import registry
from pyig.backends import BACKENDS
from pyig.baselines import BASELINES
from pyig.errors import InputError, unknown
from pyig.registry import Registry
from pyig.structure import SPLITS

ROWS = {"sqrt": "math:sqrt", "heavy": "no_such_module:thing", "typo": "math:squareroot"}


def test_a_name_is_imported_when_it_is_asked_for() -> None:
    table = Registry("function", ROWS)
    assert list(table) == ["sqrt", "heavy", "typo"]
    assert len(table) == 3
    assert table["sqrt"](4) == 2
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        table["heavy"]
    with pytest.raises(AttributeError, match="squareroot"):
        table["typo"]


def test_an_object_passes_through() -> None:
    table = Registry("function", ROWS)
    assert table.resolve(len) is len
    assert table.resolve("sqrt")(9) == 3


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError, match=r"unknown function 'sqr'; did you mean 'sqrt'\? Known: heavy, sqrt, typo"):
        Registry("function", ROWS)["sqr"]
    with pytest.raises(InputError, match="unknown function 'zzz'; Known: heavy"):
        Registry("function", ROWS)["zzz"]
    assert "did you mean" not in str(unknown("thing", 7, ["alpha"]))


def test_asking_for_a_name_imports_nothing() -> None:
    table = Registry("function", ROWS)
    assert "heavy" in table
    assert "sqr" not in table


def test_the_given_rows_are_copied() -> None:
    mine = dict(ROWS)
    table = Registry("function", mine)
    mine["sqrt"] = "math:cos"
    assert table["sqrt"](4) == 2


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution with two entry points: one new name, and one that a built-in already has."""
    (tmp_path / "acme_pyig.py").write_text("def cube(x):\n    return x**3\n\ndef fake(x):\n    return -1\n")
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pyig.tests]\ncube = acme_pyig:cube\nsqrt = acme_pyig:fake\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("third_party")
def test_entry_points_add_rows_and_replace_none() -> None:
    table = Registry("function", ROWS, group="pyig.tests")
    assert table["cube"](2) == 8
    assert table["sqrt"](4) == 2
    assert sorted(table) == ["cube", "heavy", "sqrt", "typo"]
    assert len(table) == 4
    assert "acme_pyig" in sys.modules
    assert "cube" not in Registry("function", ROWS), "a table without a group is closed"


@pytest.mark.parametrize("table", [BASELINES, BACKENDS, SPLITS], ids=lambda t: t.kind)
def test_rows_of_the_house_lead_somewhere(table: Registry) -> None:
    for name in table:
        assert callable(table[name]), name


def test_nothing_is_imported_by_listing() -> None:
    before = set(sys.modules)
    assert list(Registry("function", {"x": "antigravity:x"})) == ["x"]
    assert "antigravity" not in set(sys.modules) - before
    assert registry.__doc__ is not None
